"""Who was it? A page that did harm is tried again, afterwards, with fewer and fewer of its mutations.

The page alone, then all mutations, then by halves: the first so many that do harm, of which the last is to blame. That is
2 + log2(n) tries, each in a process of its own that may die of it, in twice the page's deadline, one page after another and
at most one in a while. Who took long without hanging is told by the rewriter itself.
Counterparts: `guard.py` brings pages and hears what was found; `rewriter.py` runs in the child, as it does for visitors.
Never: a visitor who waits, or a mutation blamed for a page that does harm without it.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple

import msgspec
import structlog

from rules.group import Group
from rules.reasons import Reason
from sidecar.rewriting.child import COMMAND
from sidecar.rewriting.companion import Companion, CompanionLostError, How
from sidecar.rewriting.confinement import MESSAGE_BYTES_MAX
from sidecar.rewriting.memo import MemoKey
from sidecar.rewriting.quarantine import Why, path_of
from sidecar.rewriting.rewriter import Reply, Request

QUEUE_PAGES_MAX = 4
INTERVAL_S = 1.0
"""From the end of one inquiry to the beginning of the next, in one worker: a broken site must not cost a core."""
PATIENCE = 2.0
"""Times the page's deadline: nobody waits, and a busy machine is no fault."""
AGAIN_S = 600.0
"""A page of the same address and decision is not tried again before."""
REMEMBERED_MAX = 1_024

_log = structlog.get_logger("sidecar.rewriting.inquiry")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Reply).decode


class Outcome(StrEnum):
    """What an inquiry came to."""

    MUTATION = "mutation"
    """One is to blame."""
    PAGE = "page"
    """It does harm without any mutation."""
    NOBODY = "nobody"
    """It went well this time."""
    FAILED = "failed"
    """It could not be tried."""
    DROPPED = "dropped"
    """Others were waiting."""


class Harm(NamedTuple):
    """A page that did harm, and what was done to it. `versions`: of its mutations, by id."""

    key: MemoKey
    body: bytes
    groups: tuple[Group, ...]
    versions: Mapping[str, int]


class Finding(NamedTuple):
    """`mutation_id` is to blame for it, and of what; `slow` took long: mutation -> microseconds."""

    outcome: Outcome
    mutation_id: str = ""
    why: Why = Why.RAISED
    slow: Mapping[str, int] = {}


class _Tried(NamedTuple):
    why: Why | None
    slow: Mapping[str, int] = {}


class Inquiry:
    """The queue, and the child; for one worker, on its event loop. `on_found(harm, finding)` hears of each."""

    def __init__(
        self,
        *,
        deadline_s: float,
        slow_us: int,
        on_found: Callable[[Harm, Finding], None],
        command: Sequence[str] = COMMAND,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._within_s = PATIENCE * deadline_s
        self._slow_us = slow_us
        self._on_found = on_found
        self._interval_s = interval_s
        self._companion = Companion(command)
        self._queue: asyncio.Queue[Harm] = asyncio.Queue(QUEUE_PAGES_MAX)
        self._asked: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._work: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Pages in the queue."""
        return self._queue.qsize()

    def open(self, harm: Harm) -> None:
        """Have a page tried when its turn comes. Never raises and never waits."""
        now, asked = asyncio.get_running_loop().time(), (harm.key.address, harm.key.decision)
        if now - self._asked.get(asked, -math.inf) < AGAIN_S:
            return
        try:
            self._queue.put_nowait(harm)
        except asyncio.QueueFull:
            self._on_found(harm, Finding(Outcome.DROPPED))
            return
        self._asked[asked] = now
        self._asked.move_to_end(asked)
        if len(self._asked) > REMEMBERED_MAX:
            self._asked.popitem(last=False)
        if self._work is None:
            self._work = asyncio.create_task(self._try_all())

    async def close(self) -> None:
        """Stop, and end the child."""
        if self._work is not None:
            self._work.cancel()
            with suppress(asyncio.CancelledError):
                await self._work
        await self._companion.close()

    async def _try_all(self) -> None:
        while True:
            harm = await self._queue.get()
            try:
                self._on_found(harm, await self._found(harm))
            except Exception:  # noqa: BLE001 - a loop that a bug can end would stop the inquiries unseen
                _log.exception("inquiry_failed", page=path_of(harm.key.address))
            await self._companion.close()  # seldom needed, and 20 MB
            await asyncio.sleep(self._interval_s)

    async def _found(self, harm: Harm) -> Finding:
        try:
            if (await self._try(harm, 0)).why is not None:
                return Finding(Outcome.PAGE)
            good, bad = 0, len(harm.groups)
            last = await self._try(harm, bad)
            if last.why is None:
                return Finding(Outcome.NOBODY, slow=last.slow)
            while bad - good > 1:
                middle = (good + bad) // 2
                tried = await self._try(harm, middle)
                if tried.why is None:
                    good = middle
                else:
                    bad, last = middle, tried
            assert last.why is not None
            return Finding(Outcome.MUTATION, harm.groups[bad - 1].mutation_id, last.why)
        except (CompanionLostError, ValueError) as error:
            _log.warning("inquiry_not_made", page=path_of(harm.key.address), why=str(error))
            return Finding(Outcome.FAILED)

    async def _try(self, harm: Harm, count: int) -> _Tried:
        """The page with its first `count` mutations. Raises CompanionLostError where there is no child, ValueError."""
        key, groups = harm.key, _encode(harm.groups[:count])
        message = _encode(Request(1, groups, key.charset, key.nonce, harm.body, key.script, self._slow_us))
        if len(message) > MESSAGE_BYTES_MAX:
            raise ValueError(f"page and mutations take {len(message)} bytes")
        try:
            reply = _decode(await self._companion.ask(message, self._within_s))
        except CompanionLostError as error:
            if error.how is How.NOT_STARTED:
                raise
            return _Tried(Why.HUNG if error.how is How.LATE else Why.KILLED)
        except msgspec.MsgspecError:
            await self._companion.close()
            return _Tried(Why.KILLED)  # what it says is nonsense: whatever is left of it is no rewriter
        if reply.passed is not None and reply.passed.reason is Reason.REWRITE_FAILED:
            return _Tried(Why.RAISED)
        return _Tried(None, reply.slow)
