"""`SIDECAR_TRACES_*`: whether, where and of which requests traces are told, checked when the sidecar starts.

Counterparts: `settings` has these among its own, `tracing` carries them out.
Never: a variable of another name; what OpenTelemetry's own libraries read from the environment is not relied on.
"""

import re
import ssl
from importlib.util import find_spec
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from service.settings import SECRET
from sidecar.visitor_settings import VisitorSettings

NEEDS = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.common")
"""What the extra `otel` brings."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class TraceSettings(VisitorSettings, frozen=True, kw_only=True):
    """What is configured about traces, after the origin's end: the settings are one row of structs, each on the one before."""

    traces_endpoint: Annotated[
        str,
        Meta(
            description="Where traces go: the address of an OpenTelemetry collector that takes OTLP over HTTP, for example "
            "http://127.0.0.1:4318/v1/traces; needs `pip install 'layout-mutation-engine[otel]'`. Empty: there are none"
        ),
    ] = ""
    traces_share: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Share of requests that are traced, 0 to 1; one that belongs to a trace that is believed follows "
            "that trace's own decision",
        ),
    ] = 0.01
    traces_trust: Annotated[
        bool,
        Meta(
            description="Whether a proxy of yours stands in front and sets traceparent and tracestate: their trace is then "
            "continued. Otherwise a trace begins here, and the origin gets its traceparent instead of the visitor's. Never "
            "switch this on where visitors connect directly: each could have any number of requests traced"
        ),
    ] = False
    traces_service: Annotated[
        str, Meta(min_length=1, max_length=255, description="What the sidecar is called in traces (service.name)")
    ] = "layout-mutation-sidecar"
    traces_headers: Annotated[
        str,
        Meta(
            description="Header fields of the requests to the collector, for example its key: name=value, separated by commas",
            extra=SECRET,
        ),
    ] = ""
    traces_ca_file: Annotated[
        str, Meta(description="PEM file of certificate authorities for an https collector; empty: the system's")
    ] = ""

    @property
    def traces_fields(self) -> dict[str, str]:
        """SIDECAR_TRACES_HEADERS, taken apart; ValueError says what is expected, and nothing of what is there."""
        fields: dict[str, str] = {}
        for text in filter(None, map(str.strip, self.traces_headers.split(","))):
            name, equals, value = (part.strip() for part in text.partition("="))
            if not equals or _TOKEN.fullmatch(name) is None or not (value.isascii() and value.isprintable()):
                raise ValueError("SIDECAR_TRACES_HEADERS must hold name=value in ASCII, separated by commas")
            fields[name] = value
        return fields

    def traces_tls(self) -> ssl.SSLContext | bool:
        """Whom to believe for an https collector: True for the system's authorities."""
        return ssl.create_default_context(cafile=self.traces_ca_file) if self.traces_ca_file else True

    def check_traces(self) -> None:
        """Check what the types can't; ValueError names the variable and the fix."""
        _ = self.traces_fields
        if not self.traces_endpoint:
            return
        parts = urlsplit(self.traces_endpoint)
        try:
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or parts.username or parts.fragment:
            raise ValueError(
                "SIDECAR_TRACES_ENDPOINT must be an address, for example http://127.0.0.1:4318/v1/traces; what the collector "
                "wants as a key goes into SIDECAR_TRACES_HEADERS"
            )
        try:
            self.traces_tls()
        except (OSError, ValueError) as error:
            raise ValueError(f"SIDECAR_TRACES_CA_FILE must be a PEM file of certificates: {error}") from None
        if missing := [name for name in NEEDS if not _is_there(name)]:
            raise ValueError(
                f"SIDECAR_TRACES_ENDPOINT is set, but {missing[0]} is not installed: "
                "pip install 'layout-mutation-engine[otel]', or leave the variable empty"
            )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # its parent is not there either
        return False
