"""`POST /.layout-mutation/events`: pages say what happened, and it is told on with the visitor's units.

    {"events": [{"name": "sold", "value": 19.9, "path": "/thanks"}]}

by `navigator.sendBeacon` or `fetch`, as text/plain or application/json, from a page of the same origin. The answer is 204
whether something was kept or not; 400, 403 or 405 for what no page of the site sends, 413, and 429 with more than a worker
takes in a second.
Counterparts: `events` tells it on, `proxy` asks here before anywhere else.
Never: the origin, an answer for other origins (CORS), or anything of a visitor who has not consented.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import aiohttp
import msgspec
from aiohttp.web_protocol import RequestPayloadError
from msgspec import Meta, Struct
from multidict import MultiMapping

from service.events import UNITS_MAX, Name, PagePath, Value
from sidecar.context import visit
from sidecar.events.events import Events
from sidecar.events.outbox import Drop
from sidecar.exchange import Exchange
from sidecar.heads.headers import Field
from sidecar.remembering import consents
from sidecar.settings import SidecarSettings
from sidecar.visitor.relay import Visitor, Written

PATH = "/.layout-mutation/events"
BYTES_MAX = 16 * 1024
"""A body: browsers send at most 64 KB of beacons at once, and ours are some hundred bytes."""
EVENTS_MAX = 20
"""Events of one body."""
BODY_S_MAX = 5.0
"""How long a body may take: a beacon is sent in one go."""
BURST_S = 2.0
"""A worker takes as many beacons at once as it takes in so many seconds."""
_TYPES = frozenset({"text/plain", "application/json"})


class Said(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that happened on a page."""

    name: Name
    """What the site calls it: a letter, then letters, digits and `_ . : -`, at most 64."""
    value: Value | None = None
    """What it is worth, in a unit of the site's choice."""
    path: PagePath | None = None
    """Path of the page, without query: `location.pathname`."""


class Beacon(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request."""

    events: Annotated[list[Said], Meta(min_length=1, max_length=EVENTS_MAX)]
    """What happened, in one request."""


_decode = msgspec.json.Decoder(Beacon).decode


class _NoBeaconError(Exception):
    """The answer to a request that is none: `status` and one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


class Beacons:
    """Answers the beacons of one worker. `units_of` reads the site's own units off a request's fields."""

    def __init__(
        self,
        settings: SidecarSettings,
        events: Events,
        units_of: Callable[[MultiMapping[str], datetime], Mapping[str, str]],
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._events = events
        self._units_of = units_of
        self._now = now
        self._clock = clock
        self._room = self._room_max = settings.beacons_per_s * BURST_S
        self._counted_at = clock()

    def takes(self, exchange: Exchange) -> bool:
        """Whether the request is for this address and anybody is told of events."""
        return exchange.path == PATH and self._events.on

    async def answer(self, exchange: Exchange, visitor: Visitor) -> tuple[int, Written]:
        """Answer one; the status, when the response has left. Raises ConnectionError for a visitor who has left."""
        status, line = 204, ""
        try:
            await self._hear(exchange, visitor)
        except _NoBeaconError as refusal:
            status, line = refusal.status, str(refusal)
            if not exchange.request.content.is_eof():
                visitor.close_after()  # what was not read is not waited for
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - a bug of ours is no news to a page that waits for nothing
            self._events.failed()
        fields: list[Field] = [(b"Cache-Control", b"no-store")]
        if line:
            fields += [(b"Content-Type", b"text/plain; charset=utf-8"), (b"X-Content-Type-Options", b"nosniff")]
        if status == 405:
            fields.append((b"Allow", b"POST"))
        if status == 429:
            fields.append((b"Retry-After", b"1"))
        body = f"{line}\n".encode() if line else b""
        return status, await visitor.send(status, HTTPStatus(status).phrase.encode(), fields, body)

    async def _hear(self, exchange: Exchange, visitor: Visitor) -> None:
        """Take the request; raises _NoBeaconError."""
        request = exchange.request
        given = request.headers
        if request.method != "POST":
            raise _NoBeaconError(405, "Events are posted.")
        if not _is_same_origin(given, exchange.authority):
            raise _NoBeaconError(
                403, "Events are posted by pages of this origin: Sec-Fetch-Site or Origin must say so."
            )
        if not self._has_room():
            raise _NoBeaconError(429, "That is more than is taken at the moment.")
        body = await self._body(exchange, visitor)
        if not consents(self._settings, given):
            self._events.refused(Drop.NO_CONSENT, 1)
            return
        try:
            said = _decode(body).events
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _NoBeaconError(400, f"The body is no beacon: {' '.join(str(error).split())[:200]}") from error
        units = dict(list(self._units_of(given, self._now()).items())[: UNITS_MAX - 1])
        if (unit := visit.unit_of_today(given, self._now, self._settings.unit_days)) is not None:
            units[visit.UNIT_COOKIE] = unit
        self._events.converted(exchange, units, [(each.name, each.value, each.path) for each in said])

    async def _body(self, exchange: Exchange, visitor: Visitor) -> bytes:
        """The body, within its bounds; raises _NoBeaconError."""
        request = exchange.request
        given = request.headers
        if given.get("Content-Type", "").partition(";")[0].strip().lower() not in _TYPES:
            raise _NoBeaconError(400, "The body must be text/plain or application/json.")
        if "Content-Encoding" in given or given.get("Transfer-Encoding", "chunked").strip().lower() != "chunked":
            raise _NoBeaconError(400, "The body must not be coded.")
        length = request.content_length
        if length is not None and length > BYTES_MAX:
            raise _NoBeaconError(413, f"At most {BYTES_MAX:,} bytes are taken at once.")
        if given.get("Expect", "").strip().lower() == "100-continue":
            visitor.invite()
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_S_MAX):
                while not request.content.at_eof():
                    pieces.append(await request.content.readany())
                    size += len(pieces[-1])
                    if size > BYTES_MAX:
                        raise _NoBeaconError(413, f"At most {BYTES_MAX:,} bytes are taken at once.")
        except TimeoutError:
            raise _NoBeaconError(408, "The body did not come in time.") from None
        except (RequestPayloadError, aiohttp.ClientPayloadError):
            raise _NoBeaconError(400, "The request is broken.") from None
        return b"".join(pieces)

    def _has_room(self) -> bool:
        """A bucket that fills at the rate and holds a burst; each beacon takes one out."""
        now = self._clock()
        self._room = min(self._room_max, self._room + (now - self._counted_at) * self._settings.beacons_per_s)
        self._counted_at = now
        if self._room < 1:
            return False
        self._room -= 1
        return True


def _is_same_origin(given: MultiMapping[str], authority: str) -> bool:
    """Whether a page of this origin sent it, as the browser says: by Sec-Fetch-Site (W3C Fetch Metadata), which scripts can't
    set, or, where the browser or plain http knows none, by Origin (RFC 6454), compared without the scheme that a proxy in
    front may have changed."""
    sites = given.getall("Sec-Fetch-Site", ())
    if sites:
        return all(site.strip().lower() == "same-origin" for site in sites)
    origins = given.getall("Origin", ())
    scheme, separator, named = (origins[0] if len(origins) == 1 else "").strip().partition("://")
    return bool(separator) and scheme in {"http", "https"} and _host(named) == _host(authority)


def _host(authority: str) -> str:
    """Without a default port, lower case."""
    return authority.lower().removesuffix(":443").removesuffix(":80")
