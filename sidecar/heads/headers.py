"""Header fields on their way through: hop-by-hop ones go, forwarding ones come, codings are agreed on.

Pure: fields are `(name, value)` pairs of bytes in the order they came, so that what is not changed keeps its spelling.
Counterparts: `caching` (what shared caches may keep), `validators` (ETags and conditions), `content_security` (CSP),
`eligibility` (what a response is).
Never: I/O, clocks, or a field that was not asked for.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

from msgspec import Struct

Field = tuple[bytes, bytes]
Fields = Sequence[Field]

HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Fields for one connection only (RFC 9110 7.6.1). Trailer is among them because trailers are not carried on."""

_FOR_ALL = frozenset(
    {
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expires",
        b"location",
        b"set-cookie",
        b"vary",
    }
)
"""What no sender may list in Connection (RFC 9110 7.6.1): without it a message would mean something else, or have no end."""
OWN_PREFIX = b"x-layout-mutation"
_RESPONSE_DROPPED = HOP_BY_HOP | {OWN_PREFIX}
_REQUEST_DROPPED = HOP_BY_HOP | {b"host", b"accept-encoding", b"expect", b"content-length"}
_FORWARDING = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"})
AFTER_AN_EDIT_WRONG = frozenset(
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

_CLAIMED_PREFIX = b"x-forwarded-"
_CLAIMED = frozenset(
    {
        b"cf-connecting-ip",
        b"cf-connecting-ipv6",
        b"cf-pseudo-ipv4",
        b"client-ip",
        b"fastly-client-ip",
        b"fly-client-ip",
        b"forwarded-for",
        b"front-end-https",
        b"proxy-client-ip",
        b"true-client-ip",
        b"wl-proxy-client-ip",
        b"x-appengine-user-ip",
        b"x-azure-clientip",
        b"x-azure-socketip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-envoy-external-address",
        b"x-forwarded",
        b"x-host",
        b"x-http-host-override",
        b"x-original-for",
        b"x-original-forwarded-for",
        b"x-original-host",
        b"x-original-url",
        b"x-originating-ip",
        b"x-proxyuser-ip",
        b"x-real-ip",
        b"x-remote-addr",
        b"x-remote-ip",
        b"x-rewrite-url",
        b"x-scheme",
        b"x-url-scheme",
    }
)
"""What proxies and CDNs write of a visitor and of what was asked, and origins believe: of a stranger it is a claim. With the prefix
this is all of it: a field that is not here passes (ADR 0083)."""
_FROM_A_STRANGER = _REQUEST_DROPPED | _FORWARDING | _CLAIMED

ACCEPT_ENCODING_CHARACTERS_MAX = 512
"""One that is longer is not read, nor remembered: ten times what browsers say. A visitor decides how long it is, and what stands at a
cut, or behind it, may be the `;q=0` that takes a coding back."""

LISTED_BYTES_MAX = 2 * 1024
"""Of all lines of a Cache-Control, a Vary or another list that is taken apart: several times what sites send. 450 KB of it were half
a second of a worker; what is longer is taken for the strictest thing that it could say."""

_UNDOABLE = ("gzip", "br", "zstd", "deflate", "x-gzip", "identity")


_CLOSED_QUOTES = re.compile(rb'(?:[^"]|"(?:[^"\\]|\\.)*")*', re.DOTALL)
"""A Forwarded field in which each quote ends. One that doesn't would swallow what is added behind it: whose visitor it is would be
for the visitor to say."""


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
    """The field names that a Connection field lists, lower case, but for those that are for everybody whatever it says."""
    listed = (name.strip().lower().encode("utf-8", "surrogateescape") for name in value.split(",") if name.strip())
    return frozenset(listed) - _FOR_ALL


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
    origin); `forwarding` None adds no forwarding fields. What a proxy in front would say of the visitor goes on only from a
    trusted one. Framing and Expect are the caller's to add.
    """
    result: list[Field] = [(b"Host", host)]
    believed = forwarding is not None and forwarding.trusted
    removed, begun = (_REQUEST_DROPPED, OWN_PREFIX) if believed else (_FROM_A_STRANGER, (OWN_PREFIX, _CLAIMED_PREFIX))
    for field in fields:
        name = field[0].lower()
        if name in removed or name in dropped or name.startswith(begun):
            continue
        if b"_" in name and _is_ours(name.replace(b"_", b"-")):  # CGI and WSGI know no difference
            continue
        if name in _FORWARDING and name not in {b"x-forwarded-proto", b"x-forwarded-host"}:
            continue
        result.append(field)
    if accept_encoding is not None:
        result.append((b"Accept-Encoding", accept_encoding))
    if forwarding is not None:
        result.extend(_forwarding_fields(fields, forwarding))
    return result


def _is_ours(name: bytes) -> bool:
    """Whether a request field of that name is for here, for here to say, or for a proxy that writes it with hyphens."""
    return name in _FROM_A_STRANGER or name.startswith((OWN_PREFIX, _CLAIMED_PREFIX))


def _forwarding_fields(fields: Fields, forwarding: Forwarding) -> Iterable[Field]:
    address = forwarding.address.encode() or b"unknown"
    node = b'"[%s]"' % address if b":" in address else address
    host = b'"%s"' % forwarding.host.replace(b"\\", b"").replace(b'"', b"")
    element = b"for=%s;host=%s;proto=%s" % (node, host, forwarding.scheme.encode())
    chain, elements = [address], [element]
    kept = frozenset[bytes]()
    if any(name.lower() in _FORWARDING for name, _ in fields):
        chain = [value for name, value in fields if name.lower() == b"x-forwarded-for"] + chain
        given = [value for name, value in fields if name.lower() == b"forwarded"]
        elements = [value for value in given if _CLOSED_QUOTES.fullmatch(value)] + elements
        kept = frozenset(name.lower() for name, _ in fields) if forwarding.trusted else kept
    yield b"X-Forwarded-For", b", ".join(chain)
    if b"x-forwarded-proto" not in kept:
        yield b"X-Forwarded-Proto", forwarding.scheme.encode()
    if b"x-forwarded-host" not in kept:
        yield b"X-Forwarded-Host", forwarding.host
    yield b"Forwarded", b", ".join(elements)


def to_client(fields: Fields, *, dropped: Collection[bytes]) -> list[Field]:
    """A response's end-to-end fields, but for an X-Layout-Mutation, which is ours to say.

    Content-Length stays, since it describes the content as it came. `dropped` are the names that Connection lists, lower case.
    """
    if dropped:
        return [
            field for field in fields if (name := field[0].lower()) not in _RESPONSE_DROPPED and name not in dropped
        ]
    return [field for field in fields if field[0].lower() not in _RESPONSE_DROPPED]


def after_edit(fields: Iterable[Field]) -> list[Field]:
    """The fields that stay true of a page whose bytes were changed: no validators, digests, ranges or length."""
    return without(fields, AFTER_AN_EDIT_WRONG)


def codings_for_origin(accept_encoding: str) -> bytes:
    """A client's Accept-Encoding without the codings that can't be undone here; the same text where all can. One that is too long
    asks for none."""
    return _codings_for_origin(accept_encoding) if _is_read(accept_encoding) else b"identity"


def _is_read(accept_encoding: str) -> bool:
    return len(accept_encoding) <= ACCEPT_ENCODING_CHARACTERS_MAX


@lru_cache(maxsize=1024)
def _codings_for_origin(accept_encoding: str) -> bytes:
    parts = [part.strip() for part in accept_encoding.split(",") if part.strip()]
    kept = [part for part in parts if part.partition(";")[0].strip().lower() in _UNDOABLE]
    if len(kept) == len(parts):
        return accept_encoding.encode("utf-8", "surrogateescape")
    return ", ".join(kept).encode("utf-8", "surrogateescape") or b"identity"


_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
"""RFC 9110 12.4.2."""
_PREFERRED = ("zstd", "br", "gzip", "deflate")
"""Between equals: the least time for the fewest bytes, as `benchmarks/codings.py` measures."""


def preferred_coding(accept_encoding: str, came_as: str) -> str:
    """The coding that a client likes best for a page that is coded here (RFC 9110 12.5.3): `""` for none.

    `came_as` is the origin's coding, `""` for none. Between equal weights the order is that of `_PREFERRED`. A wildcard
    stands for gzip, and for what the origin chose: who says no more may not mean what is newer. Who says too much gets none.
    """
    return _preferred_coding(accept_encoding, came_as) if _is_read(accept_encoding) else ""


@lru_cache(maxsize=1024)
def _preferred_coding(accept_encoding: str, came_as: str) -> str:
    weights = _weights(accept_encoding)
    others = weights.get("*", 0.0)
    known = {
        coding: weights.get(coding, others if coding in {"gzip", _plain(came_as)} else 0.0) for coding in _PREFERRED
    }
    best = max(_PREFERRED, key=known.__getitem__)
    return best if known[best] > 0 and known[best] >= weights.get("identity", 0.0) else ""


def _plain(coding: str) -> str:
    """`x-gzip` is gzip (RFC 9110 8.4.1.3)."""
    return coding.removeprefix("x-")


def _weights(accept_encoding: str) -> dict[str, float]:
    """Coding -> weight. One whose weight is none by the grammar is not wanted."""
    found: dict[str, float] = {}
    for part in accept_encoding.split(","):
        coding, *parameters = [piece.strip().lower() for piece in part.split(";")]
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.rstrip() == "q":
                weight = float(value) if _WEIGHT.fullmatch(value := value.strip()) else 0.0
        if coding:
            found[_plain(coding)] = weight
    return found


def coded(fields: Iterable[Field], coding: str) -> list[Field]:
    """The fields with Content-Encoding set to `coding`, `""` for none."""
    result = without(fields, {b"content-encoding"})
    if coding:
        result.append((b"Content-Encoding", coding.encode()))
    return result


def varying_by(fields: list[Field], names: Iterable[bytes]) -> list[Field]:
    """The fields with a Vary that names these request fields too. It is one line then: nginx before 1.23 heeds the last of
    several alone. One that is too long varies by everything."""
    varies = [value.strip() for name, value in fields if name.lower() == b"vary"]
    if sum(map(len, varies)) > LISTED_BYTES_MAX:
        return [*without(fields, {b"vary"}), (b"Vary", b"*")]
    there = {member.strip().lower() for value in varies for member in value.split(b",")} if varies else set()
    added = [] if b"*" in there else [name for name in names if name.lower() not in there]
    if not added:
        return fields
    return [*without(fields, {b"vary"}), (b"Vary", b", ".join([*filter(None, varies), *added]))]


def serialise(start_line: bytes, fields: Iterable[Field]) -> bytes:
    """The head of an HTTP/1.1 message (RFC 9112 2.1); ValueError if a line break or NUL hides in a field."""
    lines = [start_line, *(b"%s: %s" % field for field in fields), b"", b""]
    head = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
        raise ValueError("a header field holds a line break or NUL")
    return head
