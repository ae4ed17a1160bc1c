"""Redis as this plane sees it: where new tables are heard of, and where the fleet is told what runs.

Counterpart: the control plane writes `table` and `table:version` and announces versions on `tables`; `tables.py` decides
what becomes of what is read here. A subscription hears of a new table at once; a poll finds it when the message was
lost. Both run until they are stopped: an exception ends a round, never the loop.

Never: decides what is in force, or reads a value before its size is known to be bounded.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from rules import limits
from service.keys import Keys
from sidecar.tables.bounded import BoundedParser
from sidecar.tables.reading import Large
from sidecar.tables.refusals import LOOK_BYTES, Look, Refusals, look_of

POLL_JITTER = 0.2
"""A poll comes after 0.8 to 1.2 intervals, so that a fleet that started together does not ask together."""

BACK_OFF_S_MIN = 0.1
BACK_OFF_S_MAX = 3.0
"""Longest wait before a Redis that was away is asked again; half of it at least, by chance."""

REDIS_TIMEOUT_S = 2.0
LISTEN_S = 10.0
"""A silent subscription is asked for a sign of life this often."""

HEARTBEAT_S = 10.0
CANCEL_AGAIN_S = 0.2

ANNOUNCED_BYTES_MAX = 32
"""Read of an announcement: a number has 18 digits at most."""

_log = structlog.get_logger("sidecar.tables.feed")


class HeldThere(msgspec.Struct, frozen=True):
    """A mutation that an instance skips for a while: in which version, what it did, until when (RFC 3339, UTC)."""

    version: int
    why: str
    until: str


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """What an instance says of itself in the hash `fleet`: `state` is ACK, NACK or none."""

    instance: str
    version: int | None
    digest: str | None
    state: str
    reason: str
    workers: int
    held: dict[str, HeldThere] = {}
    """Mutations of the table in force that are skipped here for a while, by id."""
    switched_off: tuple[str, ...] = ()
    """What switches everything off here: `file`, `signal`, both or nothing."""


class FleetEntry(Report, frozen=True, rename="camel", kw_only=True):
    """A report with its time (RFC 3339, UTC). Readers ignore entries that were not seen for some heartbeats."""

    seen_at: str


class Receiver(Protocol):
    """Who hears of tables: `tables.Tables`."""

    def wants(self, version: int | None) -> bool:
        """Whether a table announced with this version (None: no number) should be read."""

    async def offer(self, sealed: bytearray, announced: str) -> bool:
        """Take the table; whether it is in force now."""

    def refuse(self, reason: str, detail: str, announced: str) -> None:
        """There is something where a table should be, and it can't be read."""

    def refused_again(self) -> None:
        """There is what was refused before, or one more of many that were, and it is not read now."""

    def report(self) -> Report:
        """What the fleet should know."""


class Feed:
    """Follows Redis for one receiver. `now` gives RFC 3339 UTC text. Raises ValueError for an unusable URL."""

    def __init__(
        self,
        url: str,
        keys: Keys,
        receiver: Receiver,
        *,
        poll_s: float,
        entropy: random.Random,
        now: Callable[[], str],
    ) -> None:
        self.connected: bool | None = None
        """None until the first answer or failure."""
        self.heard_at: float | None = None
        """`time.monotonic` of the last answer."""
        self._redis: Redis = Redis.from_url(
            url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),  # the loops below try again, with their own pauses
            decode_responses=False,
            parser_class=BoundedParser,
        )
        self._large = Large(url, timeout_s=REDIS_TIMEOUT_S)
        self._keys = keys
        self._receiver = receiver
        self._poll_s = poll_s
        self._entropy = entropy
        self._now = now
        self._turn = asyncio.Lock()
        self._refusals = Refusals(time.monotonic)
        self._reported: Report | None = None
        self._reported_at = 0.0
        self._complaints: set[str] = set()
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    def start(self) -> None:
        """Follow in the background."""
        self._tasks = (
            asyncio.create_task(self._for_ever(self._poll, self._poll_failed)),
            asyncio.create_task(self._for_ever(self._listen, self._listen_failed)),
        )

    async def close(self) -> None:
        """Stop, and leave the fleet if Redis is there."""
        left = set(self._tasks)
        while left:
            # More than once: a client library under way to a timeout of its own may swallow a cancellation.
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
        with suppress(RedisError, OSError, TimeoutError):
            if self.connected:
                async with asyncio.timeout(REDIS_TIMEOUT_S):
                    await _number(self._redis.hdel(self._keys.fleet, self._receiver.report().instance))
        await self._redis.aclose()

    # ---- the two loops

    async def _for_ever(self, follow: Callable[[], Awaitable[None]], failed: Callable[[Exception], None]) -> None:
        """Begin `follow` again whenever it ends, which only an exception makes it do; wait longer each time."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await follow()
            except (RedisError, OSError, TimeoutError) as error:
                failed(error)
            except Exception:  # noqa: BLE001 - a loop that an exception can end would freeze the table for ever
                _log.exception("table_loop_failed")
            failures = 0 if time.monotonic() - began > BACK_OFF_S_MAX else failures + 1
            wait_s = min(BACK_OFF_S_MAX, BACK_OFF_S_MIN * 2.0 ** min(failures, 16))
            await asyncio.sleep(wait_s * self._entropy.uniform(0.5, 1.0))

    async def _poll(self) -> None:
        while True:
            await self._refresh()
            await asyncio.sleep(self._poll_s * self._entropy.uniform(1 - POLL_JITTER, 1 + POLL_JITTER))

    async def _listen(self) -> None:
        async with self._redis.pubsub() as channel:
            await channel.subscribe(self._keys.tables)
            asked = False
            while True:
                message = await channel.get_message(timeout=REDIS_TIMEOUT_S if asked else LISTEN_S)
                if message is None:
                    if asked:
                        raise RedisConnectionError("the subscription is silent")
                    await channel.ping()
                asked = message is None
                # That we are subscribed is news too: what was announced before was not heard.
                if message is not None and message["type"] in ("message", "subscribe"):
                    await self._refresh()

    def _poll_failed(self, error: Exception) -> None:
        if self.connected is not False:
            self.connected = False
            _log.warning("redis_lost", error=str(error) or type(error).__name__, meanwhile="the last good table stays")

    def _listen_failed(self, error: Exception) -> None:
        """Redis being away is the poll's to tell; a refused subscription is worth a line of its own."""
        if isinstance(error, ResponseError):
            self._complain("subscription_refused", str(error))

    # ---- one look

    async def _refresh(self) -> None:
        """Look for a newer table and tell the fleet if something changed. Raises RedisError while Redis is away."""
        async with self._turn:
            try:
                await self._look()
            except ResponseError as error:
                self._receiver.refuse("unreadable", _said(error), "")
            self.heard_at = time.monotonic()
            if self.connected is not True:
                self.connected = True
                _log.info("redis_connected")
            await self._tell()

    async def _look(self) -> None:
        announced: Any = await self._redis.getrange(self._keys.table_version, 0, ANNOUNCED_BYTES_MAX - 1)
        if not announced:
            self._receiver.wants(0)
            return
        if self._receiver.wants(_version(announced)):
            await self._read(announced.decode("utf-8", "replace"))

    async def _read(self, announced: str) -> None:
        """Read and offer the table, unless it is one that was refused a moment ago."""
        bytes_max = limits.TABLE_BYTES_MAX
        try:
            length = await _number(self._redis.strlen(self._keys.table))
            if length > bytes_max:
                self._receiver.refuse("too_large", f"{length:,} bytes; at most {bytes_max:,}", announced)
                return
            beginning: Any = await self._redis.getrange(self._keys.table, 0, LOOK_BYTES - 1)
            if not self._refusals.allow(Look(length, beginning)):
                self._receiver.refused_again()
                return
            # It may have been replaced by a larger one since: never more than the bound and a byte.
            sealed = await self._large.read(self._keys.table, bytes_max + 1)
        except ResponseError as error:
            self._receiver.refuse("malformed", _said(error), announced)
            return
        if not sealed:
            self._receiver.refuse("malformed", "a version is announced and there is no table", announced)
        elif await self._receiver.offer(sealed, announced):
            self._refusals.forget()
        else:
            self._refusals.add(look_of(sealed))

    async def _tell(self) -> None:
        """Write our entry of the fleet if it changed or is due."""
        report = self._receiver.report()
        if report == self._reported and time.monotonic() - self._reported_at < HEARTBEAT_S:
            return
        entry = FleetEntry(**msgspec.structs.asdict(report), seen_at=self._now())
        try:
            await _number(self._redis.hset(self._keys.fleet, report.instance, msgspec.json.encode(entry).decode()))
        except ResponseError as error:
            self._complain("fleet_report_refused", str(error))
        self._reported = report
        self._reported_at = time.monotonic()

    def _complain(self, event: str, error: str) -> None:
        """A line for each trouble that lasts, once."""
        if event not in self._complaints:
            self._complaints.add(event)
            _log.warning(event, error=error)


def _version(announced: bytes) -> int | None:
    """A decimal version, None if it is none. Bounded: int() is quadratic in digits."""
    return int(announced) if announced.isdigit() and len(announced) <= 18 else None


def _said(error: ResponseError) -> str:
    """What Redis says of an error: its words are anybody's who owns it, and are kept."""
    return str(error)[: limits.PROBLEM_CHARACTERS_MAX]


async def _number(answer: "Awaitable[int] | int") -> int:
    """redis-py types the commands of both its clients at once; the asynchronous one always gives an awaitable."""
    return answer if isinstance(answer, int) else await answer
