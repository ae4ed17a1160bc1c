"""Counts for `/metrics`, in the text format of Prometheus.

Counterpart: `api/problems.py` counts each answer. Never: an id, a path or a person in a label; labels are closed lists.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from control_plane.alerts import Alert, Severity
from control_plane.intent import Publication

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
STATES = ("starting", "primary", "mirror")
"""Who answers: nobody yet, the database, its mirror."""


class Telemetry:
    """The counters of one process."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "control_plane_answers",
            "Answers of the API and the admin pages.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "control_plane_answer_seconds", "Time to an answer.", ("route",), registry=self._registry, buckets=SECONDS
        )
        self._published = Gauge(
            "control_plane_published", "1 if Redis has the newest decision table.", registry=self._registry
        )
        self._version = Gauge(
            "control_plane_table_version", "Version of the newest decision table known here.", registry=self._registry
        )

        self._alerts = Gauge(
            "control_plane_alerts_open",
            "Alerts of this instance that are open.",
            ("severity",),
            registry=self._registry,
        )
        self._answering = Gauge(
            "control_plane_store",
            "1 for what answers: the database or its mirror.",
            ("state",),
            registry=self._registry,
        )
        self._outbox = Gauge(
            "control_plane_outbox", "Changesets that wait in the mirror for the database.", registry=self._registry
        )
        self._mirror_age = Gauge(
            "control_plane_mirror_age_seconds",
            "Seconds since the mirror was last known to be level with the database.",
            registry=self._registry,
        )

        self._repairs = Counter(
            "control_plane_schema_repairs",
            "Repairs of the database's schema, by what was wrong.",
            ("drift",),
            registry=self._registry,
        )
        self._drift = Gauge(
            "control_plane_schema_drift",
            "How many differences of the database's schema wait for a person.",
            registry=self._registry,
        )
        self._of_audit()
        self._told = Counter(
            "control_plane_events",
            "Events that sidecars told: new, a repetition of one that is kept, or not understood.",
            ("what",),
            registry=self._registry,
        )
        self._aside = Counter(
            "control_plane_event_entries_aside",
            "Entries of the streams that could not be read or stored.",
            registry=self._registry,
        )

    def _of_audit(self) -> None:
        self._audit_faults = Gauge(
            "control_plane_audit_faults",
            "What the last look of this instance at the audit found; 0 where it is sound.",
            registry=self._registry,
        )
        self._audit_verified = Gauge(
            "control_plane_audit_verified_timestamp_seconds",
            "When this instance looked at the audit last; 0 where it has not yet.",
            registry=self._registry,
        )

    def repaired(self, kind: str) -> None:
        """Count a repair of the schema; `kind` is of the closed list in `control_plane.schema.drift`."""
        self._repairs.labels(kind).inc()

    def drifted(self, count: int) -> None:
        """Keep how many differences the last look at the schema left."""
        self._drift.set(count)

    def verified(self, faults: int, at_s: float) -> None:
        """Keep what a look at the audit found, and when (seconds since 1970)."""
        self._audit_faults.set(faults)
        self._audit_verified.set(at_s)

    def told(self, new: int, repeated: int) -> None:
        """Count events that were kept, and those that had come before."""
        self._told.labels("new").inc(new)
        self._told.labels("repeated").inc(repeated)

    def not_understood(self, count: int) -> None:
        """Count events that are none."""
        self._told.labels("not_understood").inc(count)

    def put_aside(self) -> None:
        """Count an entry."""
        self._aside.inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer; `route` is the pattern, not the path."""
        self._answers.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def stands(self, state: str, *, outbox: int, mirror_age_s: float) -> None:
        """How the database and its mirror stand to each other; `state` is one of `STATES`."""
        for one in STATES:
            self._answering.labels(one).set(one == state)
        self._outbox.set(outbox)
        self._mirror_age.set(mirror_age_s)

    def exposition(self, publication: Publication, alerts: Iterable[Alert] = ()) -> bytes:
        """Everything as text."""
        found = [alert.severity for alert in alerts]
        for severity in Severity:
            self._alerts.labels(severity.value).set(found.count(severity))
        self._published.set(publication.published)
        self._version.set(publication.table_version)
        return generate_latest(self._registry)
