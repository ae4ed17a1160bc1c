"""Events on their way out: a bounded buffer, batches to Redis, the disk while Redis is away.

Who has something to tell appends a line and goes on. A loop beside the requests makes batches of lines and adds them to a
stream; while Redis is away they go to the spool, and are sent when it is back, after what is new. A batch counts as delivered
when Redis has said so: one whose answer was lost is sent again, with the same ids. What Redis can never take is dropped.
Everything that is dropped is counted, by reason.
Counterparts: `service.events` has the format, `spool` the disk; `events` and `beacons` put lines in.
Never: an exception or a wait for whoever puts something in, or an exception that ends the loop.
"""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.typing import EncodableT, FieldT

from service.events import BATCH_BYTES_MAX, BATCH_EVENTS_MAX, EVENT_BYTES_MAX, entry, sealed
from sidecar.events.spool import Sealed, Spool
from sidecar.tables.feed import BACK_OFF_S_MAX, BACK_OFF_S_MIN, CANCEL_AGAIN_S, REDIS_TIMEOUT_S

EVENTS_MAX = 20_000
"""Events that wait in a worker's memory: some seconds of the busiest one."""
BYTES_MAX = 8 * 1024 * 1024
"""What they may take."""
ROUND_EVENTS = 5 * BATCH_EVENTS_MAX
"""So many events are sent without waiting any longer. Sealing them holds the worker up for a third of a millisecond, and each
round costs as much as a hundred events."""
AT_ONCE = 100
"""Events that are made in one go: half a millisecond."""
PAUSE_S = 0.005
"""Between two of them, for the visitors: all in a row, a second's events hold each of them up for several milliseconds. It still
makes 18,000 a second."""
FLUSH_S = 1.0
"""How long an event waits for others to share a batch with; 0.8 to 1.2 of it, so that workers do not send together."""
JITTER = 0.2
PIPELINE_BATCHES_MAX = 16
"""Batches sent at once: at most 1 MB before compression, so that Redis answers others in between."""
ADOPT_S = 60.0
"""How often segments of workers that are gone are looked for."""
CLOSE_S_MAX = 1.5
"""Longest try to send what is left when stopping; then it goes to disk."""

Done = TypeVar("Done")

_log = structlog.get_logger("sidecar.events.outbox")


class Drop(StrEnum):
    """Why an event was not kept."""

    FULL = "full"
    """The buffer is full: Redis is away, and there is no spool or its disk is full."""
    SPOOL_FULL = "spool_full"
    """The oldest on disk made room for newer ones."""
    TORN = "torn"
    """Its record on disk is damaged; counted once where nobody can say how many there were."""
    REFUSED = "refused"
    """Redis will never take it: the stream's key holds something else, or the server knows no streams."""
    TOO_LARGE = "too_large"
    """It is larger than any event should be."""
    CLOSING = "closing"
    """The worker stopped, Redis was away, and there was no disk."""
    FAILED = "failed"
    """A bug of ours; the log has it."""
    NO_KEY = "no_key"
    """It is about a unit, and without SIDECAR_EVENTS_KEY units are not told."""
    NO_CONSENT = "no_consent"
    """It is about a visitor who has not consented."""
    NO_UNIT = "no_unit"
    """A conversion of a visitor without any unit: there is nothing to relate it to."""


class Outbox:
    """What one worker has to tell. `stream` is the key of its stream; `spool` takes what of a stream's bounds is over.

    `stream_entries_max`: how long a stream may get; Redis forgets the oldest entries. `entropy` spreads workers. Raises
    ValueError for an unusable URL.
    """

    def __init__(
        self,
        redis_url: str,
        stream: str,
        *,
        stream_entries_max: int,
        spool: Spool | None,
        entropy: random.Random,
        events_max: int = EVENTS_MAX,
        bytes_max: int = BYTES_MAX,
        flush_s: float = FLUSH_S,
    ) -> None:
        self._redis: Redis = Redis.from_url(
            redis_url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),  # the loop below tries again, with its own pauses
            decode_responses=False,
        )
        self._stream = stream
        self._stream_entries_max = stream_entries_max
        self._spool = spool
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._entropy = entropy
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._flush_s = flush_s
        self._lines: list[bytes] = []
        self._lines_bytes = 0
        self._sealed: deque[Sealed] = deque()
        self._sealed_events = 0
        self._sealed_bytes = 0
        self._tell: Callable[[int], bool] = lambda _: False
        self._ready = asyncio.Event()
        self._dropped: Counter[str] = Counter()
        self._sent = 0
        self._failures = 0
        self._retry_at = 0.0
        self._adopt_at = 0.0
        self._complaints: set[str] = set()
        self._loop: asyncio.Task[None] | None = None
        self._closed = False

    # ---- who has something to tell

    def put(self, line: bytes) -> None:
        """Take one encoded event, or drop and count it. Never raises and never waits."""
        size = len(line)
        if size > EVENT_BYTES_MAX:
            self._dropped[Drop.TOO_LARGE] += 1
        elif self._held >= self._events_max or self._lines_bytes + self._sealed_bytes + size > self._bytes_max:
            self._dropped[Drop.FULL] += 1
        else:
            self._lines.append(line)
            self._lines_bytes += size
            if len(self._lines) >= ROUND_EVENTS:
                self._ready.set()

    def drop(self, reason: str, count: int = 1) -> None:
        """Count events that are not told, by a `Drop`."""
        self._dropped[reason] += count

    def draw_from(self, tell: Callable[[int], bool]) -> None:
        """Call `tell(most)` in each round, again and again while it says that there is more to put in; it never raises."""
        self._tell = tell

    def status(self) -> Mapping[str, object]:
        """For `/readyz` and metrics. `redis` is connected, lost or none yet; `dropped` is reason -> events."""
        lost = self._dropped if self._spool is None else self._dropped + self._spool.lost
        return {
            "redis": "lost" if self._failures else "connected" if self._sent else "none",
            "waiting": self._held,
            "waitingBytes": self._lines_bytes + self._sealed_bytes,
            "sent": self._sent,
            "dropped": {reason.value: lost[reason] for reason in Drop},
            "spoolBytes": 0 if self._spool is None else self._spool.bytes,
            "spoolEvents": 0 if self._spool is None else self._spool.events,
        }

    # ---- the loop

    def start(self) -> None:
        """Send in the background."""
        self._loop = asyncio.create_task(self._for_ever())

    async def close(self) -> None:
        """Send what is left, within a bound; keep the rest on disk, or drop it. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._ready.set()
        if self._loop is not None:
            await self._ended(self._loop)
        while self._tell(AT_ONCE):
            continue
        self._seal()
        if not self._failures:
            try:
                async with asyncio.timeout(CLOSE_S_MAX):
                    await self._send_sealed()
            except (RedisError, OSError, TimeoutError) as error:
                self._lost(error)
        await self._put_away()
        self.drop(Drop.CLOSING, self._sealed_events)
        if self._spool is not None:
            await self._on_disk(self._spool.close)
        self._disk.shutdown()
        with suppress(RedisError, OSError, TimeoutError):
            await self._redis.aclose()

    async def _ended(self, loop: asyncio.Task[None]) -> None:
        """Wait for the round that is going on, and cancel one that takes too long: Redis hangs."""
        _, late = await asyncio.wait({loop}, timeout=CLOSE_S_MAX)
        if late and not self._failures:
            self._lost(TimeoutError())
        while late:
            # More than once: a client library under way to a timeout of its own may swallow a cancellation.
            loop.cancel()
            _, late = await asyncio.wait(late, timeout=CANCEL_AGAIN_S)

    async def _for_ever(self) -> None:
        while True:
            try:
                await self._round()
            except Exception:  # noqa: BLE001 - a loop that an exception can end would lose everything from then on
                _log.exception("outbox_failed")
            if self._closed:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(self._flush_s * self._entropy.uniform(1 - JITTER, 1 + JITTER)):
                    await self._ready.wait()

    async def _round(self) -> None:
        """Make batches of what is there, and send them; or, while Redis is away, put them on disk."""
        while self._tell(AT_ONCE) and not self._closed:
            if len(self._lines) >= BATCH_EVENTS_MAX:
                self._seal()
            await asyncio.sleep(PAUSE_S)
        self._seal()
        now = time.monotonic()
        if self._spool is not None and now >= self._adopt_at:
            self._adopt_at = now + ADOPT_S
            await self._on_disk(self._spool.adopt)
        if now >= self._retry_at:
            try:
                await self._deliver()
            except (RedisError, OSError, TimeoutError) as error:
                self._lost(error)
        if self._failures:
            await self._put_away()

    def _seal(self) -> None:
        """Lines -> batches."""
        self._ready.clear()
        lines, self._lines = self._lines, []
        begin = size = 0
        for end, line in enumerate(lines):
            if end - begin == BATCH_EVENTS_MAX or size + len(line) + 1 > BATCH_BYTES_MAX:
                self._seal_one(lines[begin:end])
                begin, size = end, 0
            size += len(line) + 1
        if lines:
            self._seal_one(lines[begin:])
        self._lines_bytes = 0

    def _seal_one(self, lines: Sequence[bytes]) -> None:
        batch = Sealed(sealed(lines), len(lines))
        self._sealed.append(batch)
        self._count_sealed(batch, 1)

    def _count_sealed(self, batch: Sealed, sign: int) -> None:
        self._sealed_events += sign * batch.count
        self._sealed_bytes += sign * len(batch.payload)

    @property
    def _held(self) -> int:
        return len(self._lines) + self._sealed_events

    # ---- to Redis

    async def _deliver(self) -> None:
        """What is new, then what is on disk, a little at a time with what is new in between. Raises when Redis is away."""
        await self._send_sealed()
        while (
            self._spool is not None
            and self._spool.bytes
            and not self._closed
            and (batches := await self._on_disk(self._kept))
        ):
            await self._send(batches)
            await self._on_disk(partial(self._spool.done, len(batches)))
            self._seal()
            await self._send_sealed()

    def _kept(self) -> list[Sealed]:
        """The oldest batches on disk; none where the disk does not say."""
        assert self._spool is not None
        try:
            return self._spool.first(PIPELINE_BATCHES_MAX)
        except OSError as error:
            self._complain("spool_unreadable", error)
            return []

    async def _send_sealed(self) -> None:
        while batches := list(islice(self._sealed, PIPELINE_BATCHES_MAX)):
            await self._send(batches)
            for batch in batches:
                self._sealed.popleft()
                self._count_sealed(batch, -1)

    async def _send(self, batches: Sequence[Sealed]) -> None:
        """Add batches to the stream; when this returns each is there, or was refused for good. Raises what may pass."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for batch in batches:
                fields: dict[FieldT, EncodableT] = dict(entry(batch.payload).items())
                _ = pipeline.xadd(self._stream, fields, maxlen=self._stream_entries_max, approximate=True)
            answers = await pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception) and not _is_final(answer):
                raise answer
        for batch, answer in zip(batches, answers, strict=True):
            if isinstance(answer, Exception):
                self.drop(Drop.REFUSED, batch.count)
                self._complain("events_refused", answer)
            else:
                self._sent += batch.count
        if self._failures:
            _log.info("events_flow", after_failures=self._failures)
        self._failures = 0

    def _lost(self, error: Exception) -> None:
        """Wait before the next try, the longer the more tries have failed."""
        if not self._failures:
            kept = "on disk" if self._spool is not None else "in memory"
            _log.warning("events_wait", error=str(error) or type(error).__name__, meanwhile=f"they are kept {kept}")
        self._failures += 1
        wait_s = min(BACK_OFF_S_MAX, BACK_OFF_S_MIN * 2.0 ** min(self._failures - 1, 16))
        self._retry_at = time.monotonic() + wait_s * self._entropy.uniform(0.5, 1.0)

    # ---- to disk

    async def _put_away(self) -> None:
        """Sealed batches to disk, as long as it takes them."""
        if self._spool is None:
            return
        while self._sealed:
            try:
                await self._on_disk(partial(self._spool.append, self._sealed[0]))
            except OSError as error:
                self._complain("spool_not_written", error)
                return
            self._count_sealed(self._sealed.popleft(), -1)

    async def _on_disk(self, do: Callable[[], Done]) -> Done:
        """In a thread, one thing after another: also after whoever waited for it was cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, do)

    def _complain(self, event: str, error: Exception) -> None:
        """A line for each trouble, once."""
        if event not in self._complaints:
            self._complaints.add(event)
            _log.warning(event, error=str(error) or type(error).__name__)


def _is_final(error: Exception) -> bool:
    """Whether the same command would be refused for ever. Others pass: no memory left, a replica, a wrong password."""
    if type(error) is not ResponseError:
        return False
    return error.status_code == "ERR" or str(error).startswith("WRONGTYPE")
