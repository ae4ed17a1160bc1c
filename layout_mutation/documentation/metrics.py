"""The chapter about metrics and traces: every metric of a sidecar, read off a worker and a supervisor that serve nobody.

Counterparts: `sidecar.telemetry` and `sidecar.processes.admin`, which make them; `deploy/prometheus/alerts.yml` and
`deploy/grafana/dashboard.json`, which look at them.
Never: a port, a process, or a connection to anything.
"""

import asyncio
import random
import time
from collections.abc import Mapping

from msgspec import Struct
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from sidecar.app import Application, outbox_of, rewriting_of, tables_of
from sidecar.processes.admin import exposition
from sidecar.processes.supervisor import NOBODY_LOST
from sidecar.rewriting.guard import Guard
from sidecar.rewriting.quarantine import MutationQuarantine, PageQuarantine
from sidecar.rewriting.verification import Verification
from sidecar.settings import SidecarSettings
from sidecar.telemetry import Family

_HEAD = """
## Metrics

`/metrics` of the internal listener (`SIDECAR_ADMIN_LISTEN`) has them in Prometheus's format, those of all workers side by side with
the label `worker`. [deploy/prometheus/alerts.yml](deploy/prometheus/alerts.yml) has rules for them,
[deploy/grafana/dashboard.json](deploy/grafana/dashboard.json) a dashboard, and [docs/runbook.md](docs/runbook.md) what to do. Names
and labels stay; there may be new ones. No label holds anything of a visitor or of an address. Beside them there is `process_*` of each
worker where the system tells it: `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`, `process_max_fds` and others.

| metric | kind | labels | it says |
| --- | --- | --- | --- |
"""

_RATES = """
How often the memo of finished pages had the page, and what the 99th hundredth of decisions took:

    sum(rate(layout_mutation_rewriter_memo_hits_total[5m]))
      / (sum(rate(layout_mutation_rewriter_memo_hits_total[5m])) + sum(rate(layout_mutation_rewriter_memo_misses_total[5m])))
    histogram_quantile(0.99, sum by (le) (rate(layout_mutation_decide_seconds_bucket[5m])))
"""


ATTRIBUTES = (
    ("http.request.method", "server", "the method; `_OTHER` for one that is not of HTTP itself"),
    ("url.path", "server", "the path, without the query"),
    ("server.address", "server", "the host that was asked for, as the request says it"),
    ("http.response.status_code", "server, origin", "the status; none where nobody answered"),
    ("error.type", "server, origin", "why there was no answer, or one of 500 and more"),
    (
        "layout_mutation.reason",
        "all but origin",
        "`applied`, why the page passed, what failed, `visitor_left` or `crashed`",
    ),
    ("layout_mutation.table_version", "all but origin", "the table in force"),
    ("layout_mutation.mutations", "all but origin", "how many mutations changed the page"),
    ("layout_mutation.ms", "decide, rewrite", "what it took, in milliseconds"),
)
"""Every attribute of a span: name, which spans have it, what it says."""


class Documented(Struct, frozen=True):
    """One metric as the table shows it."""

    name: str
    """As a query has it: counters end in `_total`."""
    kind: str
    labels: tuple[str, ...]
    words: str

    @property
    def series(self) -> tuple[str, ...]:
        """All names that a query may use for it."""
        if self.kind == "histogram":
            return (self.name, *(f"{self.name}_{part}" for part in ("bucket", "sum", "count")))
        return (self.name,)


def documented() -> list[Documented]:
    """Every metric of a sidecar that is ours, by name."""
    families, labels = asyncio.run(_of_a_worker())
    workers = {
        family.name: _described(family, labels.get(family.name, ()))
        for family in families
        if family.name.startswith("layout_mutation_")  # `process_*` depend on the system
    }
    shown = exposition({}, [], NOBODY_LOST).decode()
    supervisors = {
        family.name: Documented(_queried(family.name, family.type), family.type, _labels(family), family.documentation)
        for family in text_string_to_metric_families(shown)
    }
    return sorted({**workers, **supervisors}.values(), key=lambda one: one.name)


def _labels(family: Metric) -> tuple[str, ...]:
    """Those of the supervisor's samples; what has none is about workers."""
    return tuple(dict.fromkeys(name for sample in family.samples for name in sample.labels)) or ("worker",)


def _described(family: Family, labels: tuple[str, ...]) -> Documented:
    found = labels or tuple(dict.fromkeys(name for sample in family.samples for name in sample.labels if name != "le"))
    return Documented(_queried(family.name, family.kind), family.kind, (*found, "worker"), family.documentation)


def _queried(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" and not name.endswith("_total") else name


async def _of_a_worker() -> tuple[list[Family], Mapping[str, tuple[str, ...]]]:
    """The metrics of a worker that has everything and has done nothing, and the labels of those without samples."""
    settings = SidecarSettings(upstream="http://127.0.0.1:1", drain_s=0.0)
    quarantine = MutationQuarantine(time.monotonic)
    tables, rewriting = tables_of(settings, "documentation", quarantine), rewriting_of(settings)
    entropy = random.Random(1)  # noqa: S311 - nothing is drawn
    verification = Verification(share=0, quarantine=quarantine, table=lambda: None, entropy=entropy)
    application = Application(
        settings,
        tables=tables,
        rewriting=rewriting,
        verification=verification,
        guard=Guard(quarantine, PageQuarantine(), table=lambda: None, clock=time.monotonic),
        outbox=outbox_of(settings, "documentation"),
    )
    try:
        return application.telemetry.families(), application.telemetry.labels
    finally:
        await application.close()


def chapter() -> str:
    """The chapter, with its heading."""
    rows = (
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.words.rstrip('.')} |"
        for one in documented()
    )
    return _HEAD + "\n".join(rows) + "\n" + _RATES + _traces()


def _traces() -> str:
    rows = "\n".join(f"| `{name}` | {spans} | {words} |" for name, spans, words in ATTRIBUTES)
    return _TRACES.replace("ROWS", rows)


_TRACES = """
### Traces

With `SIDECAR_TRACES_ENDPOINT` (and `pip install 'layout-mutation-engine[otel]'`; the image has it) a share of the requests is told as
traces, by OTLP over HTTP: a server span named by the method, a client span `origin` until the head of the origin's response, and
spans `decide` and `rewrite`. The origin gets `traceparent` and `tracestate` of the client span, whether the trace is told or not, so
that its spans belong to the same trace. Those of a request are continued only with `SIDECAR_TRACES_TRUST`; then its own decision
counts, and `SIDECAR_TRACES_SHARE` only for requests that bring none. Without an endpoint both fields pass as they came.

| attribute | spans | it says |
| --- | --- | --- |
ROWS

There is no query, no address of a visitor, no cookie, no other field. A path is told as in the access log: what is personal in a path stays
so. Pages that shadow mode tries after they have left are not traced. Spans wait in memory, 4,096 a worker at most; while the
collector is away more are dropped, which `layout_mutation_trace_spans_total{outcome}` counts: `sent`, `full`, `refused`. No
variable of OpenTelemetry's own (`OTEL_…`) is needed; `OTEL_SDK_DISABLED=true` keeps all spans from being made. A line of the access log has
`trace_id` where its request is traced.
"""
