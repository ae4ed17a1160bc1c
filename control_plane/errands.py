"""Long work that somebody asked for and nobody has to wait beside: begun, watched, and what came of it.

Pages ask by the name of the work, one of a name at a time, and show what came of it last. Programs ask by the id that they were given, and
find there what they would have been answered. Counterparts: the admin's pages, and `control_plane.api.errands`. Never: work that must not
be lost; it ends with its process.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import msgspec
import structlog
import uuid_utils
from msgspec import Struct

ASKED_MAX = 8  # under way at once: each reads everything, and who asks in a loop must not have them pile up
KEPT_MAX = 100
KEPT = timedelta(days=1)

log = structlog.get_logger("errands")


class Errand(Struct, frozen=True, kw_only=True):
    """One piece of work."""

    subject: str
    """What it is done with, such as a backup's name; empty where there is only one such thing."""
    actor: str
    begun_at: datetime
    ended_at: datetime | None = None
    outcome: str = ""
    """What came of it, in a sentence."""
    failed: bool = False
    """It could not be done; the outcome says why."""


class Asked(Struct, frozen=True, kw_only=True):
    """One piece of work that a program asked for."""

    id: str
    """A UUID, which nobody guesses."""
    what: str
    """Which work, in a stable word."""
    subject: str
    actor: str
    begun_at: datetime
    ended_at: datetime | None = None
    outcome: object = None
    """What the work gave; None where it was ended before."""


class Errands:
    """The work of one process."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._known: dict[str, Errand] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asked: dict[str, Asked] = {}
        self._asked_tasks: dict[str, asyncio.Task[None]] = {}

    def of(self, name: str) -> Errand | None:
        """The one that is under way, else the last one; None where there was none."""
        return self._known.get(name)

    def begin(
        self,
        name: str,
        work: Callable[[], Awaitable[str]],
        *,
        subject: str = "",
        actor: str,
        expected: tuple[type[Exception], ...],
    ) -> bool:
        """Do it from now on; False where one of the name is under way.

        `work` gives its outcome. An `expected` error is told in its own words, any other one is in the log.
        """
        if name in self._tasks:
            return False
        errand = Errand(subject=subject, actor=actor, begun_at=self._clock())
        self._known[name] = errand
        task = asyncio.create_task(self._run(name, errand, work, expected), name=f"errand-{name}")
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))
        return True

    def ask(
        self, what: str, work: Callable[[], Awaitable[object]], *, subject: str = "", actor: str, join: bool = False
    ) -> Asked | None:
        """Do it from now on; None where ASKED_MAX are under way.

        `work` gives its outcome and raises nothing. `join`: where the same is under way for the same subject, that one.
        """
        going_on = [self._asked[errand_id] for errand_id in self._asked_tasks]
        same = next((one for one in going_on if join and (one.what, one.subject) == (what, subject)), None)
        if same is not None or len(going_on) >= ASKED_MAX:
            return same
        self._let_go_of_old()
        asked = Asked(id=str(uuid_utils.uuid7()), what=what, subject=subject, actor=actor, begun_at=self._clock())
        self._asked[asked.id] = asked
        task = asyncio.create_task(self._run_asked(asked, work), name=f"errand-{what}")
        self._asked_tasks[asked.id] = task
        task.add_done_callback(lambda _: self._asked_tasks.pop(asked.id, None))
        return asked

    def asked(self, errand_id: str) -> Asked | None:
        """What is known of one; None where there was none, or it is long ago."""
        return self._asked.get(errand_id)

    async def until_ended(self, asked: Asked, seconds: float) -> Asked:
        """What is known of one when it has ended, or after so long."""
        task = self._asked_tasks.get(asked.id)
        if task is not None:
            await asyncio.wait([task], timeout=seconds)
        return self._asked.get(asked.id, asked)

    async def close(self) -> None:
        """End what is under way."""
        tasks = [*self._tasks.values(), *self._asked_tasks.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(
        self, name: str, errand: Errand, work: Callable[[], Awaitable[str]], expected: tuple[type[Exception], ...]
    ) -> None:
        failed = True
        try:
            outcome = await work()
            failed = False
        except expected as error:
            outcome = str(error)
        except Exception as error:  # nobody awaits it: whoever asked has to hear of it all the same
            log.exception("errand_failed", errand=name, error=type(error).__name__)
            outcome = f"an error that nobody foresaw ({type(error).__name__}); the log of this instance has it"
        self._known[name] = msgspec.structs.replace(errand, ended_at=self._clock(), outcome=outcome, failed=failed)

    async def _run_asked(self, asked: Asked, work: Callable[[], Awaitable[object]]) -> None:
        outcome: object = None
        try:
            outcome = await work()
        finally:
            self._asked[asked.id] = msgspec.structs.replace(asked, ended_at=self._clock(), outcome=outcome)

    def _let_go_of_old(self) -> None:
        """The oldest that ended go, where there are many or it is long ago; those under way are fewer than are kept."""
        ended = [one for one in self._asked.values() if one.ended_at is not None]
        for number, one in enumerate(ended):
            if len(ended) - number >= KEPT_MAX or one.begun_at < self._clock() - KEPT:
                del self._asked[one.id]
