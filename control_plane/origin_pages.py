"""Fetches pages of registered origins for preview, and of nobody else.

The address that a person types chooses among the origins of `CONTROL_PLANE_ORIGINS` by its host and gives a path; it never
says where to connect. So no address leads to a metadata service, a neighbour or this service itself.
Counterpart: `preview.py`. Never: a redirect followed out of the registered sites, a cookie kept, an unbounded read.
"""

import asyncio
import posixpath
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp
from msgspec import Struct
from yarl import URL

from control_plane.refusals import Refusal, Refused
from rules.html.handed_over import HEADER
from rules.limits import PAGE_BYTES_MAX

ANY_SITE = "*"
ADDRESS_CHARACTERS_MAX = 4_096
REDIRECTS_MAX = 3
TIMEOUT_S = 10.0
HTML_TYPES = frozenset({"text/html"})
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")  # what URL parsers disagree about
_DOT_SEGMENT = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?=/|$)", re.IGNORECASE)


class OriginPage(Struct, frozen=True):
    """A page as the origin served it."""

    url: str
    """The address of the site, after redirects."""
    status: int
    body: bytes
    charset: str | None
    """As the Content-Type says; None where it says nothing."""
    layout_id: str | None
    said: tuple[str, ...] = ()
    """The values of X-Layout-Attributes."""


class SiteAddress(Struct, frozen=True):
    """An address of a registered site. `target`: path and query, as they are sent."""

    scheme: str
    authority: str
    site: str
    origin: str
    target: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def resolve(address: str, origins: Mapping[str, str]) -> SiteAddress:
    """The registered site and path of an address; raises Refused (`preview_address`)."""
    if len(address) > ADDRESS_CHARACTERS_MAX or not address.isascii() or _FORBIDDEN.search(address):
        raise _refused("the address has characters that don't belong there; percent-encode them")
    try:
        parts = urlsplit(address)
        site, _ = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise _refused("this is not an address") from None
    if not site and (parts.scheme or address.startswith("//") or not address.startswith("/")):
        raise _refused("an address is https://site/path, or /path")
    if site and parts.scheme not in ("http", "https"):
        raise _refused("only http and https pages can be shown")
    if parts.username is not None or parts.password is not None:
        raise _refused("an address with a user name can't be shown")
    return _of_origin(parts, site, origins)


def _of_origin(parts: SplitResult, site: str, origins: Mapping[str, str]) -> SiteAddress:
    origin = origins.get(site) or origins.get(ANY_SITE)
    if origin is None:
        known = ", ".join(sorted(origins)) or "none yet"
        raise _refused(
            f"{site or 'an address without a host'} is not a registered site; CONTROL_PLANE_ORIGINS has: {known}"
        )
    base = urlsplit(origin)
    path = normalised(parts.path)
    return SiteAddress(
        scheme=parts.scheme or base.scheme,
        authority=parts.netloc or base.netloc,
        site=site or (base.hostname or "").lower(),
        origin=origin,
        target=f"{path}?{parts.query}" if parts.query else path,
    )


def normalised(path: str) -> str:
    """A path without dot segments (RFC 3986 5.2.4) and without `//` at its beginning."""
    if _DOT_SEGMENT.search(path):
        ends_with_slash = path.endswith(("/", "/.", "/.."))
        plain = re.sub(r"%2e", ".", path, flags=re.IGNORECASE)
        path = posixpath.normpath(plain) + ("/" if ends_with_slash else "")
    return "/" + path.lstrip("/")


class OriginPages:
    """The pages of the registered origins."""

    def __init__(self, origins: Mapping[str, str]) -> None:
        self.origins = origins
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def fetch(self, address: str) -> OriginPage:
        """The page at an address; raises Refused (`preview_…`)."""
        place = resolve(address, self.origins)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                for _ in range(REDIRECTS_MAX + 1):
                    answer = await self._once(place)
                    if isinstance(answer, OriginPage):
                        return answer
                    place = answer
        except TimeoutError:
            raise Refused(Refusal.PREVIEW_TOO_SLOW, f"the origin took longer than {TIMEOUT_S:.0f} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            detail = f"the origin of {place.site} can't be reached: {type(error).__name__}"
            raise Refused(Refusal.PREVIEW_UNREACHABLE, detail) from error
        raise Refused(Refusal.PREVIEW_REDIRECT, f"more than {REDIRECTS_MAX} redirects in a row")

    async def _once(self, place: SiteAddress) -> OriginPage | SiteAddress:
        """One request: the page, or where the origin sends the browser."""
        url = URL(place.origin.rstrip("/") + place.target, encoded=True)
        headers = {"Accept": "text/html", "Accept-Encoding": "identity", "User-Agent": "layout-mutation-preview"}
        if place.site in self.origins:
            headers["Host"] = place.authority  # a site of its own name; `*` answers to whatever it is called
        async with self._opened().get(url, headers=headers, allow_redirects=False) as response:
            if response.status in REDIRECT_STATUSES and "Location" in response.headers:
                return self._redirected(place, response.headers["Location"])
            if response.content_type not in HTML_TYPES or "Content-Type" not in response.headers:
                raise Refused(Refusal.PREVIEW_NOT_HTML, f"the page is {response.content_type}, not HTML")
            body = bytearray()
            async for chunk in response.content.iter_chunked(64 * 1024):
                body += chunk
                if len(body) > PAGE_BYTES_MAX:
                    raise Refused(Refusal.PREVIEW_TOO_LARGE, f"the page has more than {PAGE_BYTES_MAX:,} bytes")
            return OriginPage(
                place.url,
                response.status,
                bytes(body),
                response.charset,
                response.headers.get("X-Layout-Id"),
                tuple(response.headers.getall(HEADER, ())),
            )

    def _redirected(self, place: SiteAddress, location: str) -> SiteAddress:
        target = urljoin(place.url, location)
        base = urlsplit(place.origin)
        try:
            parts = urlsplit(target)
            if (parts.hostname, parts.port) == (base.hostname, base.port):
                # The origin calls itself by its own address; to visitors that is the site.
                target = f"{place.scheme}://{place.authority}{parts.path.removeprefix(base.path.rstrip('/'))}?{parts.query}".rstrip(
                    "?"
                )
            elif (parts.hostname or "").lower() not in self.origins and parts.netloc != place.authority:
                raise _refused(f"{parts.hostname} is not a registered site")
            return resolve(target, self.origins)
        except (Refused, ValueError):
            shown = location[:200]
            raise Refused(
                Refusal.PREVIEW_REDIRECT, f"the page sends the browser to {shown!r}, which is no registered site"
            ) from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(limit=8),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
                trust_env=False,  # a proxy from the environment could lead anywhere
            )
        return self._session


def _refused(detail: str) -> Refused:
    return Refused(Refusal.PREVIEW_ADDRESS, detail)
