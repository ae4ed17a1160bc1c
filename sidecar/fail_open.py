"""The fail-open table: each failure that this plane expects, and what it means for visitors and for operators.

One row for each: what fails, what the visitor gets, which events the log has, which metrics move. The documentation is
generated from it, and every row is provoked for real while visitors browse.
Counterpart: `layout_mutation.documentation.failures` prints it; `tests.end_to_end.faults.test_fault_matrix` provokes it, row by row.
Never: read by the code that does what it says. A row that is wrong must be a red test, not another behaviour.
"""

from msgspec import Struct

ORIGINS_PAGE = "the origin's page"
LAST_TABLE = "the page by the last good table"


class Row(Struct, frozen=True, kw_only=True):
    """One failure."""

    key: str
    """Its name, by which its test is found."""
    failure: str
    """What fails, in words."""
    visitor: str
    """What a visitor gets."""
    logs: tuple[str, ...] = ()
    """Events in the log; none where it is no news to anybody."""
    metrics: tuple[str, ...]
    """Samples that grow, or appear, in `/metrics`."""


TABLE: tuple[Row, ...] = (
    Row(
        key="no_table",
        failure="No table: nothing was published yet, and there is no snapshot",
        visitor=ORIGINS_PAGE,
        logs=("no_snapshot",),
        metrics=('layout_mutation_responses_total{reason="no_table"}',),
    ),
    Row(
        key="stale_table",
        failure="Stale table: Redis has an older one than is in force (a backup, a replica that lags)",
        visitor=LAST_TABLE,
        metrics=("layout_mutation_table_age_seconds",),
    ),
    Row(
        key="table_refused",
        failure="Table refused: damaged, cut off, or signed by a key that is not trusted",
        visitor=LAST_TABLE,
        logs=("table_refused",),
        metrics=('layout_mutation_table_state{state="NACK"}',),
    ),
    Row(
        key="redis_gone_at_start",
        failure="Redis is away when the sidecar starts",
        visitor="the page by the table of the snapshot; without one the origin's page",
        logs=("redis_lost",),
        metrics=('layout_mutation_table_state{redis="lost",source="snapshot"}',),
    ),
    Row(
        key="redis_gone_later",
        failure="Redis goes away later",
        visitor=f"{LAST_TABLE}; events wait on disk",
        logs=("redis_lost", "events_wait"),
        metrics=('layout_mutation_table_state{redis="lost"}', "layout_mutation_events_spooled"),
    ),
    Row(
        key="network_dropped",
        failure="Packets to Redis vanish: no answer and no refusal",
        visitor=f"{LAST_TABLE}; nobody waits for the timeout",
        logs=("redis_lost", "events_wait"),
        metrics=('layout_mutation_table_state{redis="lost"}',),
    ),
    Row(
        key="decide_raises",
        failure="Deciding raises: a bug of ours",
        visitor=ORIGINS_PAGE,
        logs=("page_passed",),
        metrics=('layout_mutation_failures_total{reason="decide_failed"}',),
    ),
    Row(
        key="rewrite_raises",
        failure="Rewriting raises: a bug of ours",
        visitor=ORIGINS_PAGE,
        logs=("page_passed",),
        metrics=('layout_mutation_failures_total{reason="rewrite_failed"}',),
    ),
    Row(
        key="over_budget_time",
        failure="Over budget in time: the page comes too slowly, or takes too long to rewrite",
        visitor=f"{ORIGINS_PAGE}, at the deadline",
        logs=("page_passed", "page_quarantined"),
        metrics=(
            'layout_mutation_responses_total{reason="too_slow"}',
            'layout_mutation_responses_total{reason="over_budget"}',
        ),
    ),
    Row(
        key="over_budget_bytes",
        failure="Over budget in bytes: the page is larger than is rewritten",
        visitor=f"{ORIGINS_PAGE}, streamed",
        metrics=('layout_mutation_responses_total{reason="too_large"}',),
    ),
    Row(
        key="over_budget_depth",
        failure="Over budget in depth: elements nested too deeply",
        visitor=ORIGINS_PAGE,
        logs=("page_passed",),
        metrics=('layout_mutation_responses_total{reason="too_large"}',),
    ),
    Row(
        key="unknown_charset",
        failure="A page in a charset that nobody knows",
        visitor=ORIGINS_PAGE,
        metrics=('layout_mutation_responses_total{reason="charset"}',),
    ),
    Row(
        key="broken_gzip",
        failure="The origin sends broken gzip",
        visitor="the origin's bytes as they came",
        logs=("page_passed",),
        metrics=('layout_mutation_responses_total{reason="broken_body"}',),
    ),
    Row(
        key="event_buffer_full",
        failure="The buffer of events is full: Redis is away and there is no disk for them",
        visitor=f"{LAST_TABLE}; the newest events are dropped, and counted",
        logs=("events_wait",),
        metrics=('layout_mutation_events_dropped_total{reason="full"}',),
    ),
    Row(
        key="snapshot_disk_full",
        failure="The disk of the snapshot is full",
        visitor="the page by the new table, which stays in memory; the old snapshot stays whole",
        logs=("snapshot_not_written",),
        metrics=('layout_mutation_table_state{snapshot="write_failed"}',),
    ),
    Row(
        key="spool_disk_full",
        failure="The disk of the spool is full, and Redis is away",
        visitor=f"{LAST_TABLE}; events wait in memory, then the newest are dropped, and counted",
        logs=("spool_not_written", "events_wait"),
        metrics=("layout_mutation_events_waiting",),
    ),
    Row(
        key="clock_jumps",
        failure="The clock jumps, forwards or back",
        visitor="the page by the table in force; schedules follow the clock, deadlines do not",
        metrics=("layout_mutation_table_age_seconds",),
    ),
    Row(
        key="worker_crash",
        failure="A worker is killed, or crashes",
        visitor="connections that it held are reset; everybody else is served by the others",
        logs=("worker_ended",),
        metrics=("layout_mutation_worker_restarts_total",),
    ),
    Row(
        key="worker_hangs",
        failure="A worker hangs",
        visitor="who is connected to it waits until it is killed, some seconds; everybody else is served by the others",
        logs=("worker_hung", "worker_ended"),
        metrics=("layout_mutation_worker_restarts_total",),
    ),
    Row(
        key="supervisor_hangs",
        failure="The supervisor stands still",
        visitor=f"{LAST_TABLE}: its workers serve until those of another one do",
        logs=("supervisor_hung", "restarted"),
        metrics=('layout_mutation_supervisor_restarts_total{reason="hung"}',),
    ),
    Row(
        key="rewriter_crash",
        failure="The page rewriter is killed, or a page crashes it",
        visitor=f"{ORIGINS_PAGE}, at once; a page that did it passes from then on",
        logs=("rewriter_replaced", "page_quarantined"),
        metrics=(
            "layout_mutation_rewriter_restarts",
            "layout_mutation_rewriter_quarantined",
            'layout_mutation_failures_total{reason="rewrite_failed"}',
        ),
    ),
    Row(
        key="rewriter_hangs",
        failure="The page rewriter hangs",
        visitor=f"{ORIGINS_PAGE}, at the deadline",
        logs=("rewriter_replaced", "page_quarantined"),
        metrics=(
            "layout_mutation_rewriter_restarts",
            'layout_mutation_responses_total{reason="over_budget"}',
        ),
    ),
    Row(
        key="out_of_descriptors",
        failure="A worker runs out of file descriptors",
        visitor="who is connected is served; new connections wait for a worker that has room",
        metrics=("layout_mutation_connections_held_back_total",),
    ),
    Row(
        key="origin_down",
        failure="The origin is down, or resets connections",
        visitor="what it still answers; else 502 or 504 and one line, at once",
        logs=("upstream_failed",),
        metrics=("layout_mutation_upstream_errors_total",),
    ),
    Row(
        key="control_plane_down",
        failure="The control plane is down",
        visitor=LAST_TABLE,
        metrics=("layout_mutation_table_age_seconds",),
    ),
)
"""In the order in which a page meets them: rules, page, events and disks, processes, neighbours."""
