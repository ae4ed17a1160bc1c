"""What a worker tells of a visit once it has been answered: what was carried out, and which experiments it was part of.

Counterparts: `service.events` has what is told and what is not, `outbox` sends it; `proxy` calls with each response that has
left. `beacons` tells what pages say themselves.
Never: a wait, or an exception: a visit is answered whatever becomes of its events.
"""

import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from typing import Protocol

import structlog

from rules.decision import Decision
from rules.reasons import Reason
from service import events
from service.events import AnyEvent, Conversion, Exposure
from sidecar.context import visit
from sidecar.events.executions import CARRIED_OUT, Executions, bounded
from sidecar.events.outbox import Drop
from sidecar.events.pseudonyms import Pseudonyms
from sidecar.exchange import Exchange
from sidecar.remembering import consents
from sidecar.settings import SidecarSettings

EXPOSURES_MAX = 20_000
"""Exposures that are remembered so as not to be told again; some 4 MB."""
EXPOSURE_S = 1800.0
"""For how long: a unit that goes on for longer is told of again, as a sign of life."""

_APPLIED, _PARTIAL = Reason.APPLIED.value, Reason.PARTIAL.value

_log = structlog.get_logger("sidecar.events.events")


class Sink(Protocol):
    """What `sidecar.events.outbox.Outbox` is to whoever has something to tell. Never raises."""

    def put(self, line: bytes) -> None: ...

    def drop(self, reason: str, count: int = 1) -> None: ...

    def draw_from(self, tell: Callable[[int], bool]) -> None:
        """Call `tell(most)` again and again in each round, while it says that there is more."""

    def status(self) -> Mapping[str, object]: ...


class Events:
    """Tells of the visits of one worker. `sink` None: nobody is told. `run` makes ids that no other run of a worker has."""

    def __init__(
        self,
        settings: SidecarSettings,
        sink: Sink | None,
        *,
        now: Callable[[], datetime],
        entropy: random.Random,
        run: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._now = now
        self._entropy = entropy
        self._pseudonyms = Pseudonyms(settings.events_key)
        self._run = run
        self._numbers = count()
        self._told = _Recent(EXPOSURES_MAX, EXPOSURE_S, clock)
        self._complained = False
        self._executions = Executions(settings.events_share, self._id)
        if sink is not None:
            sink.draw_from(self.tell)

    @property
    def on(self) -> bool:
        """Whether anybody is told."""
        return self._sink is not None

    def visited(self, exchange: Exchange, reason: str, status: int) -> None:
        """A response has left; `reason` is what became of the page. Pages that were decided are told of,
        but for those that a preview link shows."""
        decision = exchange.decision
        if self._sink is None or decision is None or exchange.previewed:
            return
        try:
            if reason == _PARTIAL or exchange.request.method == "HEAD":  # decided for the sake of caches alone
                return
            share = self._settings.events_share
            told = share >= 1 or self._entropy.random() < share
            if told and not self._executions.put_aside(exchange, reason, status, self._now()):
                self._sink.drop(Drop.FULL)
            if decision.trials:
                self._expose(self._sink, exchange, decision, reason)
        except Exception:  # noqa: BLE001 - law 1: what is told of a page costs nobody the next one
            self.failed()

    def tell(self, most: int) -> bool:
        """Make events of pages that have left, at most so many; whether there are more. Called from beside the requests."""
        for _ in range(min(most, len(self._executions))):
            try:
                line = self._executions.next()
                if self._sink is not None:
                    self._sink.put(line)
            except Exception:  # noqa: BLE001 - one page that can't be told of is no reason to lose the others
                self.failed()
        return len(self._executions) > 0

    def converted(
        self, exchange: Exchange, units: Mapping[str, str], said: list[tuple[str, float | None, str | None]]
    ) -> None:
        """A page says (name, value, path) of what happened; `units` are the visitor's, attribute -> unit."""
        if self._sink is None:
            return
        why = Drop.NO_UNIT if not units else None if self._pseudonyms.enabled else Drop.NO_KEY
        if why is not None:
            self._sink.drop(why, len(said))
            return
        names = {attribute: self._pseudonyms.of(attribute, unit) for attribute, unit in units.items()}
        site = bounded(visit.host_of(exchange.authority), events.SITE_CHARACTERS_MAX)
        for name, value, path in said:
            self._put(
                self._sink,
                Conversion(id=self._id(), at=self._now(), site=site, name=name, units=names, path=path, value=value),
            )

    def failed(self) -> None:
        """Called while an exception is handled: count an event that is lost by a bug, and log the first."""
        if self._sink is not None:
            self._sink.drop(Drop.FAILED)
        if not self._complained:
            self._complained = True
            _log.exception("event_failed")

    def refused(self, reason: Drop, number: int) -> None:
        """Count events that may not be told."""
        if self._sink is not None:
            self._sink.drop(reason, number)

    def status(self) -> Mapping[str, object]:
        """For `/readyz` and metrics; empty where nobody is told."""
        if self._sink is None:
            return {}
        return {"units": self._pseudonyms.enabled, "pages": len(self._executions), **self._sink.status()}

    # ---- experiments

    def _expose(self, sink: Sink, exchange: Exchange, decision: Decision, reason: str) -> None:
        """One exposure for each experiment that the page is part of, unless it was told a while ago."""
        visiting = exchange.visit
        if visiting is None or exchange.toggles is not None:  # an operator is no visitor
            return
        if not visit.in_rollout(self._settings.rollout, visiting):
            return
        if not consents(self._settings, exchange.request.headers):
            sink.drop(Drop.NO_CONSENT)
            return
        if not self._pseudonyms.enabled:
            sink.drop(Drop.NO_KEY)
            return
        shown: dict[tuple[str, str, str, str], bool] = {}
        for trial in decision.trials:
            if trial.attribute == visit.UNIT_COOKIE and visiting.unit is None and not exchange.sets_unit:
                continue  # the browser is not told of this unit, so it never comes back
            outcome = exchange.explanation.get(trial.mutation_id)
            seen = not trial.changes or outcome is Reason.NO_CHANGE or (reason == _APPLIED and outcome in CARRIED_OUT)
            key = (trial.experiment_id, trial.variation, trial.attribute, trial.unit)
            shown[key] = shown.get(key, False) or seen
        for (experiment, variation, attribute, unit), seen in shown.items():
            pseudonym = self._pseudonyms.of(attribute, unit)
            if not self._told.is_new((experiment, variation, pseudonym, seen)):
                continue
            self._put(
                sink,
                Exposure(
                    id=self._id(),
                    at=self._now(),
                    site=bounded(visit.host_of(exchange.authority), events.SITE_CHARACTERS_MAX),
                    table=0 if exchange.table is None else exchange.table.version,
                    experiment=experiment,
                    variation=variation,
                    attribute=attribute,
                    unit=pseudonym,
                    shown=seen,
                ),
            )

    # ---- any event

    def _put(self, sink: Sink, event: AnyEvent) -> None:
        sink.put(events.encode(event))

    def _id(self) -> str:
        return f"{self._run}-{next(self._numbers):x}"


class _Recent:
    """What was there a while ago, within bounds. Forgetting too early costs an event more, which readers count once."""

    def __init__(self, size_max: int, seconds: float, clock: Callable[[], float]) -> None:
        self._size_max = size_max
        self._seconds = seconds
        self._clock = clock
        self._since: dict[tuple[str, str, str, bool], float] = {}

    def is_new(self, key: tuple[str, str, str, bool]) -> bool:
        """Whether it was not there for a while; it is from now on."""
        now = self._clock()
        since = self._since.pop(key, None)
        is_new = since is None or now - since >= self._seconds
        self._since[key] = now if since is None or is_new else since
        if len(self._since) > self._size_max:
            del self._since[next(iter(self._since))]
        return is_new
