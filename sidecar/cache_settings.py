"""`SIDECAR_CACHE_*` and `SIDECAR_COMPRESSION`: what caches in front may keep, and which pages are compressed.

Counterparts: `settings` has these among its own, `cache_variants` takes the variants apart.
Never: a default by which a cache keeps more than the origin lets it.
"""

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.cache_variants import ControlField
from sidecar.trace_settings import TraceSettings


class CacheSettings(TraceSettings, frozen=True, kw_only=True):
    """What is configured about caches in front, and about compression; below it other settings, since a struct has one base."""

    cache_variants: Annotated[
        str,
        Meta(
            description="Request headers that a cache in front writes itself, and all their values, by which it may keep variants "
            "of a page, for example X-Country=DE|AT|other, X-Device=mobile|desktop; at most 64 combinations. Empty: none"
        ),
    ] = ""
    cache_variants_field: Annotated[
        ControlField,
        Meta(
            description="Response header that this cache obeys in place of Cache-Control: `CDN-Cache-Control`, `Surrogate-Control` "
            "(Varnish, Fastly) or `X-Accel-Expires` (nginx). It must heed Vary, or have those headers in its key"
        ),
    ] = ""
    compression: Annotated[
        Literal["pages", "as_origin"],
        Meta(
            description="Which rewritten pages are compressed for visitors: `pages` all that shrink by it, `as_origin` those that "
            "the origin compressed. Other pages pass as they came"
        ),
    ] = "pages"
