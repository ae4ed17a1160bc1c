"""One origin as this worker knows it: its connections, whether it is up, and what came of the requests it got.

Counterparts: `sites` chooses among origins, `checks` asks them how they are, `breaker` counts what they fail.
Never: a request that chooses its origin; and nothing another worker knows, since each sees for itself.
"""

import random
from collections import Counter
from collections.abc import Callable
from time import perf_counter

import structlog

from sidecar.origin.breaker import Breaker
from sidecar.origin.upstream import Inform, OriginConnections, OriginResponse, Trouble, Upload, UpstreamError
from sidecar.settings import SidecarSettings
from sidecar.site_origins import OriginAddress

TRIAL_RESPONSE_S_MAX = 5.0
"""Longest wait of a visitor whose request tries an origin that was left out; then another origin gets it."""
UNAVAILABLE = frozenset({502, 503, 504})
"""Answers that say that there is a server and no site behind it."""
UNAVAILABLE_REASON = "unavailable"
REASONS = (
    Trouble.CONNECT_FAILED.value,
    Trouble.CONNECT_TIMEOUT.value,
    Trouble.RESPONSE_TIMEOUT.value,
    Trouble.DISCONNECTED.value,
    Trouble.BAD_RESPONSE.value,
    Trouble.HEAD_TOO_LARGE.value,
    UNAVAILABLE_REASON,
)
"""How a request can fail before its response has begun."""
PASSED, FAILED = "passed", "failed"
"""What comes of a check."""
_ABOUT_ONE_PAGE = frozenset({Trouble.HEAD_TOO_LARGE})
"""What says nothing of whether the origin is up."""

Answered = Callable[[float], None]
"""Told how long an origin took to answer, in seconds."""

_log = structlog.get_logger("sidecar.origin")


class Origin:
    """One origin. Made and used on one event loop; `host` is whom a health check asks it for."""

    def __init__(
        self,
        address: OriginAddress,
        host: bytes,
        settings: SidecarSettings,
        connections: OriginConnections,
        *,
        now: Callable[[], float],
        entropy: random.Random,
        answered: Answered,
    ) -> None:
        self.address = address
        self._answered = answered
        self.label = address.label
        self.host = host
        self._trial_s = min(TRIAL_RESPONSE_S_MAX, settings.upstream_response_s)
        self.connections = connections
        self.breaker = Breaker(
            failures_max=settings.upstream_breaker_failures,
            back_off_s=settings.upstream_breaker_s,
            now=now,
            entropy=entropy,
        )
        self.healthy = True
        """What the checks say; True where there are none."""
        self.up = True
        """Requests go there as usual: it is healthy, and its breaker is closed."""
        self.requests = 0
        self.retries = 0
        """Requests of its that another origin, or a new connection, got afterwards."""
        self.last_resort = 0
        """Requests that it got although no origin of the site was up."""
        self.failures: Counter[str] = Counter()
        self.checks: Counter[str] = Counter()

    async def send(
        self,
        method: str,
        head: bytes,
        upload: Upload | None,
        inform: Inform,
        *,
        trial: bool = False,
        fresh: bool = False,
    ) -> OriginResponse:
        """Send a request once, and remember what came of it; `trial` tells whether the origin is up again."""
        self.requests += 1
        response_s = self._trial_s if trial else None
        began = perf_counter()
        try:
            response = await self.connections.send(method, head, upload, inform, fresh=fresh, response_s=response_s)
        except UpstreamError as error:
            self._failed(error, trial=trial)
            error.origin = self.label
            raise
        except BaseException:
            if trial:
                self.breaker.gave_up()
            raise
        if upload is None:  # else most of it is the visitor's time
            self._answered(perf_counter() - began)
        if response.status in UNAVAILABLE:
            self.failures[UNAVAILABLE_REASON] += 1
            self.breaker.failed(trial=trial)
            self._settle("breaker", f"it answers {response.status}")
        elif self.breaker.failures:
            self.breaker.succeeded()
            self._settle("breaker", "")
        return response

    def _failed(self, error: UpstreamError, *, trial: bool) -> None:
        if error.stale:
            if trial:
                self.breaker.gave_up()
            return
        self.failures[error.trouble.value] += 1
        if error.trouble in _ABOUT_ONE_PAGE:
            self.breaker.succeeded()
        else:
            self.breaker.failed(trial=trial)
        self._settle("breaker", str(error))

    def checked(self, *, healthy: bool, detail: str) -> None:
        """What the checks say from now on."""
        self.healthy = healthy
        self._settle("checks", detail)

    def _settle(self, by: str, detail: str) -> None:
        """Notice whether the origin is up now, and say so where that is news."""
        was, self.up = self.up, self.healthy and self.breaker.closed
        if was and not self.up:
            _log.warning("upstream_down", origin=self.label, by=by, detail=detail)
        elif self.up and not was:
            _log.warning("upstream_up", origin=self.label, by=by)

    def status(self) -> dict[str, object]:
        """As `/table` shows it."""
        return {
            "origin": self.label,
            "up": self.up,
            "healthy": self.healthy,
            "breaker": self.breaker.state.value,
            "inProgress": self.connections.in_progress,
            "requests": self.requests,
            "failures": {reason: self.failures[reason] for reason in REASONS},
            "retries": self.retries,
            "lastResort": self.last_resort,
            "checks": {outcome: self.checks[outcome] for outcome in (PASSED, FAILED)},
        }


def unheard(_label: str) -> Answered:
    """Nobody hears how long origins take."""
    return lambda _seconds: None
