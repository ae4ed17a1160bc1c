"""The streams that sidecars tell events on, read by one group of which every instance is a member.

An entry stays pending until it is acknowledged; what a member that is gone had taken is claimed by another.
Counterpart: `service.events` has the format, `ingestion.py` decides what becomes of an entry. Never: an entry acknowledged that
nobody said is kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from control_plane.exchange import TIMEOUT_S, ExchangeError
from service.keys import Keys

GROUP = "control-plane"
ENTRIES_MAX = 10  # of each stream at once: at most 2.5 MB of events, so that memory stays bounded whoever wrote them
CLAIM_IDLE_MS = 60_000  # an entry that somebody took so long ago is taken over
ASIDE_ENTRIES_MAX = 1_000


class Entry(Struct, frozen=True):
    """One entry of a stream. `fields`: None where Redis has forgotten it meanwhile."""

    stream: str
    id: str
    fields: Mapping[bytes, bytes] | None


class EventStreams:
    """All shards of one installation."""

    def __init__(self, redis_url: str, keys: Keys, *, consumer: str) -> None:
        """`consumer`: name of this instance in the group."""
        self._keys = keys
        self._consumer = consumer
        self._redis: Redis = Redis.from_url(
            redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 1)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def new(self) -> list[Entry]:
        """Entries that nobody has taken; they are this instance's now. Raises ExchangeError."""
        return await self._read(">")

    async def taken(self) -> list[Entry]:
        """Entries that this instance took and has not acknowledged. Raises ExchangeError."""
        return await self._read("0")

    async def claimed(self) -> int:
        """Take over what members that are gone had taken; how many entries. Raises ExchangeError."""
        count = 0
        for stream in self._keys.events:
            command = (
                "XAUTOCLAIM",
                stream,
                GROUP,
                self._consumer,
                CLAIM_IDLE_MS,
                "0-0",
                "COUNT",
                ENTRIES_MAX,
                "JUSTID",
            )
            count += len(await self._do(*command, parse_justid=True))
        return count

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Say that entries are dealt with. Raises ExchangeError."""
        for stream in self._keys.events:
            ids = [entry.id for entry in entries if entry.stream == stream]
            if ids:
                await self._do("XACK", stream, GROUP, *ids)

    async def put_aside(self, entry: Entry, why: str) -> None:
        """Keep an entry that can't be read or stored where a person finds it. Raises ExchangeError."""
        fields = [part for pair in (entry.fields or {}).items() for part in pair]
        length = ("MAXLEN", "~", ASIDE_ENTRIES_MAX)
        await self._do("XADD", self._keys.events_aside, *length, "*", "why", why, "from", entry.stream, *fields)

    async def _read(self, after: str) -> list[Entry]:
        streams = self._keys.events
        command = ("XREADGROUP", "GROUP", GROUP, self._consumer, "COUNT", ENTRIES_MAX, "STREAMS", *streams)
        answer = await self._do(*command, *(after for _ in streams))
        found = answer.items() if isinstance(answer, dict) else answer or ()
        return [
            Entry(_text(stream), _text(entry_id), _fields(fields))
            for stream, entries in found
            for entry_id, fields in _flat(entries)
        ]

    async def _do(self, *command: Any, again: bool = True, **options: bool) -> Any:
        try:
            return await self._redis.execute_command(*command, **options)  # type: ignore[no-untyped-call]
        except ResponseError as error:
            if not again or not str(error).startswith("NOGROUP"):
                raise ExchangeError(f"redis_refuses: {error}"[:300]) from error
        except (RedisError, OSError, TimeoutError) as error:
            raise ExchangeError(f"redis_unreachable: {type(error).__name__}: {error}"[:300]) from error
        await self._found()
        return await self._do(*command, again=False, **options)

    async def _found(self) -> None:
        """Make the group where Redis has none: at the first start, or after it lost everything."""
        for stream in self._keys.events:
            try:
                await self._redis.execute_command("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")  # type: ignore[no-untyped-call]
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise ExchangeError(f"redis_refuses: {error}"[:300]) from error
            except (RedisError, OSError, TimeoutError) as error:
                raise ExchangeError(f"redis_unreachable: {type(error).__name__}: {error}"[:300]) from error


def _flat(entries: Any) -> list[tuple[Any, Any]]:
    """Pairs of id and fields; some versions of the client's protocol wrap them once more."""
    if len(entries) == 1 and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], (list, tuple)):
        return [tuple(one) for one in entries[0]]
    return [tuple(one) for one in entries]


def _fields(fields: Any) -> Mapping[bytes, bytes] | None:
    if not fields:
        return None
    return fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
