"""Fronting somebody else's site from this machine: keeping the browser here.

The origin is asked under its own name; where it names itself in redirects and cookies, that becomes the address that the
browser knows. Pure, on fields. Counterpart: `proxy`, which uses this only with SIDECAR_LOCAL_MODE.
Never: the page's own links; a page that points to its site absolutely leads there.
"""

from msgspec import Struct

from sidecar.heads.headers import Field, Fields

_LOCATIONS = frozenset({b"location", b"content-location"})
_ORIGIN_NAMES = frozenset({b"origin", b"referer"})
_PREFIXES_NEEDING_SECURE = (b"__secure-", b"__host-")


class Place(Struct, frozen=True):
    """Where the origin is, and where the browser sees it."""

    upstream_scheme: bytes
    upstream_authority: bytes
    local_authority: bytes
    """The Host that the browser sent."""

    @property
    def upstream(self) -> bytes:
        return b"%s://%s" % (self.upstream_scheme, self.upstream_authority)

    @property
    def local(self) -> bytes:
        return b"http://" + self.local_authority


def request_fields(fields: Fields, place: Place) -> list[Field]:
    """A request's fields as if the browser were at the origin: Origin and Referer name it (for its CSRF checks)."""
    return [
        (name, _moved(value, (place.local,), place.upstream)) if name.lower() in _ORIGIN_NAMES else (name, value)
        for name, value in fields
    ]


def response_fields(fields: Fields, place: Place) -> list[Field]:
    """A response's fields as if the origin were here."""
    origins = (b"http://" + place.upstream_authority, b"https://" + place.upstream_authority)
    changed: list[Field] = []
    for name, value in fields:
        match name.lower():
            case b"set-cookie":
                changed.append((name, _local_cookie(value)))
            case key if key in _LOCATIONS:
                changed.append((name, _moved(value, origins, place.local)))
            case b"strict-transport-security" | b"alt-svc":
                continue
            case _:
                changed.append((name, value))
    return changed


def _moved(value: bytes, origins: tuple[bytes, ...], target: bytes) -> bytes:
    for origin in origins:
        head, rest = value[: len(origin)], value[len(origin) :]
        if head.lower() == origin.lower() and rest[:1] in b"/?#":
            return target + rest
    return value


def _local_cookie(value: bytes) -> bytes:
    """A cookie for the host that set it, over http: no Domain, no Secure, and no SameSite=None, which needs Secure."""
    pair, *attributes = value.split(b";")
    secure = pair.strip().lower().startswith(_PREFIXES_NEEDING_SECURE)
    kept = [pair]
    for attribute in attributes:
        name, _, setting = (piece.strip().lower() for piece in attribute.partition(b"="))
        if name == b"domain" or (name == b"secure" and not secure):
            continue
        if name == b"samesite" and setting == b"none" and not secure:
            continue
        kept.append(attribute)
    return b";".join(kept)
