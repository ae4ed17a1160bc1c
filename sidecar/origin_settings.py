"""What can be configured about the origin's end: the `SIDECAR_SITES` and `SIDECAR_UPSTREAM*` part of the data plane's settings.

Counterparts: `settings` has the rest, and is the struct that is loaded; `site_origins` and `origin_tls` take apart what
stands here.
Never: an origin whose certificate is not verified.
"""

import ssl
from typing import Annotated

from msgspec import Meta, Struct

from service.settings import SECRET
from sidecar.origin_tls import client_context
from sidecar.site_origins import SiteOrigins, sites_of


class OriginSettings(Struct, frozen=True, kw_only=True):
    """The settings of the origin's end. Durations are in the unit their name ends with."""

    upstream: Annotated[
        str,
        Meta(
            description="Address of the site that is fronted, for example https://shop.example or http://10.0.0.5:3000. "
            "https://10.0.0.5#shop.example connects to 10.0.0.5 and verifies it as shop.example. With SIDECAR_SITES: where "
            "hosts go that are not named there"
        ),
    ] = ""
    sites: Annotated[
        str,
        Meta(
            description="Several sites, or several origins of one: host=origin, origins of a host separated by spaces and "
            "hosts by commas, for example shop.example=http://10.0.0.5:3000 http://10.0.0.6:3000, "
            "*.example=https://10.0.0.7#www.example. The most exact host counts, * is every other. Hosts for which there is "
            "nothing, and no SIDECAR_UPSTREAM either, are answered 421"
        ),
    ] = ""
    upstream_connect_s: Annotated[
        float, Meta(gt=0, le=600, description="Longest wait for a connection to the origin, in seconds; then 504")
    ] = 5.0
    upstream_response_s: Annotated[
        float,
        Meta(
            gt=0,
            le=86400,
            description="Longest wait for the origin's response to begin, in seconds, and for it to take some of a request's body; "
            "then 504",
        ),
    ] = 60.0
    upstream_idle_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="How long an unused connection to the origin is kept, in seconds; less than the origin keeps it",
        ),
    ] = 4.0
    upstream_connections: Annotated[
        int, Meta(ge=1, le=65535, description="Most connections to one origin at once, per worker")
    ] = 1024
    upstream_fields_max: Annotated[
        int, Meta(ge=16, le=10_000, description="Most header fields of one response of the origin; beyond it 502")
    ] = 256
    upstream_field_bytes_max: Annotated[
        int,
        Meta(
            ge=1024,
            le=1024 * 1024,
            description="Longest header field of the origin's, name and value, in bytes; beyond it 502. The longest real ones "
            "are Content-Security-Policy, Link and Set-Cookie. A whole head may have eight times as much",
        ),
    ] = 64 * 1024
    upstream_ca_file: Annotated[
        str, Meta(description="PEM file of certificate authorities for https origins; empty: the system's")
    ] = ""
    upstream_certificate_file: Annotated[
        str,
        Meta(
            description="PEM file of the client certificate, with its chain, that https origins may ask for; empty: none"
        ),
    ] = ""
    upstream_key_file: Annotated[
        str, Meta(description="PEM file of that certificate's key; empty: it is in the same file")
    ] = ""
    upstream_key_password: Annotated[
        str, Meta(description="Password of that key, where it is encrypted", extra=SECRET)
    ] = ""

    upstream_stall_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="How long an origin may send nothing in the middle of a response before it is given up, in seconds; "
            "0 waits for ever. Server-sent events and WebSockets are never given up",
        ),
    ] = 0.0
    upstream_breaker_failures: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000,
            description="Requests in a row that an origin fails (no connection, no answer in time, no HTTP, 502, 503, 504) "
            "before the other origins of the site get its requests; 0: it is never left out",
        ),
    ] = 5
    upstream_breaker_s: Annotated[
        float,
        Meta(
            gt=0,
            le=60,
            description="How long it is left out before one request tries it again, in seconds; twice as long each time that "
            "fails, up to a minute",
        ),
    ] = 2.0
    upstream_check_path: Annotated[
        str,
        Meta(
            description="Path that each worker asks each origin for, to know whether it is up: 2xx and 3xx say so. Empty: "
            "origins are not asked",
            pattern=r"^(/[!-~]{0,1000})?$",
        ),
    ] = ""
    upstream_check_s: Annotated[
        float, Meta(ge=0.1, le=3600, description="Time between two such checks, in seconds, give or take a fifth")
    ] = 5.0
    upstream_check_timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="Longest wait for the answer to a check, connecting included, in seconds")
    ] = 2.0
    upstream_check_down: Annotated[
        int, Meta(ge=1, le=1000, description="Failed checks in a row after which an origin is down")
    ] = 3
    upstream_check_up: Annotated[
        int, Meta(ge=1, le=1000, description="Passed checks in a row after which it is up again")
    ] = 2

    def __post_init__(self) -> None:
        """Check what the types can't; ValueError names the variable and the fix."""
        _ = self.site_origins
        if any(
            (self.upstream_ca_file, self.upstream_certificate_file, self.upstream_key_file, self.upstream_key_password)
        ):
            _ = self.tls_context()

    @property
    def site_origins(self) -> tuple[SiteOrigins, ...]:
        """SIDECAR_SITES and SIDECAR_UPSTREAM, taken apart."""
        return sites_of(self.sites, self.upstream)

    def tls_context(self) -> ssl.SSLContext:
        """A new context for https origins; the files are read."""
        return client_context(
            ca_file=self.upstream_ca_file,
            certificate_file=self.upstream_certificate_file,
            key_file=self.upstream_key_file,
            key_password=self.upstream_key_password,
        )
