"""Redis, where the two planes meet: the decision table goes out, what each sidecar runs comes back.

Counterpart: `sidecar.tables.tables` follows what is offered here; `publishing.py` decides what to offer. Never: a table with a
lower version over a higher one, except over something that was judged not to be ours.
"""

from typing import Any

import msgspec
from msgspec import Struct
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from rules import limits
from service.keys import Keys

TIMEOUT_S = 2.0  # connect, and each command: a publisher waits no longer for an answer
FLEET_ENTRIES_MAX = 10_000
VERSION_DIGITS_MAX = 18  # as sidecars read them
VERSION_BYTES_MAX = 32  # of what stands where a version should; more is nobody's, and is not read
HEAD_BYTES = 256  # key id and signature of a sealed table need about 120

# SET both and PUBLISH in one step, unless what is there is at least as new. ARGV[3] is a version that was judged void.
_OFFER = """
local there = redis.call('GETRANGE', KEYS[2], 0, tonumber(ARGV[5]) - 1)
local number = tonumber(there)
if number and number >= tonumber(ARGV[1]) and there ~= ARGV[3] and redis.call('EXISTS', KEYS[1]) == 1 then
    return there
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[4], ARGV[1])
return ARGV[1]
"""


class ExchangeError(Exception):
    """Redis can't be used right now. The message says why, without secrets."""


class Seen(Struct, frozen=True):
    """What is in Redis. `version` as it stands there, None without one; `size` in bytes; `head`: the first bytes.

    The signature stands in the head, so two tables with equal heads and sizes are the same.
    """

    version: str | None
    size: int
    head: bytes

    def is_table(self, version: int, sealed: bytes) -> bool:
        """Whether this is that table."""
        return self.number == version and self.size == len(sealed) and sealed.startswith(self.head)

    @property
    def number(self) -> int | None:
        """The version as a number, None if it is none."""
        text = self.version
        if text is None or len(text) > VERSION_DIGITS_MAX or not text.isascii() or not text.isdecimal():
            return None
        return int(text)


class Exchange:
    """One Redis or Valkey."""

    def __init__(self, redis_url: str, keys: Keys) -> None:
        self._keys = keys
        self._redis: Redis = Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # once more, for a connection that went stale while idle
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def ping(self) -> None:
        """Raises ExchangeError if Redis is away."""
        await self.command("PING")

    async def seen(self) -> Seen:
        """What is there, without the bytes."""
        version = bytes(await self.command("GETRANGE", self._keys.table_version, 0, VERSION_BYTES_MAX - 1))
        size = await self.command("STRLEN", self._keys.table)
        head = await self.command("GETRANGE", self._keys.table, 0, HEAD_BYTES - 1)
        return Seen(version.decode("utf-8", "replace") if version else None, int(size), bytes(head))

    async def table(self) -> bytes:
        """The sealed table that is there, empty if there is none; at most one byte more than a table may have."""
        return bytes(await self.command("GETRANGE", self._keys.table, 0, limits.TABLE_BYTES_MAX))

    async def offer(self, version: int, sealed: bytes, *, over: str | None = None) -> str:
        """Publish unless there is something at least as new; `over` is a version to disregard. The version there now."""
        keys = self._keys
        now = await self.command(
            "EVAL",
            _OFFER,
            2,
            keys.table,
            keys.table_version,
            version,
            sealed,
            over or "",
            keys.tables,
            VERSION_BYTES_MAX,
        )
        return bytes(now).decode("utf-8", "replace")

    async def fleet(self) -> list[dict[str, Any]]:
        """What each sidecar said last about itself, by instance; entries that are no JSON object are left out."""
        entries: dict[bytes, bytes] = {}
        cursor = b"0"
        while len(entries) < FLEET_ENTRIES_MAX:
            cursor, found = await self.command("HSCAN", self._keys.fleet, cursor, "COUNT", 1000)
            entries.update(found if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True))
            if int(cursor) == 0:
                break
        return [entry for _, value in sorted(entries.items()) if (entry := _json_object(value)) is not None]

    async def command(self, *command: object) -> Any:
        """One command, and its answer as Redis gives it, mostly bytes; raises ExchangeError."""
        try:
            return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
        except (RedisError, OSError, TimeoutError) as error:
            raise ExchangeError(f"redis_unreachable: {type(error).__name__}: {error}"[:300]) from error


def _json_object(value: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(value, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
