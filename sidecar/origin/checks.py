"""Health checks: each origin is asked for one path again and again, so that visitors need not find out that it is down.

Each worker asks for itself, over connections of their own, so that an origin whose connections are all in use is not taken
for a dead one. Counterpart: `origins`, which is told. Never: a loop that an exception can end, or a page that waits for a check.
"""

import asyncio
import random
from collections.abc import Sequence

import structlog

from sidecar.heads.headers import serialise
from sidecar.origin.origins import FAILED, PASSED, Origin
from sidecar.origin.upstream import OriginConnections, UpstreamError
from sidecar.settings import SidecarSettings

JITTER = 0.2
"""How far the time between two checks strays, as a share: workers must not ask together."""

_log = structlog.get_logger("sidecar.origin.checks")


class Check:
    """The checks of one origin."""

    def __init__(self, origin: Origin, connections: OriginConnections, settings: SidecarSettings) -> None:
        self.origin = origin
        self.connections = connections
        self._timeout_s = settings.upstream_check_timeout_s
        self._needed = {PASSED: settings.upstream_check_up, FAILED: settings.upstream_check_down}
        fields = [(b"Host", origin.host), (b"User-Agent", b"layout-mutation-check"), (b"Connection", b"close")]
        self._head = serialise(b"GET %s HTTP/1.1" % settings.upstream_check_path.encode(), fields)
        self._last = ""
        self._in_a_row = 0

    async def once(self) -> None:
        """Ask, and tell the origin where enough checks in a row agree."""
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self.connections.send("GET", self._head, None, lambda _: None)
            response.close()
            outcome = PASSED if 200 <= response.status < 400 else FAILED
            detail = f"it answers {response.status}"
        except TimeoutError:
            outcome, detail = FAILED, f"no answer within {self._timeout_s:g} s"
        except UpstreamError as error:
            outcome, detail = FAILED, str(error)
        self._in_a_row = self._in_a_row + 1 if outcome == self._last else 1
        self._last = outcome
        self.origin.checks[outcome] += 1
        if self._in_a_row >= self._needed[outcome] and self.origin.healthy is (outcome == FAILED):
            self.origin.checked(healthy=outcome == PASSED, detail=detail)


class Checks:
    """All checks of one worker. None are made before `start`, and none without SIDECAR_UPSTREAM_CHECK_PATH."""

    def __init__(self, checks: Sequence[Check], *, interval_s: float, entropy: random.Random) -> None:
        self._checks = checks
        self._interval_s = interval_s
        self._entropy = entropy
        self._asking: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Ask every origin from now on."""
        self._asking = [asyncio.create_task(self._ask(check)) for check in self._checks]

    async def close(self) -> None:
        """Ask no more."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        for check in self._checks:
            await check.connections.close()

    async def _ask(self, check: Check) -> None:
        await asyncio.sleep(self._interval_s * self._entropy.uniform(0, JITTER))
        while True:
            try:
                await check.once()
            except Exception:  # noqa: BLE001 - a loop that an exception can end would leave an origin up or down for ever
                _log.exception("check_failed", origin=check.origin.label)
            await asyncio.sleep(self._interval_s * self._entropy.uniform(1 - JITTER, 1 + JITTER))
