"""Long work that a person asked for and nobody waits beside: begun, watched, and what came of it last.

Counterpart: the admin's pages begin it and look at it. Never: work that must not be lost; it ends with its process.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec
import structlog
from msgspec import Struct

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


class Errands:
    """The work of one process, one piece of a name at a time."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._known: dict[str, Errand] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

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

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
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
