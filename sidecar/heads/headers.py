"""Header fields on their way through: hop-by-hop ones go, forwarding ones come, caching ones tell the truth.

Pure: fields are `(name, value)` pairs of bytes in the order they came, so that what is not changed keeps its spelling.
Counterparts: `validators` (ETags and conditions), `content_security` (CSP), `eligibility` (what a response is).
Never: I/O, clocks, or a field that was not asked for.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

from msgspec import Struct

Field = tuple[bytes, bytes]
Fields = Sequence[Field]

HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Fields for one connection only (RFC 9110 7.6.1). Trailer is among them because trailers are not carried on."""

OWN_PREFIX = b"x-layout-mutation"
_REQUEST_DROPPED = HOP_BY_HOP | {b"host", b"accept-encoding", b"expect", b"content-length"}
_FORWARDING = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"})
_SHARED_CACHE_FIELDS = frozenset({b"surrogate-control", b"cdn-cache-control", b"x-accel-expires", b"edge-control"})
"""What some shared caches prefer to Cache-Control: RFC 9213 and its forerunners, nginx's, Akamai's."""
_AFTER_AN_EDIT_WRONG = frozenset(
    {
        b"content-length",
        b"content-md5",
        b"content-digest",
        b"repr-digest",
        b"digest",
        b"want-digest",
        b"last-modified",
        b"accept-ranges",
        b"etag",
    }
)
"""What describes the origin's bytes and is untrue of others."""

_OF_A_PAGE = _AFTER_AN_EDIT_WRONG | {b"age", b"cache-control", b"expires", b"link", b"location", b"pragma", b"refresh"}
"""What describes the origin's page, or for how long it is good, and is untrue of a redirect that stands in its place."""

_UNDOABLE = ("gzip", "br", "zstd", "deflate", "x-gzip", "identity")


class Forwarding(Struct, frozen=True):
    """Who asked, over what, for which host: what a request tells the origin about its visitor."""

    address: str
    """The peer's address as text, IPv6 without brackets; empty where it is unknown."""
    scheme: str
    """`http` or `https`, as the visitor sees it."""
    host: bytes
    """The Host field as it came."""
    trusted: bool
    """Whether the peer is a proxy whose own forwarding fields are believed."""


def first(fields: Fields, name: bytes) -> bytes | None:
    """The first value of the field `name` (given in lower case), None without one."""
    for key, value in fields:
        if key.lower() == name:
            return value
    return None


def without(fields: Iterable[Field], names: Collection[bytes]) -> list[Field]:
    """The fields whose names (lower case) are not in `names`."""
    return [field for field in fields if field[0].lower() not in names]


def connection_names(value: str) -> frozenset[bytes]:
    """The field names that a Connection field lists, lower case."""
    return frozenset(
        name.strip().lower().encode("utf-8", "surrogateescape") for name in value.split(",") if name.strip()
    )


def to_origin(
    fields: Fields,
    *,
    dropped: Collection[bytes],
    host: bytes,
    forwarding: Forwarding | None,
    accept_encoding: bytes | None,
) -> list[Field]:
    """A request's end-to-end fields as the origin gets them.

    `dropped` are further names in lower case (those that Connection names, and conditions that must not reach the
    origin); `forwarding` None adds no forwarding fields. Framing and Expect are the caller's to add.
    """
    result: list[Field] = [(b"Host", host)]
    believed = forwarding is not None and forwarding.trusted
    for field in fields:
        name = field[0].lower()
        if name in _REQUEST_DROPPED or name in dropped or name.startswith(OWN_PREFIX):
            continue
        if name in _FORWARDING and not (believed and name in {b"x-forwarded-proto", b"x-forwarded-host"}):
            continue
        result.append(field)
    if accept_encoding is not None:
        result.append((b"Accept-Encoding", accept_encoding))
    if forwarding is not None:
        result.extend(_forwarding_fields(fields, forwarding))
    return result


def _forwarding_fields(fields: Fields, forwarding: Forwarding) -> Iterable[Field]:
    address = forwarding.address.encode() or b"unknown"
    node = b'"[%s]"' % address if b":" in address else address
    host = b'"%s"' % forwarding.host.replace(b"\\", b"").replace(b'"', b"")
    element = b"for=%s;host=%s;proto=%s" % (node, host, forwarding.scheme.encode())
    chain, elements = [address], [element]
    kept = frozenset[bytes]()
    if len(fields) and any(name.lower() in _FORWARDING for name, _ in fields):
        chain = [value for name, value in fields if name.lower() == b"x-forwarded-for"] + chain
        elements = [value for name, value in fields if name.lower() == b"forwarded"] + elements
        kept = frozenset(name.lower() for name, _ in fields) if forwarding.trusted else kept
    yield b"X-Forwarded-For", b", ".join(chain)
    if b"x-forwarded-proto" not in kept:
        yield b"X-Forwarded-Proto", forwarding.scheme.encode()
    if b"x-forwarded-host" not in kept:
        yield b"X-Forwarded-Host", forwarding.host
    yield b"Forwarded", b", ".join(elements)


def to_client(fields: Fields, *, dropped: Collection[bytes]) -> list[Field]:
    """A response's end-to-end fields; Content-Length stays, since it describes the content as it came.

    `dropped` are the names that Connection lists, lower case.
    """
    if dropped:
        return [field for field in fields if (name := field[0].lower()) not in HOP_BY_HOP and name not in dropped]
    return [field for field in fields if field[0].lower() not in HOP_BY_HOP]


def after_edit(fields: Iterable[Field]) -> list[Field]:
    """The fields that stay true of a page whose bytes were changed: no validators, digests, ranges or length."""
    return without(fields, _AFTER_AN_EDIT_WRONG)


def redirecting(fields: Iterable[Field], location: str, caching: bytes) -> list[Field]:
    """The fields of a redirect in place of the origin's page: cookies and what is true of the site stay."""
    kept = without(_without_shared_cache_fields(fields), _OF_A_PAGE)
    own = [field for field in kept if not field[0].lower().startswith(b"content-")]
    return [*own, (b"Location", location.encode("ascii", "replace")), (b"Cache-Control", caching)]


@lru_cache(maxsize=1024)
def codings_for_origin(accept_encoding: str) -> bytes:
    """A client's Accept-Encoding without the codings that can't be undone here; the same text where all can."""
    parts = [part.strip() for part in accept_encoding.split(",") if part.strip()]
    kept = [part for part in parts if part.partition(";")[0].strip().lower() in _UNDOABLE]
    if len(kept) == len(parts):
        return accept_encoding.encode("utf-8", "surrogateescape")
    return ", ".join(kept).encode("utf-8", "surrogateescape") or b"identity"


@lru_cache(maxsize=1024)
def preferred_coding(accept_encoding: str, came_as: str) -> str:
    """The coding a rewritten page is sent in: `""` for none.

    A page that came without one goes without one; else the client's highest quality value decides (RFC 9110 12.5.3),
    and between equals the one that the origin chose.
    """
    if not came_as:
        return ""
    qualities = _qualities(accept_encoding)
    candidates = [came_as, *(coding for coding in ("br", "zstd", "gzip", "deflate") if coding != came_as)]
    best = max(candidates, key=lambda coding: qualities.get(coding, qualities.get("*", 0.0)))
    return best if qualities.get(best, qualities.get("*", 0.0)) > 0 else ""


def _qualities(accept_encoding: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in accept_encoding.split(","):
        coding, *parameters = [piece.strip().lower() for piece in part.split(";")]
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        if coding:
            found[coding] = quality
    return found


def coded(fields: Iterable[Field], coding: str) -> list[Field]:
    """The fields with Content-Encoding set to `coding` (`""` for none) and Vary naming Accept-Encoding if there is one."""
    result = without(fields, {b"content-encoding"})
    if not coding:
        return result
    result.append((b"Content-Encoding", coding.encode()))
    varies = b",".join(value for name, value in result if name.lower() == b"vary").lower()
    if b"accept-encoding" not in varies and b"*" not in varies:
        result.append((b"Vary", b"Accept-Encoding"))
    return result


def for_one_visitor(fields: Iterable[Field]) -> list[Field]:
    """The fields telling shared caches that this response is for one visitor only (RFC 9111 5.2.2.7).

    `private` or `no-store` that the origin set stays as it is; fields that speak to CDNs only would overrule it and go.
    """
    kept: list[bytes] = []
    for directive in _cache_directives(fields := _without_shared_cache_fields(fields)):
        name = directive.partition(b"=")[0].strip().lower()
        if name in {b"no-store", b"private"} and b"=" not in directive:
            return fields
        if name not in {b"public", b"s-maxage", b"private"}:
            kept.append(directive)
    return [*without(fields, {b"cache-control"}), (b"Cache-Control", b", ".join([b"private", *kept]))]


def not_stored(fields: Iterable[Field]) -> list[Field]:
    """The fields telling every cache to keep nothing: for answers that an operator's switches shaped."""
    fields = without(_without_shared_cache_fields(fields), {b"cache-control", b"expires", b"etag", b"last-modified"})
    return [*fields, (b"Cache-Control", b"no-store")]


def _cache_directives(fields: Iterable[Field]) -> Iterable[bytes]:
    for name, value in fields:
        if name.lower() == b"cache-control":
            yield from (part.strip() for part in _split_list(value) if part.strip())


def _split_list(value: bytes) -> Iterable[bytes]:
    """Elements of a comma-separated field; commas inside quotes don't count (`private="a, b"`)."""
    if b'"' not in value:
        return value.split(b",")
    pieces: list[bytes] = []
    for index, piece in enumerate(value.split(b'"')):
        inside = index % 2
        parts = [piece] if inside else piece.split(b",")
        if index:
            pieces[-1] += b'"' + parts[0]
            pieces.extend(parts[1:])
        else:
            pieces.extend(parts)
    return pieces


def _without_shared_cache_fields(fields: Iterable[Field]) -> list[Field]:
    return [
        field
        for field in fields
        if (name := field[0].lower()) not in _SHARED_CACHE_FIELDS and not name.endswith(b"-cdn-cache-control")
    ]


def serialise(start_line: bytes, fields: Iterable[Field]) -> bytes:
    """The head of an HTTP/1.1 message (RFC 9112 2.1); ValueError if a line break or NUL hides in a field."""
    lines = [start_line, *(b"%s: %s" % field for field in fields), b"", b""]
    head = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
        raise ValueError("a header field holds a line break or NUL")
    return head
