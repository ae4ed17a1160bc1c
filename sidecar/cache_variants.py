"""By which request fields a cache in front may keep several variants of one address: what `SIDECAR_CACHE_VARIANTS` says,
checked when the sidecar starts.

An axis is a request field that the cache itself writes, with all the values that it writes. An attribute that is read off
axes alone is the same for everybody whom the cache takes for the same; no other attribute of a visitor may be shared.
Counterparts: `heads.variants` finds a request's variant, `attribute_sources` says which field an attribute comes from.
Never: an axis that visitors fill (Cookie, User-Agent), or more variants of a page than a cache has room for.
"""

import re
from collections.abc import Mapping
from math import prod
from typing import Literal

from msgspec import Struct

from sidecar.attribute_sources import Sources

ControlField = Literal["", "CDN-Cache-Control", "Surrogate-Control", "X-Accel-Expires"]

AXES_MAX = 4
"""nginx stores nothing whose Vary is longer than 128 bytes."""
VARIANTS_MAX = 64
"""Of one page: each is kept, and fetched, by itself."""

_AXIS = re.compile(r"([!#$%&'*+.^_`~0-9A-Za-z-]{1,40})=([^=]+)")
_VALUE = re.compile(r"[A-Za-z0-9._?*/:+-]{1,64}")
_REFUSED = frozenset(
    {
        "accept-encoding",
        "authorization",
        "cookie",
        "forwarded",
        "host",
        "proxy-authorization",
        "range",
        "referer",
        "user-agent",
        "x-forwarded-for",
    }
)
_OWN = "x-layout-mutation"
EXPECTED = "FIELD=VALUE|VALUE, separated by commas, for example X-Country=DE|AT|other, X-Device=mobile|desktop"


class Variants(Struct, frozen=True):
    """What a cache in front can tell apart."""

    control: ControlField
    """The field that it obeys in place of Cache-Control."""
    axes: Mapping[str, frozenset[str]]
    """Name of a request field, as it was written -> all its values."""
    sources: Mapping[str, tuple[str, ...]]
    """Attribute -> the axes, all of them, that it is read off."""


def variants_of(declared: str, control: ControlField, sources: Sources) -> Variants | None:
    """What the settings say, None for nothing; ValueError names the variable and the fix."""
    if not declared.strip():
        if control:
            raise ValueError("SIDECAR_CACHE_VARIANTS_FIELD is set and SIDECAR_CACHE_VARIANTS is not: set both or none")
        return None
    if not control:
        raise ValueError(
            "SIDECAR_CACHE_VARIANTS needs SIDECAR_CACHE_VARIANTS_FIELD: the field that your cache obeys in place of "
            "Cache-Control, CDN-Cache-Control, Surrogate-Control or X-Accel-Expires"
        )
    axes: dict[str, frozenset[str]] = {}
    for text in filter(None, map(str.strip, declared.split(","))):
        name, values = _axis(text)
        if name.lower() in {known.lower() for known in axes}:
            raise ValueError(f"SIDECAR_CACHE_VARIANTS names {name} twice")
        axes[name] = values
    count = prod(map(len, axes.values()))
    if len(axes) > AXES_MAX or count > VARIANTS_MAX:
        raise ValueError(
            f"SIDECAR_CACHE_VARIANTS makes {count} variants of a page by {len(axes)} fields; at most {VARIANTS_MAX} by "
            f"{AXES_MAX}: have the cache fold rare values into one, such as `other`"
        )
    return Variants(control=control, axes=axes, sources=_read_off(axes, sources))


def _axis(text: str) -> tuple[str, frozenset[str]]:
    match = _AXIS.fullmatch(text)
    if match is None:
        raise ValueError(f"SIDECAR_CACHE_VARIANTS must hold {EXPECTED} (got {text[:80]!r})")
    name, values = match[1], [value.strip() for value in match[2].split("|")]
    if name.lower() in _REFUSED or name.lower().startswith(_OWN):
        raise ValueError(
            f"SIDECAR_CACHE_VARIANTS: {name} is no field that a cache folds into a few values; have it write one of its own, "
            "such as X-Device, and name that in SIDECAR_HEADERS too"
        )
    if wrong := [value for value in values if not _VALUE.fullmatch(value)]:
        raise ValueError(f"SIDECAR_CACHE_VARIANTS: {wrong[0][:80]!r} is no value of {name}; expected {EXPECTED}")
    return name, frozenset(values)


def _read_off(axes: Mapping[str, frozenset[str]], sources: Sources) -> dict[str, tuple[str, ...]]:
    """The attributes that nothing but axes decides. Those of the clock are none: what a cache keeps would stand still."""
    region = (sources.country, sources.region) if sources.country else (sources.region,)
    fields: dict[str, tuple[str, ...]] = {
        "country": (sources.country,),
        "region": region if sources.region else (),
        "city": (sources.city,),
        "timezone": (sources.timezone,),
        "locale": ("accept-language",),
        "language": ("accept-language",),
        "mobile": ("sec-ch-ua-mobile",),
        "headers": sources.headers,
    }
    spelled = {name.lower(): name for name in axes}
    found: dict[str, tuple[str, ...]] = {}
    for attribute, names in fields.items():
        wanted = [name.lower() for name in names]
        if wanted and all(name in spelled for name in wanted):
            found[attribute] = tuple(spelled[name] for name in wanted)
    return found
