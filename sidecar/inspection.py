"""What a worker answers about itself: its table, a decision and its reasons, its metrics.

Counterparts: `processes.workers` carries the questions over the control channel, `processes.admin` shows the answers.
Never: anything about a visitor; addresses to explain come from operators.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from rules.decision import decide
from service.descriptions import described
from sidecar.context.contexts import context_of_address
from sidecar.events.events import Events
from sidecar.kill_switch import KillSwitch
from sidecar.question import TableSource
from sidecar.rewriting.guard import Guard
from sidecar.rewriting.pages import PageRewriter
from sidecar.rewriting.quarantine import Held
from sidecar.rewriting.verification import Verification
from sidecar.telemetry import Family, Telemetry


class Inspection:
    """Answers questions of the internal listener, in one worker."""

    def __init__(  # noqa: PLR0913 - each is a part that is asked
        self,
        tables: TableSource,
        rewriting: PageRewriter,
        telemetry: Telemetry,
        verification: Verification,
        events: Events,
        switch: KillSwitch,
        now: Callable[[], datetime],
        upstream: Callable[[], dict[str, object]],
        *,
        guard: Guard,
    ) -> None:
        self._upstream = upstream
        self._guard = guard
        self._verification = verification
        self._events = events
        self._tables = tables
        self._rewriting = rewriting
        self._telemetry = telemetry
        self._switch = switch
        self._now = now

    def status(self) -> dict[str, object]:
        """The state of table, origins, rewriter, guard, second opinion and events, and what switches everything off."""
        return {
            "switchedOff": self._switch.causes,
            "table": self._tables.status(),
            "upstream": self._upstream(),
            "rewriter": self._rewriting.status(),
            "guard": self._guard.status(),
            "verification": self._verification.status(),
            "events": self._events.status(),
        }

    def hold(self, held: Held) -> None:
        """Hold what another worker holds, or what this place's last worker was lost over."""
        self._guard.enter(held, asyncio.get_running_loop().time())

    def pages(self) -> list[dict[str, object]]:
        """The pages in quarantine here, the latest first."""
        return self._guard.pages_shown(asyncio.get_running_loop().time())

    def metrics(self) -> list[Family]:
        """Every metric of this worker."""
        return self._telemetry.families()

    def mutations(self) -> list[dict[str, Any]]:
        """The mutations of the table in force, without their payloads; `quarantined` ones are skipped here for a while."""
        table = self._tables.current
        if table is None:
            return []
        shown = ("id", "name", "site", "layoutId", "pageSlug", "moduleId", "mutationType", "priority", "version")
        flags = ("isActive", "status", "schedule")
        records = (msgspec.to_builtins(mutation) for mutation in table.rules.mutations)
        held = self._verification.quarantine.held(table)
        return [
            {**{name: record.get(name) for name in (*shown, *flags)}, "quarantined": record["id"] in held}
            for record in records
        ]

    def explain(self, url: str, attributes: dict[str, Any]) -> dict[str, Any]:
        """What the table in force decides for an address, and why; `attributes` are the visit's."""
        table = self._tables.current
        if table is None:
            return {"url": url, "table": None, "reason": "no_table", "outcomes": []}
        held = self._verification.quarantine.held(table)
        context = context_of_address(url, attributes, self._now(), held=held)
        decision = decide(table, described(context, table))
        return {
            "url": url,
            "table": {"version": table.version, "digest": table.digest},
            "outcomes": [
                {"mutationId": outcome.mutation_id, "reason": outcome.reason.value, "detail": outcome.detail}
                for outcome in decision.outcomes
            ],
            "applies": [group.mutation_id for group in decision.groups],
            "redirect": msgspec.to_builtins(decision.redirect),
            "assignments": dict(decision.assignments),
            "reads": sorted(decision.reads),
            "private": decision.private,
        }
