"""One catastrophe, played: the client works, visitors come, something dreadful happens; what came of it is judged and told.

Counterparts: `stage` has the parts, `books` says what became of the writes, `conftest` makes a `Play` for each test and prints
what it told. Never: a catastrophe of its own.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import msgspec

from tests.end_to_end.chaos.books import Books, compared
from tests.end_to_end.chaos.client import Client
from tests.end_to_end.chaos.stage import Stage
from tests.end_to_end.conftest import CHAOS
from tests.end_to_end.faults.crowd import Figures
from tests.end_to_end.stack import until

ACCEPTED_S = 5.0
"""After the server is back: what is aimed at. A row that took longer is marked."""
ACCEPTED_S_MAX = 4 * ACCEPTED_S
"""On a machine that does much else."""
DEADLINE_S = 60.0
VISITORS = 6
WRITES, WRITES_IN_A_HURRY = 15, 5
"""Before something happens, and after all is well again."""


class Play:
    """One catastrophe. `seconds`: how long outages last where that is a matter of choice."""

    def __init__(self, stage: Stage, name: str, seconds: float, tell: Callable[[str, object], None], *, hurry: bool):
        """`hurry`: on a machine that does much else; then nobody looks at the clock."""
        self.stage, self.seconds = stage, seconds
        self.unread_max = 0
        """Reads that may fail."""
        self.alone = True
        """There is one instance, so that whoever reads sees what was written."""
        self.lost_max = 0
        """Acknowledged writes that may be lost: where everything is gone that they were on."""
        self.expected: set[str] = set()
        """Alerts that have to be there, each with advice."""
        self._name, self._tell, self._hurry = name, tell, hurry
        self._writes = WRITES_IN_A_HURRY if hurry else WRITES
        self._again: list[float] = []
        self._doctor = ""
        self._remarks: list[str] = []

    # ---------------------------------------------------------------- while it lasts

    @contextmanager
    def going_on(self) -> Iterator[Client]:
        """The client works and visitors come, before the block for a moment and after it; what came of it is judged."""
        stage = self.stage
        stage.crowd.begin(stage.stack.sidecar.port, people=VISITORS)
        try:
            with stage.client() as self.client:
                self.writes(self._writes)
                yield self.client
                self.writes(self._writes)
        finally:
            seen = stage.crowd.end()
        self._judge(seen)

    def writes(self, more: int, within_s: float = DEADLINE_S) -> None:
        """Wait until so many more writes are acknowledged."""
        wanted = self.client.count() + more
        until(lambda: self.client.count() >= wanted, within_s, what=f"{more} more writes")

    def passes(self, seconds: float) -> None:
        """Let time pass, while everybody works."""
        over = time.monotonic() + seconds
        until(lambda: self.client.count() >= 0 and time.monotonic() >= over, seconds + DEADLINE_S)

    def accepted_again(self, since: float | None = None) -> None:
        """Wait until a write is in the database that was sent after `since`, which is now; how long it took is told."""
        began = time.monotonic() if since is None else since

        def found() -> list[float]:
            ledger = list(self.client.ledger)
            return [one.at for one in ledger if one.sent_at >= began and not one.provisional]

        until(lambda: self.client.count() >= 0 and bool(found()), DEADLINE_S, what="a write in the database")
        self._again.append(found()[0] - began)

    def taken_back(self) -> None:
        """Wait until nothing waits for the database any more."""
        self.stage.answers("primary", within_s=DEADLINE_S)

    def ask_doctor(self) -> None:
        """What the doctor says now."""
        self._doctor = next(iter(self.stage.doctor()), "all is well")

    def sees(self, *alerts: str) -> None:
        """Wait until the operator sees these alerts."""
        self.expected.update(alerts)
        until(lambda: self.expected <= set(self._alerts()), DEADLINE_S, what=f"the alerts {sorted(self.expected)}")

    def remark(self, text: str) -> None:
        """Something more for the table."""
        self._remarks.append(text)

    # ---------------------------------------------------------------- afterwards

    def _alerts(self) -> dict[str, Any]:
        """Every alert of this installation, over or not, by what it is."""
        found = self.stage.ask("alerts?state=all&limit=100")["items"]
        return {one["id"]: one for one in found}

    def _judge(self, seen: Figures) -> None:
        stage, client = self.stage, self.client
        books = compared(client.ledger, stage.ask)
        audit = stage.ask("audit/verify")
        alerts = self._alerts()
        self._tell(CHAOS, msgspec.json.encode(self._told(seen, books, audit["sound"], alerts)).decode())
        assert seen.failed == 0, seen
        assert len(books.lost) <= self.lost_max, books.lost
        assert books.doubled == [], books.doubled
        assert books.overtaken == [], books.overtaken
        assert len(client.unread) <= self.unread_max, client.unread
        assert audit["sound"], audit
        assert self.expected <= set(alerts), sorted(alerts)
        assert all(alert["advice"] for alert in alerts.values())
        if self.alone:
            assert books.conflicts == [], books.conflicts
            assert client.refused == [], client.refused
            assert client.stale == [], client.stale
        if not self._hurry:
            assert max(self._again, default=0.0) <= ACCEPTED_S_MAX, self._again

    def _told(self, seen: Figures, books: Books, sound: bool, alerts: dict[str, Any]) -> dict[str, str | int]:
        """A line of the table that is printed."""
        client = self.client
        provisional = sum(one.provisional for one in client.ledger)
        again = f"{max(self._again):.1f} s" if self._again else "-"
        again += " LATE" if max(self._again, default=0.0) > ACCEPTED_S else ""
        said = ", ".join(sorted(alerts)) or "no alert"
        verdicts = ", ".join(self._verdicts())
        if 1 < len(self._again) < 10:
            self.remark("again after " + ", ".join(f"{took:.1f}" for took in self._again) + " s")
        words = [said, f"judged: {verdicts}" if verdicts else "", f"doctor: {self._doctor}" if self._doctor else ""]
        return {
            "catastrophe": self._name,
            "acknowledged": len(client.ledger),
            "meanwhile": provisional,
            "lost": len(books.lost),
            "conflicts": len(books.conflicts),
            "reads": client.read,
            "failed": len(client.unread),
            "pages": seen.requests,
            "broken": seen.failed,
            "longest gap": f"{self.gap_so_far():.1f} s",
            "again after": again,
            "audit": "sound" if sound else "UNSOUND",
            "the operator sees": " | ".join(filter(None, [*words, *self._remarks])),
        }

    def gap_so_far(self) -> float:
        """The longest time in which no write was acknowledged."""
        at = [one.at for one in self.client.ledger]
        return max((later - before for before, later in pairwise(at)), default=0.0)

    def _verdicts(self) -> list[str]:
        """What the database was taken for, in order, but for what is said at every start."""
        lines = self.stage.plane.log.read_text("utf-8", "replace").splitlines()
        said = [msgspec.json.decode(line) for line in lines if '"database_judged"' in line]
        found = [one["verdict"] for one in said][1:]
        return [one for at, one in enumerate(found) if at == 0 or one != found[at - 1]]
