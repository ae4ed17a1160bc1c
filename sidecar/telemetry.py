"""What the data plane tells about itself: metrics and events.

One `Telemetry` per worker process. The supervisor asks each worker for its samples and shows them side by side.
Counterparts: `service.logs` formats the events, `processes.admin` serves the metrics.
Never: personal data. Of an address only the path is logged, and a failure that repeats is one line a second with a count.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rules.reasons import Reason

_MILLISECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_WAITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Origins take longer than what is done here."""
QUIET_S = 1.0
"""A failure of one kind is logged at most this often."""


class Sample(Struct, frozen=True, array_like=True):
    """One line of an exposition."""

    name: str
    labels: dict[str, str]
    value: float


class Family(Struct, frozen=True, array_like=True):
    """One metric with its samples, as it travels from a worker to the supervisor."""

    name: str
    documentation: str
    kind: str
    unit: str
    samples: list[Sample]


class Telemetry:
    """A worker's metrics, and its way to report failures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._labels: dict[str, tuple[str, ...]] = {}
        self._responses = self._counter(
            "responses", "Responses by what became of the page (or why it passed) and status", "reason", "status"
        )
        self._response_children: dict[tuple[str, int], Counter] = {}
        self._failures = self._counter("failures", "Pages that passed because something of ours failed", "reason")
        for reason in (Reason.DECIDE_FAILED, Reason.REWRITE_FAILED):
            self._failures.labels(reason.value)
        self._upstream_errors = self._counter("upstream_errors", "Requests that the origin failed", "reason")
        self._unit_tokens_refused = self._counter(
            "unit_tokens_refused", "Tokens of SIDECAR_UNITS that did not verify, by attribute", "attribute"
        )
        self._states_refused = self._counter("states_refused", "Cookies lm_state that did not count, and why", "reason")
        self._handed_over_refused = self._counter(
            "handed_over_refused",
            "Attributes of a page that are no JSON object, or too large, by where the origin wrote them",
            "place",
        )
        self.decide_s = self._histogram("decide_seconds", "Time to decide one visit")
        self.rewrite_s = self._histogram("rewrite_seconds", "Time to rewrite one page, waiting and memo included")
        self._first_byte_s = self._histogram(
            "upstream_first_byte_seconds",
            "Time from a request without a body to the head of the origin's response, connecting included",
            "origin",
            buckets=_WAITS,
        )
        self._shadowed = self._counter(
            "shadow_responses", "Pages that shadow mode tried, by what would have become of them", "reason"
        )
        self._shadow_bytes = self._counter(
            "shadow_bytes",
            "Of pages that would have changed: bytes of the origin's and of those in their place, as they would leave",
            "page",
        )
        self._previews = self._counter("previews", "Preview links, by what came of them", "outcome")
        self.shadow_skipped = self._counter(
            "shadow_skipped", "Pages that shadow mode did not try, since others were waiting"
        )
        self._sent = self._counter("sent_bytes", "Bytes sent to visitors")
        self._spans = self._counter("trace_spans", "Spans of traces, by what became of them", "outcome")
        self.bad_requests = self._counter("bad_requests", "Requests that are not HTTP and were answered 400")
        self.requests_refused = self._counter(
            "requests_refused",
            "Requests refused before they were whole: too slow (408) or too large (413, 414, 431)",
            "status",
        )
        self.connections = self._gauge("connections", "Connections of visitors that are open")
        self.connections_refused = self._counter(
            "connections_refused", "Connections closed for their PROXY protocol header: broken, or late", "reason"
        )
        self.held_back = self._counter(
            "connections_held_back", "Times that no connection was taken since there were SIDECAR_CONNECTIONS_MAX"
        )
        self.reclaimed = self._counter(
            "connections_reclaimed", "Idle connections that were ended since somebody waited to be let in"
        )
        self._accept_failures = self._counter(
            "accept_failures", "Connections that could not be taken, by the system's error", "reason"
        )
        self.in_progress = self._gauge("requests_in_progress", "Requests in progress")
        self.switched_off = self._gauge(
            "switched_off", "Whether every page passes because the file or a signal says so", "by"
        )
        ProcessCollector(registry=self.registry)
        self._log = structlog.get_logger("sidecar")
        self._quiet_until: dict[tuple[str, str], float] = {}
        self._suppressed: dict[tuple[str, str], int] = {}

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        self._labels[f"layout_mutation_{name}"] = labels
        return Counter(f"layout_mutation_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        self._labels[f"layout_mutation_{name}"] = labels
        return Gauge(f"layout_mutation_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, *labels: str, buckets: tuple[float, ...] = _MILLISECONDS) -> Histogram:
        self._labels[f"layout_mutation_{name}"] = labels
        return Histogram(f"layout_mutation_{name}", about, labels, buckets=buckets, registry=self.registry)

    def responded(self, reason: str, status: int, sent_bytes: int) -> None:
        """Count one response; `reason` is a `Reason`, or a `Trouble` of the origin."""
        key = (reason, status)
        child = self._response_children.get(key)
        if child is None:
            child = self._response_children[key] = self._responses.labels(reason, str(status))
        child.inc()
        self._sent.inc(sent_bytes)

    def answered_by(self, origin: str) -> Callable[[float], None]:
        """What is told how long that origin took to answer a request, in seconds."""
        observe: Callable[[float], None] = self._first_byte_s.labels(origin).observe
        return observe

    def previewed(self, outcome: str, detail: str = "", path: str = "") -> None:
        """Count a preview link; of a draft that can't be used also say why, for whoever made the link."""
        self._previews.labels(outcome).inc()
        if detail:
            self._say("preview_refused", outcome, level="info", path=path, detail=detail)

    def shadowed(self, reason: Reason, original: int = 0, changed: int = 0) -> None:
        """Count a page that shadow mode tried; of one that would have changed also its sizes, in bytes."""
        self._shadowed.labels(reason.value).inc()
        if reason is Reason.APPLIED:
            self._shadow_bytes.labels("original").inc(original)
            self._shadow_bytes.labels("changed").inc(changed)

    def unit_token_refused(self, attribute: str) -> None:
        """Count a token that is no unit: a wrong key, or somebody trying."""
        self._unit_tokens_refused.labels(attribute).inc()

    def state_refused(self, reason: str) -> None:
        """Count a cookie that is no state; `reason` is a `Refusal` of `sidecar.context.state_cookie`."""
        self._states_refused.labels(reason).inc()

    def handed_over_refused(self, place: str, path: str) -> None:
        """What an origin hands over with a page can't be used: `header` or `island`."""
        self._handed_over_refused.labels(place).inc()
        self._say("page_attributes_refused", place, level="warning", path=path)

    def span_told(self, outcome: str, count: int) -> None:
        """Count spans; `outcome` is one of `sidecar.tracing.delivery.Outcome`."""
        self._spans.labels(outcome).inc(count)

    def crashed(self, error: BaseException | None) -> None:
        """A request ended without an answer of its own: a bug of ours that the fail-open seam did not catch."""
        self._say("request_failed", "crashed", level="error", exc_info=error)

    def failed(self, reason: Reason, error: BaseException, path: str) -> None:
        """A page passed because of a bug of ours: counted, and logged with its traceback."""
        self._failures.labels(reason.value).inc()
        self._say("page_passed", reason.value, level="error", path=path, exc_info=error)

    def count_failure(self, reason: Reason) -> None:
        """A page passed because something of ours failed, which has been logged where it happened."""
        self._failures.labels(reason.value).inc()

    def refused(self, reason: Reason, detail: str, path: str) -> None:
        """A page that was to be rewritten passed for an expected reason: one line where somebody may want to look."""
        self._say("page_passed", reason.value, level="info", path=path, detail=detail)

    def accept_failed(self, error: str) -> None:
        """The system had no descriptor or no memory for a connection, which waits meanwhile."""
        self._accept_failures.labels(error).inc()
        self._say("accept_failed", error, level="error", fix="raise the limit of open files, or add workers")

    def upstream_failed(self, trouble: str, detail: str, path: str) -> None:
        """The origin failed a request."""
        self._upstream_errors.labels(trouble).inc()
        self._say("upstream_failed", trouble, level="warning", path=path, detail=detail)

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """The labels of metrics that have no samples yet, by name."""
        return self._labels

    def families(self) -> list[Family]:
        """Every metric with its samples, now."""
        return [
            Family(
                name=metric.name,
                documentation=metric.documentation,
                kind=metric.type,
                unit=metric.unit,
                samples=[
                    Sample(sample.name, dict(sample.labels), sample.value)
                    for sample in metric.samples
                    if not sample.name.endswith("_created")
                ],
            )
            for metric in self.registry.collect()
        ]

    def _say(self, event: str, reason: str, *, level: str, **fields: Any) -> None:
        key, now = (event, reason), time.monotonic()
        if now < self._quiet_until.get(key, 0.0):
            self._suppressed[key] = self._suppressed.get(key, 0) + 1
            return
        self._quiet_until[key] = now + QUIET_S
        if more := self._suppressed.pop(key, 0):
            fields["suppressed"] = more
        getattr(self._log, level)(event, reason=reason, **fields)


class StatusCollector(Collector):
    """Shows the `status()` of the table's and the rewriter's keepers as metrics."""

    def __init__(self, table: Callable[[], Mapping[str, Any]], rewriting: Callable[[], Mapping[str, Any]]) -> None:
        self._table = table
        self._rewriting = rewriting

    def collect(self) -> Iterable[Metric]:
        table = self._table()
        version = GaugeMetricFamily(
            "layout_mutation_table_version", "Version of the decision table in force, 0 for none"
        )
        version.add_metric([], float(table.get("version") or 0))
        yield version
        for name, words in (("age", "the table in force was made"), ("heard", "Redis last answered")):
            seconds = table.get(f"{name}_seconds")
            family = GaugeMetricFamily(f"layout_mutation_table_{name}_seconds", f"Time since {words}")
            if isinstance(seconds, (int, float)):
                family.add_metric([], float(seconds))
            yield family
        names = ["state", "reason", "source", "redis", "snapshot"]
        info = GaugeMetricFamily(
            "layout_mutation_table_state", "1 for the state the table is in, and why", labels=names
        )
        info.add_metric([str(table.get(name) or "") for name in names], 1.0)
        yield info
        yield from _numbers("layout_mutation_rewriter", self._rewriting())


class OpinionCollector(Collector):
    """What the second opinion has come to so far."""

    def __init__(
        self, status: Callable[[], Mapping[str, Any]], opinions: Callable[[], Mapping[tuple[str, str], int]]
    ) -> None:
        self._status = status
        self._opinions = opinions

    def collect(self) -> Iterable[Metric]:
        given = CounterMetricFamily(
            "layout_mutation_opinions",
            "Second opinions on rewritten pages, by verdict, and why there is none",
            labels=["verdict", "reason"],
        )
        for labels, count in self._opinions().items():
            given.add_metric(labels, float(count))
        yield given
        status = self._status()
        for name, words in (
            ("dropped", "Rewritten pages of the sample that were not judged, since others were waiting"),
            ("restarts", "Times that the process of the second opinion was replaced"),
        ):
            yield CounterMetricFamily(f"layout_mutation_opinions_{name}", words, value=float(status[name]))


class OriginCollector(Collector):
    """What this worker knows of each origin; a request only counts, and here it is put into words."""

    def __init__(self, status: Callable[[], Mapping[str, Any]]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        origins = self._status()["origins"]
        for kind, name, key, words in (
            (GaugeMetricFamily, "up", "up", "Whether this worker sends requests there as usual"),
            (GaugeMetricFamily, "requests_in_progress", "inProgress", "Requests whose response has not ended"),
            (CounterMetricFamily, "requests", "requests", "Requests sent there, repeated ones included"),
            (
                CounterMetricFamily,
                "retries",
                "retries",
                "Requests it failed that were sent once more, elsewhere where possible",
            ),
            (CounterMetricFamily, "last_resort", "lastResort", "Requests sent there although no origin was up"),
        ):
            family = kind(f"layout_mutation_upstream_{name}", words, labels=["origin"])
            for origin in origins:
                family.add_metric([origin["origin"]], float(origin[key]))
            yield family
        breaker = GaugeMetricFamily(
            "layout_mutation_upstream_breaker", "1 for the state that the breaker is in", labels=["origin", "state"]
        )
        for origin in origins:
            for state in ("closed", "open", "half_open"):
                breaker.add_metric([origin["origin"], state], float(origin["breaker"] == state))
        yield breaker
        for name, key, words, label in (
            ("failures", "failures", "Requests that the origin failed, mended elsewhere or not", "reason"),
            ("checks", "checks", "Health checks", "outcome"),
        ):
            counts = CounterMetricFamily(f"layout_mutation_upstream_{name}", words, labels=["origin", label])
            for origin in origins:
                for value, number in origin[key].items():
                    counts.add_metric([origin["origin"], value], float(number))
            yield counts


class GuardCollector(Collector):
    """What the guard holds, and what it found."""

    def __init__(self, status: Callable[[], Mapping[str, Any]]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        status = self._status()
        held = GaugeMetricFamily(
            "layout_mutation_mutations_held",
            "Mutations of the table in force that are skipped here, by what they did",
            labels=["reason"],
        )
        reasons = [one["why"] for one in status["held"]]
        for reason in status["openings"]:
            held.add_metric([reason], float(reasons.count(reason)))
        yield held
        for name, label, words in (
            ("openings", "reason", "Times that this worker had a mutation skipped, by what it did"),
            ("inquiries", "outcome", "Pages that did harm and were tried again, by what came of it"),
        ):
            family = CounterMetricFamily(f"layout_mutation_guard_{name}", words, labels=[label])
            for value, count in status[name].items():
                family.add_metric([value], float(count))
            yield family


class EventCollector(Collector):
    """What became of the events that were told; nothing where none are."""

    def __init__(self, status: Callable[[], Mapping[str, Any]]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        if not (status := self._status()):
            return
        yield CounterMetricFamily("layout_mutation_events_sent", "Events that Redis took", value=float(status["sent"]))
        dropped = CounterMetricFamily(
            "layout_mutation_events_dropped", "Events that nobody is told of", labels=["reason"]
        )
        for reason, count in status["dropped"].items():
            dropped.add_metric([reason], float(count))
        yield dropped
        for name, key, words in (
            ("pages", "pages", "Pages that have left and are not told of yet"),
            ("waiting", "waiting", "Events in memory that are not sent yet"),
            ("waiting_bytes", "waitingBytes", "What those take, in bytes"),
            ("spooled", "spoolEvents", "Events on disk, for the time that Redis is away"),
            ("spool_bytes", "spoolBytes", "What those take, in bytes"),
        ):
            family = GaugeMetricFamily(f"layout_mutation_events_{name}", words)
            family.add_metric([], float(status[key]))
            yield family


GROWING = frozenset({"hits", "misses", "lessons"})
"""What of a rewriter's status only ever grows."""

_WORDS = {
    "ready": "Whether the page rewriter takes pages: 0 while its child process starts, and pages pass",
    "restarts": "Times that the page rewriter's child process was replaced",
    "waiting": "Pages that wait for the page rewriter's child process",
    "quarantined": "Pages that killed or hung the page rewriter and pass from then on",
    "hits": "Pages that were answered from here",
    "misses": "Pages that were not to be found here",
    "lessons": "Differences between pages of one address that were learned",
    "pages": "Pages that are kept",
    "bytes": "What they take, in bytes",
    "bytes_max": "What they may take, in bytes",
}


def _numbers(prefix: str, status: Mapping[str, Any], of: str = "") -> Iterable[Metric]:
    for name, value in status.items():
        if isinstance(value, Mapping):
            yield from _numbers(f"{prefix}_{name}", value, f" ({name})")
        elif isinstance(value, (bool, int, float)) and name != "pid":
            words = _WORDS.get(name, f"`{name}` of the page rewriter's status") + of
            kind = CounterMetricFamily if name in GROWING else GaugeMetricFamily
            family = kind(f"{prefix}_{name}", words)
            family.add_metric([], float(value))
            yield family
