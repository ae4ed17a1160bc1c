"""Addresses that rules write: where a link, a style sheet or a redirect may lead, and the parameters of a query.

As the URL standard has them (whatwg: "URL parsing", "application/x-www-form-urlencoded"), as far as rules need it.
Counterpart: `rules.redirects`, `rules.html`. Never: a script's address, or another site in the dress of a path.
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit

from msgspec import Struct

from rules.splices import Splice, spliced

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_WEB = re.compile(r"https?:", re.IGNORECASE)
_SPACE = "".join(map(chr, range(0x21)))
_DROPPED = frozenset("\t\n\r")
"""Browsers drop these anywhere in an address."""
_NOT_WRITTEN = re.compile(r"[\x00-\x20\x7f-\x9f\\\"<>{}]|\s")
_KEPT = "/%-._~!$&()*+,;=:@"
"""Characters that no browser writes otherwise in a path or query (`'` it does, in a query)."""
_DOTS = re.compile(r"^(?:\.|%2e){1,2}$", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


class Address(Struct, frozen=True):
    """An address that a rule leads to, in the characters in which a browser will ask for it."""

    origin: str
    """Scheme, host and port; empty for a path of the same site."""
    host: str
    """Lower case; empty for a path of the same site."""
    path: str
    query: str
    fragment: str


def read_address(written: str) -> Address | str:
    """An address from what an author wrote; else what is wrong with it, in words."""
    if found := _NOT_WRITTEN.search(written):
        return f"{found[0]!r} is not allowed in an address; write it percent-encoded"
    if not written.startswith("/") and not _WEB.match(written):
        return "a path such as /offers, or an http(s) address, is expected"
    if written.startswith("//"):
        return "an address without a scheme is not allowed: // leads to another site; write https://…"
    try:
        parts = urlsplit(written)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "this is not an address: its host or port can't be read"
    if parts.scheme and (not _HOST.fullmatch(f"[{host}]" if ":" in host else host) or "//" not in written):
        return "a host in ASCII is expected after https:// (xn--… for others)"
    if "@" in parts.netloc:
        return "an address with a user or password is not allowed"
    path = _encoded(parts.path or "/")
    if any(_DOTS.match(segment) for segment in path.split("/")):
        return "the path must not have . or .. segments; write where it leads"
    bracketed = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme}://{bracketed}{f':{port}' if port is not None else ''}" if parts.scheme else ""
    return Address(origin, bracketed, path, _encoded(parts.query), _encoded(parts.fragment))


def _encoded(part: str) -> str:
    return quote(part, safe=_KEPT + "?", errors="replace")


def as_asked(target: str) -> str:
    """A path or query of a visit, in the characters in which addresses are compared."""
    return _encoded(target)


def keeps_query(own: str, visited: str) -> str:
    """`own` query parameters, and those of the visited address whose names are not among them: doing it again adds none."""
    names = {name for _, _, name, _ in _pairs(own)}
    others = [visited[start:end] for start, end, name, _ in _pairs(visited) if name not in names]
    return "&".join(filter(None, [own, *others]))


# -- parameters


def takes_parameters(address: str) -> bool:
    """Whether an address is a link of the web to another page, so that query parameters mean something in it."""
    bare = address.strip(_SPACE)
    return bool(bare) and not bare.startswith("#") and (_WEB.match(bare) is not None or not _SCHEME.match(bare))


def with_parameters(address: str, parameters: Mapping[str, str]) -> tuple[Splice, ...] | None:
    """What sets query parameters in an address as `URLSearchParams.set` does; () if they are set, None if it can't be told.

    The first parameter of a name gets the value, others of that name go, new ones come last; everything else keeps its
    characters, the fragment its place.
    """
    end = len(address.rstrip(_SPACE))
    if _DROPPED.intersection(address[:end].lstrip(_SPACE)):
        return None
    stop = at if (at := address.find("#", 0, end)) >= 0 else end
    mark = address.find("?", 0, stop)
    if mark < 0:
        return (Splice(stop, stop, "?" + "&".join(map(_pair, parameters.items()))),)
    splices: list[Splice] = []
    waiting = dict(parameters)
    for start, until, name, value in _pairs(address[:stop], mark + 1):
        if name in waiting:
            if (wanted := waiting.pop(name)) != value:
                splices.append(Splice(start, until, _pair((name, wanted))))
        elif name in parameters:
            splices.append(Splice(start - 1, until, ""))
    if waiting:
        joint = "" if stop - 1 == mark or address[stop - 1] == "&" else "&"
        splices.append(Splice(stop, stop, joint + "&".join(map(_pair, waiting.items()))))
    return tuple(splices)


def address_with(address: str, parameters: Mapping[str, str]) -> str:
    """An author's own address with query parameters set."""
    return spliced(address, with_parameters(address, parameters) or ())


def _pairs(text: str, start: int = 0) -> Iterator[tuple[int, int, str, str]]:
    """(start, end, name, value) of each parameter in a query; empty ones mean nothing and are left out."""
    for piece in text[start:].split("&"):
        end = start + len(piece)
        name, _, value = piece.partition("=")
        if piece:
            yield start, end, unquote_plus(name), unquote_plus(value)
        start = end + 1


def _pair(parameter: tuple[str, str]) -> str:
    return "=".join(quote_plus(text, safe="*", errors="replace").replace("~", "%7E") for text in parameter)
