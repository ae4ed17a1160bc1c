"""What the control plane is told from outside, once, at its start.

Counterpart: `service.settings` reads the variables; `.env.example` is generated from this struct. Never: a default for
a secret.
"""

import base64
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from control_plane.origin import networks
from service import redis_address
from service.settings import SECRET

JWT_SECRET_CHARACTERS_MIN = 32  # RFC 7518 3.2: an HS256 key has at least the size of the hash
SIGNING_KEY_BYTES = 32
DATA_DIR = ".layout-mutation/control-plane"
LOCAL_FILE = "store.sqlite3"
LOCAL_PREFIX = "local:"
"""What an address begins with that is a file's path."""
PEER_TOKENS = "CONTROL_PLANE_PEER_TOKENS"
THIS_MACHINE = frozenset({"127.0.0.1", "::1", "localhost"})
_PEER_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LOST_KEY = re.compile(r"lost:[0-9a-f]{16}")


class StoreName(StrEnum):
    """What the service may keep everything in."""

    POSTGRES = "postgres"
    LOCAL = "local"
    CHROMA = "chroma"


class ControlPlaneSettings(Struct, frozen=True, kw_only=True):
    """The variables `CONTROL_PLANE_*`, and those that both planes share."""

    prefix: ClassVar[str] = "CONTROL_PLANE_"
    unprefixed: ClassVar[frozenset[str]] = frozenset(
        {"database_url", "redis_url", "layout_mutation_environment", "log_level"}
    )

    database_url: Annotated[
        str,
        Meta(
            description="PostgreSQL, for example postgresql://user:password@host:5432/layout_mutation; needed unless "
            "CONTROL_PLANE_STORE is another. Version 15 or newer, in the form that Supabase, Neon, Heroku, Render or RDS show, with libpq's parameters "
            "(sslmode, sslrootcert, connect_timeout, target_session_attrs, …); sslmode=verify-full asks who answers. A transaction "
            "pooler is recognised by port 6432, 6543 or 25061, `pooler` in the host, or `?pgbouncer=true`.",
            extra=SECRET,
        ),
    ] = ""
    redis_url: Annotated[
        str,
        Meta(
            description="Redis or Valkey, for example redis://127.0.0.1:6379/0; rediss:// for TLS, with `ssl_…` as redis-py has them; a "
            "parameter that would change how it is read is refused.",
            extra=SECRET,
        ),
    ] = "redis://127.0.0.1:6379/0"
    layout_mutation_environment: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Name of the installation; part of every name in Redis."),
    ] = "local"
    log_level: Annotated[str, Meta(description="debug, info, warning or error.")] = "info"

    listen: Annotated[
        str,
        Meta(
            description="Address of the API and the admin pages, HOST:PORT. Loopback unless a proxy with TLS is in front."
        ),
    ] = "127.0.0.1:8081"
    data_dir: Annotated[
        str,
        Meta(
            description="Folder of its own, on a disk that lasts: holds the mirror of everything that is in the database "
            "(`mirror.db`), which answers and takes changes while the database is away, and a copy of the last table."
        ),
    ] = DATA_DIR
    store: Annotated[
        StoreName,
        Meta(
            description="Where everything is kept: postgres (at DATABASE_URL), or local: one SQLite file in "
            "CONTROL_PLANE_DATA_DIR, for a small installation of one machine, whose disk has to last; or chroma: that file, and "
            "the documents in ChromaDB beside it (the extra `chroma`)."
        ),
    ] = StoreName.POSTGRES
    signing_key: Annotated[
        str,
        Meta(
            description="Base64 of the 32 raw bytes of the Ed25519 private key that signs decision tables.",
            extra=SECRET,
        ),
    ]
    audit_keys: Annotated[
        str,
        Meta(
            description="Base64 of the 32 raw bytes of each key that seals the audit, newest first, separated by commas. Where it is "
            "empty one is derived from the signing key; before that one is replaced, put here what `layout-mutation audit key` prints. "
            "`lost:ID` gives up the key with that id.",
            extra=SECRET,
        ),
    ] = ""
    audit_verify_every: Annotated[
        str,
        Meta(
            pattern=r"^([1-9]\d{0,3}[mhd]|off)$",
            description="How often one of all instances looks whether the audit and the history are what they were: a number with m, h or d, "
            "or off. Of a large audit it looks at what is new, and once a week at everything.",
        ),
    ] = "1d"
    jwt_secret: Annotated[
        str, Meta(description="Secret of the bearer tokens (HS256), at least 32 characters.", extra=SECRET)
    ]
    jwt_issuer: Annotated[str, Meta(min_length=1, description="`iss` that a token must carry.")] = "layout-mutation"
    jwt_audience: Annotated[str, Meta(min_length=1, description="`aud` that a token must carry.")] = (
        "layout-mutation-control-plane"
    )
    public_url: Annotated[
        str, Meta(description="How people reach this service, for links; for example https://mutations.shop.example.")
    ] = "http://127.0.0.1:8081"
    origins: Annotated[
        dict[str, str],
        Meta(
            description="JSON object: host of a site -> base URL of its origin, which preview may fetch pages from; "
            'the key * is the site of addresses without a host. For example {"shop.example": "http://10.0.0.5:3000"}.'
        ),
    ] = {}
    site_urls: Annotated[
        dict[str, str],
        Meta(
            description="JSON object: host of a site -> where visitors reach it, for preview links; the key * is for all others. "
            'A site without an entry is at https://HOST. For example {"shop.example": "https://www.shop.example"}.'
        ),
    ] = {}
    trusted_proxies: Annotated[
        str,
        Meta(
            description="Addresses and networks, separated by commas, of the proxies in front whose X-Forwarded-For says from where a "
            "change came; the audit keeps the network of it, /24 or /48. Empty believes nobody."
        ),
    ] = ""
    database_pooled: Annotated[
        bool | None,
        Meta(description="Whether DATABASE_URL leads to a transaction pooler; found out from the URL where empty."),
    ] = None
    move_from: Annotated[
        str,
        Meta(
            description="The store that the data is to come from, where it is not in DATABASE_URL's yet: a URL like that. "
            "Needed only once; docs/moving.md tells more.",
            extra=SECRET,
        ),
    ] = ""
    move_before: Annotated[
        str,
        Meta(
            description="A command, without a shell, that runs before data moves to another store, with the plan as JSON on "
            "standard input. An exit code other than 0 stops the move."
        ),
    ] = ""
    move_after: Annotated[
        str, Meta(description="A command that runs after such a move, with what came of it as JSON on standard input.")
    ] = ""
    database_connections: Annotated[int, Meta(ge=1, le=100, description="Connections to PostgreSQL at most.")] = 8

    backup_dir: Annotated[
        str, Meta(description="Folder of the backups; the folder `backups` in CONTROL_PLANE_DATA_DIR where empty.")
    ] = ""
    backup_url: Annotated[
        str,
        Meta(
            description="Where backups go besides: s3://bucket/prefix of any server that speaks S3. Credentials are AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and AWS_REGION of the environment."
        ),
    ] = ""
    backup_endpoint: Annotated[
        str, Meta(description="Address of that server; Amazon's where empty. For example https://minio.example:9000.")
    ] = ""
    backup_recipients: Annotated[
        str,
        Meta(
            description="age recipients (age1…) that backups are encrypted to, with commas between; not encrypted where empty."
        ),
    ] = ""
    backup_identity: Annotated[
        str,
        Meta(
            description="age identity (AGE-SECRET-KEY-1…) that reads encrypted backups. Only who restores or verifies needs it.",
            extra=SECRET,
        ),
    ] = ""
    backup_readers: Annotated[
        str,
        Meta(
            description="Subjects of tokens of the role peer, separated by commas, that may fetch the newest backup of this service "
            "(all that it holds, encrypted where CONTROL_PLANE_BACKUP_RECIPIENTS is set); no peer may where it is empty."
        ),
    ] = ""
    peers: Annotated[
        dict[str, str],
        Meta(
            description="JSON object: name -> address of another control plane that holds backups of this installation, asked in "
            "their order when database, mirror and backups are gone. https, or http on this machine. For example "
            '{"standby": "https://standby.shop.example"}.'
        ),
    ] = {}
    peer_tokens: Annotated[
        dict[str, str],
        Meta(
            description="JSON object: the name of each of CONTROL_PLANE_PEERS -> the token that it takes from us, made there by "
            "`layout-mutation token --role peer --subject NAME`, whose NAME is in that service's CONTROL_PLANE_BACKUP_READERS.",
            extra=SECRET,
        ),
    ] = {}
    backup_every: Annotated[
        str,
        Meta(
            pattern=r"^([1-9]\d{0,3}[mhd]|off)$",
            description="How often one of all instances makes a backup: a number with m, h or d, or off.",
        ),
    ] = "1d"
    backup_keep: Annotated[
        str,
        Meta(
            description="Which of the backups that are made regularly stay: the newest of each of so many days, weeks and months."
        ),
    ] = "7 daily, 4 weekly, 12 monthly"
    backup_keep_apart: Annotated[
        int,
        Meta(
            ge=1,
            le=9_999,
            description="How many backups stay of those that somebody made by hand; and as many of those made before a migration, "
            "and of those made before a restore replaced data. The oldest goes when there are more; days don't count.",
        ),
    ] = 10
    alone: Annotated[
        bool,
        Meta(
            description="There is no other control plane of this installation. While PostgreSQL is away it takes changes "
            "then without asking Redis who may; `layout-mutation up` says so. Never true for two instances."
        ),
    ] = False

    def __post_init__(self) -> None:
        if self.store is StoreName.POSTGRES and not self.database_url:
            raise ValueError(
                "DATABASE_URL is not set: name a PostgreSQL, or set CONTROL_PLANE_STORE=local to keep everything in one "
                "file on this machine"
            )
        redis_address.check(self.redis_url)
        _check_listen(self.listen)
        check_signing_key(self.signing_key)
        check_audit_keys(self.audit_keys)
        try:
            networks(self.trusted_proxies)
        except ValueError as error:
            raise ValueError(f"CONTROL_PLANE_TRUSTED_PROXIES: {error}") from None
        if len(self.jwt_secret) < JWT_SECRET_CHARACTERS_MIN:
            raise ValueError(f"CONTROL_PLANE_JWT_SECRET needs at least {JWT_SECRET_CHARACTERS_MIN} characters")
        if urlsplit(self.public_url).scheme not in ("http", "https"):
            raise ValueError("CONTROL_PLANE_PUBLIC_URL must begin with http:// or https://")
        _check_addresses("CONTROL_PLANE_ORIGINS: the origin", self.origins)
        _check_addresses("CONTROL_PLANE_SITE_URLS: the address", self.site_urls)
        _check_peers(self.peers, self.peer_tokens)

    @property
    def local_file(self) -> str:
        """The file of the local store."""
        return str(Path(self.data_dir) / LOCAL_FILE)

    @property
    def store_address(self) -> str:
        """Where everything is kept, in one word: a URL with its secrets, or local: and a path."""
        return self.database_url if self.store is StoreName.POSTGRES else f"{LOCAL_PREFIX}{self.local_file}"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


def _check_listen(listen: str) -> None:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"CONTROL_PLANE_LISTEN must be HOST:PORT, for example 127.0.0.1:8081 (got {listen[:80]!r})")


def check_signing_key(text: str) -> None:
    """Raise ValueError, naming the variable, for what is no signing key."""
    if not _is_32_bytes(text):
        raise ValueError("CONTROL_PLANE_SIGNING_KEY must be the base64 of 32 raw bytes of an Ed25519 private key")


def check_audit_keys(text: str) -> None:
    """Raise ValueError, naming the variable, for what are no keys of the audit."""
    for word in filter(None, (part.strip() for part in text.split(","))):
        if not _LOST_KEY.fullmatch(word) and not _is_32_bytes(word):
            raise ValueError(
                "CONTROL_PLANE_AUDIT_KEYS must be base64 of 32 raw bytes each, separated by commas, newest first; "
                "a key that nobody has any more is `lost:` and its id of 16 hexadecimal digits"
            )


def _is_32_bytes(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == SIGNING_KEY_BYTES
    except ValueError:
        return False


def _check_peers(peers: Mapping[str, str], tokens: Mapping[str, str]) -> None:
    _check_addresses("CONTROL_PLANE_PEERS: the address", peers)
    for name, address in peers.items():
        parts = urlsplit(address)
        if not _PEER_NAME.fullmatch(name):
            raise ValueError(f"CONTROL_PLANE_PEERS: a name is 1 to 64 letters, digits, - and _ (got {name[:80]!r})")
        if parts.scheme == "http" and parts.hostname not in THIS_MACHINE:
            raise ValueError(
                f"CONTROL_PLANE_PEERS: the address of {name!r} must begin with https://, as a token is sent there"
            )
    if peers.keys() != tokens.keys():
        name = min(peers.keys() ^ tokens.keys())
        raise ValueError(
            f"{PEER_TOKENS}: it needs the names of CONTROL_PLANE_PEERS, each with a token; {name[:80]!r} is in one of them only"
        )


def _check_addresses(what: str, addresses: Mapping[str, str]) -> None:
    for site, origin in addresses.items():
        parts = urlsplit(origin)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.fragment
            or parts.username
        ):
            raise ValueError(f"{what} of {site[:80]!r} must be an http(s) URL of host, port and path only")
