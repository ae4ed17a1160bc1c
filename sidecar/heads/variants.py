"""The variant of a page that a request gets, where a cache in front may keep it for others.

A response that depended on the visitor goes out as `private`, so that a cache that knows nothing of variants keeps none of
it. A cache that does gets three fields besides: its own one for how long it may keep the response, Vary with the request
fields that the decision followed from (RFC 9110 12.5.5), and the variant key, which says their values.
Pure. Counterparts: `cache_variants` says what the cache can tell apart, `caching` what the origin allows.
Never: a variant where an attribute of the decision is read off anything else, or off a value that was not declared.
"""

from collections.abc import Iterable

from multidict import MultiMapping

from sidecar.cache_variants import Variants
from sidecar.heads import caching, headers
from sidecar.heads.headers import Field

KEY_FIELD = b"X-Layout-Mutation-Variant"


def axes_of(variants: Variants, reads: Iterable[str]) -> tuple[str, ...] | None:
    """The request fields that these attributes of a visitor follow from, in the order that was declared; None where one
    of them follows from something else."""
    found: set[str] = set()
    for attribute in reads:
        fields = variants.sources.get(attribute)
        if fields is None:
            return None
        found.update(fields)
    return tuple(name for name in variants.axes if name in found)


def key_of(variants: Variants, axes: Iterable[str], request: MultiMapping[str]) -> bytes | None:
    """The variant key of a request, `X-Country=DE, X-Device=mobile`; None where a field is not there exactly once, with a
    value that was declared."""
    parts: list[str] = []
    for name in axes:
        values = request.getall(name, [])
        if len(values) != 1 or (value := values[0].strip()) not in variants.axes[name]:
            return None
        parts.append(f"{name}={value}")
    return ", ".join(parts).encode("ascii")


def for_a_variant(
    fields: list[Field], variants: Variants, reads: Iterable[str], request: MultiMapping[str]
) -> list[Field]:
    """The fields of a response that depended on the visitor by `reads` alone, for caches of every kind.

    Where it is no variant that may be kept: for one visitor, as it would be without any variants. What is for the cache
    comes first: nginx before 1.23 lets the first of X-Accel-Expires and Cache-Control decide.
    """
    private = caching.for_one_visitor(fields)
    axes = axes_of(variants, reads)
    if not axes or "Authorization" in request:
        return private
    control = variants.control.encode("ascii")
    key, seconds = key_of(variants, axes, request), caching.shared_s(fields, control)
    if key is None or seconds == 0:
        return private
    told = b"%d" % seconds if variants.control == "X-Accel-Expires" else b"max-age=%d" % seconds
    varying = headers.varying_by(private, [name.encode("ascii") for name in axes])
    return [(control, told), *varying, (KEY_FIELD, key)]
