"""The right to take changes while the database is away, held in Redis by one of all instances.

`SET … NX PX` takes it; scripts that compare the holder's name first renew and release it, so that nobody ends what another
one holds. Counterpart: `control_plane.store.mirrored` asks before each write. Never: held longer here than in Redis, by this
machine's own clock.
"""

import time
from collections.abc import Callable

from control_plane.exchange import Exchange, ExchangeError

LEASE_S = 10.0
MARGIN_S = 2.0  # clocks run apart, and an answer takes its time: we stop believing in it before Redis does
RENEW_AFTER_S = 2.0
UNREACHABLE = "Redis, which says which instance takes changes meanwhile, can't be reached either"

_RENEW = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0"
_RELEASE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"


class WritersLease:
    """The lease as one instance sees it."""

    def __init__(
        self, exchange: Exchange, key: str, instance: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`instance`: its name, which no other one has; people read it. `clock` in seconds, never set back."""
        self._exchange = exchange
        self._key = key
        self._instance = instance
        self._clock = clock
        self._until = 0.0
        self._renew_at = 0.0

    @property
    def held(self) -> bool:
        """Whether it is still ours; no I/O."""
        return self._clock() < self._until

    async def hold(self) -> bool:
        """Take it, or make it last longer; False where another one has it or Redis is away."""
        asked = self._clock()
        if self.held and asked < self._renew_at:
            return True
        try:
            ours = await self._renewed() or await self._taken()
        except ExchangeError:
            return self.held  # nobody else can have it before it ends
        self._until = asked + LEASE_S - MARGIN_S if ours else 0.0
        self._renew_at = asked + RENEW_AFTER_S
        return self.held

    async def release(self) -> None:
        """Let others have it; never raises. A Redis that is away forgets it by itself."""
        held, self._until = self.held, 0.0
        if held:
            try:
                await self._exchange.command("EVAL", _RELEASE, 1, self._key, self._instance)
            except ExchangeError:
                return

    async def elsewhere(self) -> bool:
        """Whether another instance has it, as far as Redis says; never raises."""
        return await self._holder() not in ("", self._instance)

    async def holder(self) -> str:
        """Who has it, as the end of a sentence for people; never raises."""
        try:
            holder = await self._asked()
        except ExchangeError:
            return UNREACHABLE
        return f"{holder} takes changes meanwhile" if holder else "no instance has begun to take changes; send it again"

    async def refusal(self) -> str:
        """Why it could not be had here now, as `holder` says it; empty where it could. Takes nothing, and never raises."""
        if self.held:
            return ""
        try:
            holder = await self._asked()
        except ExchangeError:
            return UNREACHABLE
        return "" if holder in ("", self._instance) else f"{holder} takes changes meanwhile"

    async def _holder(self) -> str:
        try:
            return await self._asked()
        except ExchangeError:
            return ""

    async def _asked(self) -> str:
        value = await self._exchange.command("GET", self._key)
        return "" if value is None else bytes(value).decode("utf-8", "replace")

    async def _renewed(self) -> bool:
        return bool(await self._exchange.command("EVAL", _RENEW, 1, self._key, self._instance, _milliseconds()))

    async def _taken(self) -> bool:
        answer = await self._exchange.command("SET", self._key, self._instance, "NX", "PX", _milliseconds())
        return answer is not None


def _milliseconds() -> int:
    return int(LEASE_S * 1000)
