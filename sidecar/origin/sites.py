"""The sites that are fronted: which one a request is for, and which of its origins gets it.

The origin with the fewest requests in progress gets the next one, in turn where several are equal. Origins that are down
get none while another is up; where none is, all get them as if nothing were known, since a page that may fail is better
than one that must. An origin whose breaker is due is tried by a request that another origin can still answer.
Counterparts: `origins` (each of them), `proxy` (whose request it is), `site_origins` (what was configured).
Never: a request repeated that the settings of HTTP do not let be repeated (RFC 9110 9.2.2), or more than once, but for what only tried an origin.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import count

from sidecar.origin.checks import Check, Checks
from sidecar.origin.origins import Answered, Origin, unheard
from sidecar.origin.upstream import (
    REPEATABLE,
    Inform,
    OriginConnections,
    OriginResponse,
    Trouble,
    Upload,
    UpstreamError,
)
from sidecar.settings import SidecarSettings
from sidecar.site_origins import OriginAddress, SiteOrigins

AUTHORITIES_MAX = 4096
"""Host fields whose site is remembered; what visitors make up pushes out no more than that."""
CHECK_CONNECTIONS = 1

_NOT_SENT = frozenset({Trouble.CONNECT_FAILED, Trouble.CONNECT_TIMEOUT})


class Site:
    """One site. `scheme` and `authority` are what its first origin calls itself."""

    def __init__(self, pattern: str, origins: Sequence[Origin], *, turn: int) -> None:
        self.pattern = pattern
        self.origins = tuple(origins)
        self.scheme = self.origins[0].address.scheme
        self.authority = self.origins[0].address.authority
        self._only = self.origins[0] if len(self.origins) == 1 else None
        self._turns = count(turn)

    async def send(self, method: str, head: bytes, upload: Upload | None, inform: Inform) -> OriginResponse:
        """Send a request to one of the origins and wait for the head of its response.

        Once more, to another origin where there is one: a request that never left here, whatever it is; and one without
        a body whose method may be repeated, of whose response nothing has come. An origin that refuses at once has cost the
        visitor nothing, and one that was only tried was our errand: neither counts, and there is another one for it.
        Raises UpstreamError, or BrokenUploadError where the request itself can't be completed.
        """
        repeatable = upload is None and method in REPEATABLE
        origin, trial = (self._only, False) if self._only is not None else self._chosen(repeatable=repeatable)
        if not origin.up and not trial:
            origin.last_resort += 1
        asked: list[Origin] = []
        tries_left = 2
        while True:
            try:
                return await origin.send(method, head, upload, inform, trial=trial, fresh=bool(asked))
            except UpstreamError as error:
                asked.append(origin)
                tries_left -= not trial and error.trouble is not Trouble.CONNECT_FAILED
                following = self._following(asked, error, repeatable=repeatable) if tries_left else None
                if following is None:
                    raise
            origin.retries += 1
            origin, trial = following, False

    def _chosen(self, *, repeatable: bool) -> tuple[Origin, bool]:
        """The origin that gets a request, and whether the request tries it."""
        first = next(self._turns) % len(self.origins)
        in_turn = self.origins[first:] + self.origins[:first]
        up = [origin for origin in in_turn if origin.up]
        if not up:
            return _idlest(in_turn), False
        if repeatable and len(up) < len(in_turn):
            for origin in in_turn:
                if origin.healthy and origin.breaker.due:
                    origin.breaker.begin_trial()
                    return origin, True
        return _idlest(up), False

    def _following(self, asked: Sequence[Origin], error: UpstreamError, *, repeatable: bool) -> Origin | None:
        """Who gets a request that the last of these has just failed; None where it must not be sent again, or nobody is left."""
        if error.trouble not in _NOT_SENT and (
            not repeatable or error.begun or error.trouble not in {Trouble.DISCONNECTED, Trouble.RESPONSE_TIMEOUT}
        ):
            return None
        failed = asked[-1]
        place = self.origins.index(failed)
        others = [origin for origin in self.origins[place + 1 :] + self.origins[:place] if origin not in asked]
        if up := [origin for origin in others if origin.up]:
            return _idlest(up)
        if error.trouble is Trouble.DISCONNECTED and (error.stale or not others):
            return failed
        # Nobody waits twice for what is most likely to fail; but what fails at once may be tried at once elsewhere.
        at_once = error.trouble in {Trouble.DISCONNECTED, Trouble.CONNECT_FAILED}
        return _idlest(others) if others and at_once else None


class Sites:
    """All sites of one worker. Made and used on one event loop."""

    def __init__(
        self, settings: SidecarSettings, *, entropy: random.Random, answered: Callable[[str], Answered] = unheard
    ) -> None:
        self._settings = settings
        self._answered = answered
        """Label of an origin -> who hears how long it took to answer."""
        self._entropy = entropy
        declared = settings.site_origins
        secure = any(address.scheme == "https" for site in declared for address in site.origins)
        self._tls = settings.tls_context() if secure else None
        self._origins: dict[OriginAddress, Origin] = {}
        self._sites = {site.pattern: self._site(site) for site in declared}
        self._checks = Checks(self._checks_wanted(), interval_s=settings.upstream_check_s, entropy=entropy)
        self.of = lru_cache(AUTHORITIES_MAX)(self._of)
        """Host field -> its site, None for a host that is not served."""

    def start(self) -> None:
        """Begin to ask origins how they are, where that is wanted."""
        self._checks.start()

    async def close(self) -> None:
        """Close every connection."""
        await self._checks.close()
        for origin in self._origins.values():
            await origin.connections.close()

    def status(self) -> dict[str, object]:
        """Sites with their origins, and origins as this worker sees them."""
        sites = [
            {"hosts": site.pattern, "origins": [origin.label for origin in site.origins]}
            for site in self._sites.values()
        ]
        return {"sites": sites, "origins": [origin.status() for origin in self._origins.values()]}

    def _of(self, authority: str) -> Site | None:
        host = _host(authority)
        if (site := self._sites.get(host)) is not None and not host.startswith("*"):
            return site
        _, dot, parent = host.partition(".")
        while dot:
            if (site := self._sites.get(f"*.{parent}")) is not None:
                return site
            _, dot, parent = parent.partition(".")
        return self._sites.get("*")

    def _site(self, declared: SiteOrigins) -> Site:
        exact = "*" not in declared.pattern
        origins = [
            self._origin(address, declared.pattern.encode() if exact else address.authority)
            for address in declared.origins
        ]
        # Workers begin with different origins, or the first would get the first request of each.
        return Site(declared.pattern, origins, turn=self._entropy.randrange(len(origins)))

    def _origin(self, address: OriginAddress, host: bytes) -> Origin:
        """The origin at that address, one for all sites that it serves."""
        if address not in self._origins:
            settings = self._settings
            connections = self._connections(address, settings.upstream_connections, settings.upstream_idle_s)
            now = asyncio.get_running_loop().time
            self._origins[address] = Origin(
                address,
                host,
                settings,
                connections,
                now=now,
                entropy=self._entropy,
                answered=self._answered(address.label),
            )
        return self._origins[address]

    def _connections(self, address: OriginAddress, connections_max: int, idle_s: float) -> OriginConnections:
        tls = self._tls if address.scheme == "https" else None
        return OriginConnections(address, self._settings, tls=tls, connections_max=connections_max, idle_s=idle_s)

    def _checks_wanted(self) -> list[Check]:
        if not self._settings.upstream_check_path:
            return []
        return [
            Check(origin, self._connections(origin.address, CHECK_CONNECTIONS, 0), self._settings)
            for origin in self._origins.values()
        ]


def _idlest(origins: Sequence[Origin]) -> Origin:
    """The one with the fewest requests in progress, the first of several."""
    return min(origins, key=lambda origin: origin.connections.in_progress)


def _host(authority: str) -> str:
    """The host of a Host field, in lower case, without port and final dot."""
    host = authority if authority.endswith("]") else authority.rpartition(":")[0] or authority
    return host.lower().rstrip(".")
