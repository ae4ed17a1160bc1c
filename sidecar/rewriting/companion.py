"""A child process for what nobody waits for: a page judged again, or a page that did harm tried again.

Counterparts: `child.py` is the wire; `verification.py` and `inquiry.py` ask.
Never: a question that a visitor's page depends on.
"""

import asyncio
from collections.abc import Sequence
from enum import StrEnum

from sidecar.rewriting.child import Child

START_S_MAX = 10.0


class How(StrEnum):
    """How a child was lost."""

    NOT_STARTED = "not_started"
    """It never got the question."""
    ENDED = "ended"
    LATE = "late"


class CompanionLostError(Exception):
    """There is no answer, and `how` that came."""

    def __init__(self, why: str, how: How) -> None:
        super().__init__(why)
        self.how = how


class Companion:
    """One child, started when it is first needed and replaced when it is lost; asked one thing at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        self.starts = 0
        self._command = tuple(command)
        self._child: Child | None = None
        self._is_lost = False
        self._news: asyncio.Future[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        return None if self._child is None else self._child.pid

    async def ask(self, message: bytes, within_s: float) -> bytes:
        """The answer; raises CompanionLostError."""
        if self._is_lost:
            await self.close()  # it ended while it had nothing to do
        child = self._child or await self._start()
        try:
            self._expect()
            child.ask(message)
            return await self._heard(within_s)
        except TimeoutError:
            await self.close()
            raise CompanionLostError(f"it took longer than {within_s:g} s", How.LATE) from None
        except CompanionLostError:
            await self.close()
            raise

    async def close(self) -> None:
        """End the child, whatever it does."""
        if self._child is not None:
            self._child.end()
            await self._child.reaped()  # whoever is cancelled here has it still, and closes again
        self._child, self._is_lost = None, False

    async def _start(self) -> Child:
        self.starts += 1
        self._child = child = Child(on_ready=self._is_ready, on_reply=self._replied, on_end=self._lost)
        self._expect()
        try:
            await child.start(self._command)
            await self._heard(START_S_MAX)
        except (OSError, TimeoutError, CompanionLostError) as error:
            await self.close()
            why = str(error) or f"it was not ready within {START_S_MAX:g} s"
            raise CompanionLostError(f"it could not be started: {why}", How.NOT_STARTED) from error
        return child

    def _expect(self) -> None:
        self._news = asyncio.get_running_loop().create_future()

    async def _heard(self, within_s: float) -> bytes:
        """What the child says, or has said, since `_expect`."""
        assert self._news is not None
        async with asyncio.timeout(within_s):
            return await self._news

    def _is_ready(self, child: Child) -> None:
        self._replied(child, b"")

    def _replied(self, _: Child, said: bytes) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(said)

    def _lost(self, child: Child, why: str) -> None:
        self._is_lost = child is self._child
        if self._news is not None and not self._news.done():
            self._news.set_exception(CompanionLostError(why, How.ENDED))
