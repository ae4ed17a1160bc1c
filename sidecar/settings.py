"""Everything that can be configured about the data plane: `SIDECAR_*` and the variables both planes share.

Counterpart: `service.settings` reads the struct from the environment. The documentation and `.env.example` are generated
from the descriptions below.
Never: a default that opens a port to the network or trusts what a visitor sends.
"""

import base64
import binascii
import os
import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from rules import limits
from rules.inference import DEFAULT_TIMEZONE
from service import redis_address
from service.settings import SECRET
from sidecar.attribute_sources import Sources, checked_header, checked_timezone, cookie_names, header_names
from sidecar.cache_settings import CacheSettings
from sidecar.cache_variants import Variants, variants_of
from sidecar.unit_sources import Algorithm, Key, Source, keys_of, sources_of

STATE_KEY_CHARACTERS_MIN = 32
"""As many as the hash has bytes (RFC 2104, section 3)."""

_ADDRESS = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]*):([0-9]{1,5})$")

EVENTS_KEY_CHARACTERS_MIN = 32
"""As a secret made by a machine has them."""


class SidecarSettings(CacheSettings, frozen=True, kw_only=True):
    """The data plane's settings. Durations are in the unit their name ends with."""

    prefix: ClassVar[str] = "SIDECAR_"
    unprefixed: ClassVar[frozenset[str]] = frozenset({"redis_url", "layout_mutation_environment", "log_level"})

    redis_url: Annotated[
        str,
        Meta(
            description="Where decision tables come from, for example redis://127.0.0.1:6379/0; rediss:// for TLS, with `ssl_…` as "
            "redis-py has them; a parameter that would change how it is read is refused",
            extra=SECRET,
        ),
    ] = "redis://127.0.0.1:6379/0"
    layout_mutation_environment: Annotated[
        str, Meta(description="Name of the installation in Redis", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    ] = "local"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Least severe events that are logged: debug, info, warning or error"),
    ] = "info"

    listen: Annotated[str, Meta(description="Where visitors are served, host:port; port 0 takes a free one")] = (
        "127.0.0.1:8080"
    )
    admin_listen: Annotated[
        str, Meta(description="Internal listener for /healthz /readyz /metrics /table /explain, host:port")
    ] = "127.0.0.1:8090"
    workers: Annotated[int, Meta(ge=0, le=256, description="Worker processes; 0 means one per core")] = 0
    drain_s: Annotated[
        float, Meta(ge=0, le=3600, description="Longest wait for requests in progress when stopping, in seconds")
    ] = 20.0
    idle_s: Annotated[
        float, Meta(gt=0, le=3600, description="How long a visitor's idle connection is kept, in seconds")
    ] = 75.0
    stall_s: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="How long a visitor may take nothing of a response before it is given up, in seconds",
        ),
    ] = 60.0
    upload_stall_s: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="How long a visitor may send nothing of a request's body that the origin waits for, in seconds; "
            "then 408, and the origin's request is given up",
        ),
    ] = 60.0
    access_log: Annotated[
        bool,
        Meta(description="Whether requests are logged: method, path, status, reason, bytes; no address, no query"),
    ] = False
    access_log_share: Annotated[
        float,
        Meta(ge=0, le=1, description="Share of those that are logged, 0 to 1; of what failed every one is"),
    ] = 1.0
    trust_forwarded: Annotated[
        bool,
        Meta(
            description="Whether a proxy of yours stands in front and sets X-Forwarded-For and -Proto: their scheme and "
            "visitor address are then believed, and what else it says of a visitor goes on to the origin (X-Real-IP, a CDN's "
            "own, …), which is removed otherwise. Never switch this on where visitors connect directly"
        ),
    ] = False
    local_mode: Annotated[
        bool,
        Meta(
            description="Front somebody else's site on this machine: the origin is asked under its own name, and its "
            "absolute redirects and cookies are changed so that the browser stays here. For trying out"
        ),
    ] = False

    snapshot_dir: Annotated[
        str, Meta(description="Folder that keeps the last good decision table across restarts; empty: not kept")
    ] = ""
    table_public_keys: Annotated[
        str,
        Meta(
            description="Ed25519 public keys that decision tables may be signed with: base64 of 32 bytes, comma-separated"
        ),
    ] = ""
    table_poll_s: Annotated[
        float,
        Meta(
            gt=0, le=60, description="How often Redis is asked for a newer table in case a message was lost, in seconds"
        ),
    ] = 1.0

    shadow: Annotated[
        bool,
        Meta(
            description="Try the rules out: pages are decided and rewritten, visitors get the origin's, and "
            "layout_mutation_shadow_* count what would have changed. No cookie is set, and nothing is remembered"
        ),
    ] = False
    server_timing: Annotated[
        Literal["token", "always", "never"],
        Meta(
            description="Who gets Server-Timing, what deciding and rewriting took: `token` requests with X-Layout-Mutation-Token, "
            "`always` everybody whose page was decided, `never` nobody"
        ),
    ] = "token"
    rollout: Annotated[float, Meta(ge=0, le=1, description="Share of visits that may be mutated at all, 0 to 1")] = 1.0
    kill_switch_file: Annotated[
        str,
        Meta(
            description="While this file exists every page passes unchanged, whatever is in it; looked at once a second, also "
            "without Redis. Empty: none. SIGUSR1 to the sidecar does the same, SIGUSR2 takes it back"
        ),
    ] = ""
    ops_token: Annotated[
        str,
        Meta(
            description="Secret that makes X-Layout-Mutation request headers count; empty: they never do",
            extra=SECRET,
        ),
    ] = ""
    consent: Annotated[
        Literal["implied", "required"],
        Meta(
            description="`required`: before the consent cookie is there no lm_uid cookie is set or read, and nothing is remembered "
            "of a visitor"
        ),
    ] = "implied"
    consent_cookie: Annotated[
        str,
        Meta(description="Name of the cookie whose presence means consent", pattern=r"^[A-Za-z0-9_.-]{0,64}$"),
    ] = ""

    privacy_signals: Annotated[
        Literal["ignore", "gpc", "dnt", "both"],
        Meta(
            description="Signals of browsers that count as no consent, whatever the consent cookie says: `gpc` Sec-GPC: 1, `dnt` "
            "DNT: 1, `both`, or `ignore`"
        ),
    ] = "ignore"
    unit_days: Annotated[
        int,
        Meta(
            ge=1,
            le=limits.STATE_DAYS_MAX,
            description="How long a browser keeps its lm_uid, in days from when it was made; then it gets a new one",
        ),
    ] = 365

    state_keys: Annotated[
        str,
        Meta(
            description="Secrets that sign the cookie lm_state, which holds what is remembered of a visitor: at least 32 "
            "characters each, several for rotation, separated by commas; the first one signs, all of them verify. The same "
            "for all sidecars of a site. Empty: nothing is remembered",
            extra=SECRET,
        ),
    ] = ""
    state_days: Annotated[
        int,
        Meta(
            ge=1,
            le=limits.STATE_DAYS_MAX,
            description="How long a visitor is remembered after the last page, in days; from the first page on "
            f"{limits.STATE_DAYS_MAX} at most",
        ),
    ] = 90

    units: Annotated[
        str,
        Meta(
            description="Further attributes that experiments may bucket by, and where they come from: name=header:FIELD, "
            "name=cookie:NAME, name=jwt:FIELD:CLAIM or name=jwt:cookie:NAME:CLAIM, separated by commas; for example "
            "account=header:X-User-Id, user=jwt:Authorization:sub. A header or cookie is believed as it comes, a token is "
            "verified. Pages whose rules read one are private to shared caches"
        ),
    ] = ""
    unit_jwt_algorithm: Annotated[
        Algorithm, Meta(description="The one algorithm that tokens in SIDECAR_UNITS may be signed with")
    ] = "HS256"
    unit_jwt_keys: Annotated[
        str,
        Meta(
            description="What verifies those tokens, several for rotation, separated by commas. HS256: secrets of at least "
            "32 characters; otherwise public keys: the lines of a PEM file between its marks, joined",
            extra=SECRET,
        ),
    ] = ""
    unit_jwt_issuer: Annotated[str, Meta(description="`iss` that those tokens must have; empty: any")] = ""
    unit_jwt_audience: Annotated[str, Meta(description="`aud` that those tokens must have; empty: any")] = ""

    country_header: Annotated[
        str,
        Meta(
            description="Request header in which your CDN or proxy says the visitor's country, for example CF-IPCountry; it "
            "must overwrite what visitors send. Empty: rules know no `country`"
        ),
    ] = ""
    region_header: Annotated[
        str,
        Meta(
            description="The same for the region, ISO 3166-2 (DE-BY) or its part behind the country (BY); empty: no `region`"
        ),
    ] = ""
    city_header: Annotated[str, Meta(description="The same for the city, percent-encoded or not; empty: no `city`")] = (
        ""
    )
    timezone_header: Annotated[
        str, Meta(description="The same for the time zone, for example Europe/Berlin; empty: SIDECAR_TIMEZONE")
    ] = ""
    timezone: Annotated[
        str,
        Meta(description="IANA time zone of `hour`, `dayOfWeek` and `date` where no header says the visitor's own"),
    ] = DEFAULT_TIMEZONE
    cookies: Annotated[
        str,
        Meta(
            description="Cookies that rules may read as `cookies.NAME`, separated by commas; values above 500 characters are "
            "left out"
        ),
    ] = ""
    headers: Annotated[
        str,
        Meta(
            description="Request headers that rules may read as `headers.name`, in lower case, separated by commas; neither "
            "Cookie nor Authorization. Values above 500 characters are left out"
        ),
    ] = ""

    page_bytes_max: Annotated[
        int,
        Meta(ge=1024, le=64 * 1024 * 1024, description="Largest page that is rewritten, in bytes before compression"),
    ] = 4 * 1024 * 1024
    buffer_ms_max: Annotated[
        int,
        Meta(
            ge=1, le=60_000, description="Longest wait for the rest of a page that is to be rewritten, in milliseconds"
        ),
    ] = 2_000
    rewrite_ms_max: Annotated[
        int, Meta(ge=1, le=60_000, description="Longest time one page may take to rewrite, in milliseconds")
    ] = 250
    mutation_ms_max: Annotated[
        int,
        Meta(
            ge=1,
            le=60_000,
            description="Longest time that the edits of one mutation may take on a page of 128 KiB, in milliseconds of "
            "processor time (of a larger page that much longer); one that takes longer on several pages is skipped for a while",
        ),
    ] = 25
    rewrite_inline: Annotated[
        bool,
        Meta(description="Rewrite inside the worker instead of in a child process beside it: no deadline holds then"),
    ] = False
    memo_bytes_max: Annotated[
        int,
        Meta(ge=0, le=8 * 1024**3, description="Memory for finished pages, per worker, in bytes; 0 switches it off"),
    ] = 64 * 1024 * 1024
    skeleton_bytes_max: Annotated[
        int,
        Meta(
            ge=0,
            le=8 * 1024**3,
            description="Memory for skeletons of pages that differ by a token, per worker, in bytes; 0 switches them off",
        ),
    ] = 32 * 1024 * 1024

    verify_share: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Share of newly rewritten pages that a second parser checks afterwards, in a process beside each "
            "worker, at most one a second; a mutation that it differs about is skipped for a while. 0 switches it off",
        ),
    ] = 0.01

    events: Annotated[
        bool,
        Meta(
            description="Whether it is told through Redis what was done to pages (executions), who was in which variation "
            "(exposures), and what pages say happened (conversions, by POST /.layout-mutation/events)"
        ),
    ] = True
    events_share: Annotated[
        float, Meta(ge=0, le=1, description="Share of pages whose execution is told, 0 to 1; exposures are all told")
    ] = 1.0
    events_key: Annotated[
        str,
        Meta(
            description="Secret that makes pseudonyms of units, the same for all sidecars of an installation, at least 32 "
            "characters. A new one makes other units of all visitors; empty: neither exposures nor conversions are told",
            extra=SECRET,
        ),
    ] = ""
    events_spool_bytes_max: Annotated[
        int,
        Meta(
            ge=0,
            le=64 * 1024**3,
            description="Most disk space for events while Redis is away, per worker, in bytes, in a folder `events` of "
            "SIDECAR_SNAPSHOT_DIR; the oldest make room. Below 1048576 or without that folder they wait in memory",
        ),
    ] = 64 * 1024 * 1024
    events_stream_entries_max: Annotated[
        int,
        Meta(
            ge=100,
            le=10_000_000,
            description="Longest that one of the four streams in Redis may get, in entries of at most 200 events (some 4 KB "
            "on a busy site); Redis forgets the oldest, read or not",
        ),
    ] = 10_000
    beacons_per_s: Annotated[
        float,
        Meta(
            gt=0,
            le=100_000,
            description="Beacons (POST /.layout-mutation/events) that a worker takes in a second, and twice as many at once; "
            "then 429",
        ),
    ] = 200.0

    def __post_init__(self) -> None:
        """Check what the types can't; ValueError names the variable and the fix."""
        super().__post_init__()
        if self.redis_url:
            redis_address.check(self.redis_url)
        for name, value in (("SIDECAR_LISTEN", self.listen), ("SIDECAR_ADMIN_LISTEN", self.admin_listen)):
            match = _ADDRESS.match(value)
            if match is None or int(match.group(2)) > 65535:
                raise ValueError(f"{name} must be host:port, for example 127.0.0.1:8080 (got {value[:80]!r})")
        if self.ops_token and len(self.ops_token) < 16:
            raise ValueError("SIDECAR_OPS_TOKEN must have at least 16 characters")
        if self.events_key and len(self.events_key) < EVENTS_KEY_CHARACTERS_MIN:
            raise ValueError(f"SIDECAR_EVENTS_KEY must have at least {EVENTS_KEY_CHARACTERS_MIN} characters")
        for key in self.public_keys_base64:
            _check_key(key)
        if any(source.claim is not None for source in self.unit_sources) and not self.unit_keys:
            raise ValueError("SIDECAR_UNITS reads tokens: set SIDECAR_UNIT_JWT_KEYS to what verifies them")
        if any(len(key) < STATE_KEY_CHARACTERS_MIN for key in self.state_keys_listed):
            raise ValueError(f"SIDECAR_STATE_KEYS: each key must have at least {STATE_KEY_CHARACTERS_MIN} characters")
        _ = self.variants
        self.check_traces()

    @property
    def public_keys_base64(self) -> tuple[str, ...]:
        """The keys of SIDECAR_TABLE_PUBLIC_KEYS, one by one."""
        return tuple(key.strip() for key in self.table_public_keys.split(",") if key.strip())

    @property
    def public_keys(self) -> tuple[bytes, ...]:
        """The same as 32 raw bytes each."""
        return tuple(base64.b64decode(key) for key in self.public_keys_base64)

    @property
    def unit_sources(self) -> tuple[Source, ...]:
        """SIDECAR_UNITS, taken apart."""
        return sources_of(self.units)

    @property
    def attribute_sources(self) -> Sources:
        """SIDECAR_COUNTRY_HEADER to SIDECAR_HEADERS, taken apart; ValueError says which is wrong."""
        return Sources(
            country=checked_header("SIDECAR_COUNTRY_HEADER", self.country_header),
            region=checked_header("SIDECAR_REGION_HEADER", self.region_header),
            city=checked_header("SIDECAR_CITY_HEADER", self.city_header),
            timezone=checked_header("SIDECAR_TIMEZONE_HEADER", self.timezone_header),
            default_timezone=checked_timezone("SIDECAR_TIMEZONE", self.timezone),
            cookies=cookie_names("SIDECAR_COOKIES", self.cookies),
            headers=header_names("SIDECAR_HEADERS", self.headers),
        )

    @property
    def variants(self) -> Variants | None:
        """SIDECAR_CACHE_VARIANTS, taken apart; ValueError says what is wrong."""
        return variants_of(self.cache_variants, self.cache_variants_field, self.attribute_sources)

    @property
    def unit_keys(self) -> tuple[Key, ...]:
        """The keys of SIDECAR_UNIT_JWT_KEYS."""
        return keys_of(self.unit_jwt_algorithm, self.unit_jwt_keys)

    @property
    def state_keys_listed(self) -> tuple[str, ...]:
        """The keys of SIDECAR_STATE_KEYS, one by one."""
        return tuple(key.strip() for key in self.state_keys.split(",") if key.strip())

    @property
    def worker_count(self) -> int:
        """Processes to start."""
        return self.workers or os.cpu_count() or 1


def address(listen: str) -> tuple[str, int]:
    """`host:port` -> (host, port); a missing host means every interface, brackets around IPv6 go."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def _check_key(key: str) -> None:
    try:
        raw = base64.b64decode(key, validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != 32:
        raise ValueError("SIDECAR_TABLE_PUBLIC_KEYS must hold base64 of 32 bytes each, separated by commas")
