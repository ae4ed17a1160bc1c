"""What a database URL says: where to connect and how, and whether a transaction pooler stands in between.

A transaction pooler (PgBouncer, Supabase, Neon) gives every transaction another server connection, so prepared
statements and session settings don't survive it. What a URL may say follows libpq (PostgreSQL 18, 32.1.2), and every
parameter is known here: asyncpg would send those that it does not know to the server as settings, where poolers refuse
them. Counterpart: `tls.py` has what is said of TLS, `trouble.py` what goes wrong; `runner.py` and `store/postgres` connect
with what is found here. Never: a connection, and never the password in a message.
"""

import re
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct, structs

from control_plane.schema.tls import Tls

POOLER_PORTS = frozenset({6432, 6543, 25061})  # PgBouncer's default, Supabase's transaction mode, DigitalOcean's pools
POOLER_HINTS = ("pooler", "pgbouncer")  # in a host name; Neon calls its own so
POOLER_PARAMETERS = ("pgbouncer", "pooled")  # as other clients spell it in the query
SUPABASE_POOLER = ".pooler.supabase.com"  # one host for sessions (5432) and for transactions (6543); user ROLE.PROJECT
SCHEMES = ("postgres", "postgresql")
PORT = 5432
CONNECT_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S_MAX = 300
SESSION_ATTRIBUTES = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")

INSTEAD_OF_HOST = ("host", "port", "dbname", "user", "password")
"""libpq takes these from the query too, for what an authority can't say: a socket's folder, for example."""
OF_TLS = (
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
)
NEEDLESS = frozenset(
    {
        # libpq's, for what asyncpg does by itself or not at all; nothing that keeps a stranger out
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
        *(
            "sslcompression",
            "sslsni",
            "gssencmode",
            "fallback_application_name",
            "client_encoding",
            "load_balance_hosts",
        ),
        # other clients' own: Prisma, SQLAlchemy, JDBC, node-postgres, Vercel's integration of Supabase
        *("connection_limit", "pool_timeout", "pool_mode", "statement_cache_size", "prepared_statement_cache_size"),
        *("prepareThreshold", "uselibpqcompat", "supa", "workaround", "schema", "socket_timeout", "ssl"),
    }
)
"""Parameters that are left out, since nothing of what they ask for is lost."""

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_.]{0,40}$")
_ENDPOINT = re.compile(r"^(endpoint|project)=[\w.-]+$")
_NOT_A_URL = "DATABASE_URL is not a URL; a password with special characters must be percent-encoded"
_FORM = "DATABASE_URL must be postgresql://user:password@host:port/database"


class Address(Struct, frozen=True, kw_only=True):
    """Where the database is, and how to get there."""

    hosts: tuple[tuple[str, int], ...]
    """Empty for this machine's socket; several are tried in their order."""
    database: str
    user: str
    password: str | None = None
    pooled: bool = False
    tls: Tls = Tls()
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    session_attributes: str = "any"
    application_name: str = ""
    passfile: str | None = None
    advice: tuple[str, ...] = ()
    """What an operator should hear of the URL, though it works."""

    @property
    def role(self) -> str:
        """The role that the server knows; Supabase's pooler has the project behind it."""
        at_supabase = any(host.endswith(SUPABASE_POOLER) for host, _ in self.hosts)
        return self.user.rpartition(".")[0] or self.user if at_supabase else self.user

    @property
    def connect_options(self) -> dict[str, Any]:
        """Keyword arguments for asyncpg, `timeout` included; raises ValueError where a file of TLS is of no use."""
        options: dict[str, Any] = {
            "database": self.database,
            "ssl": self.tls.context() if any(not host.startswith("/") for host, _ in self.hosts) else None,
            "direct_tls": self.tls.direct,
            "target_session_attrs": self.session_attributes,
            "timeout": self.connect_timeout_s,
        }
        if self.hosts:
            options |= {"host": [host for host, _ in self.hosts], "port": [port for _, port in self.hosts]}
        options |= {name: value for name in ("user", "password", "passfile") if (value := getattr(self, name))}
        if self.application_name:
            options["server_settings"] = {"application_name": self.application_name}
        return options | ({"statement_cache_size": 0} if self.pooled else {})

    def other_database(self, name: str) -> "Address":
        """The same server, another database."""
        return structs.replace(self, database=name)

    def __repr__(self) -> str:
        """Without the password."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"<Address {self.user}@{hosts}/{self.database}{' pooled' if self.pooled else ''}>"


def parse(url: str, *, pooled: bool | None = None) -> Address:
    """The address in a URL; `pooled` overrules what the URL hints at. Raises ValueError with the fix."""
    parts = _split(url)
    given = _parameters(parts)
    hosts, database = _hosts(parts, given), given.pop("dbname", unquote(parts.path.strip("/")))
    if not database or "/" in database:
        raise ValueError(_FORM)
    user, password = _credentials(parts, given)
    said = [given.pop(name).lower() not in ("false", "0") for name in POOLER_PARAMETERS if name in given]
    if pooled is None:
        pooled = any(said) or any(_is_pooler(host, port) for host, port in hosts)
    advice: list[str] = []
    address = Address(
        hosts=hosts,
        database=database,
        user=user,
        password=password,
        pooled=pooled,
        connect_timeout_s=_seconds(given),
        session_attributes=_session_attributes(given),
        application_name=given.pop("application_name", ""),
        passfile=given.pop("passfile", None),
        tls=_tls(given, advice),
    )
    _take_known(given, advice, pooled=pooled)
    for name in given:
        raise ValueError(_unknown(name))
    return structs.replace(address, advice=tuple(advice))


# ---------------------------------------------------------------- the parts of a URL


def _split(url: str) -> SplitResult:
    if "[YOUR-PASSWORD]" in url:
        raise ValueError("DATABASE_URL still has the placeholder [YOUR-PASSWORD]; put the database's password there")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(_NOT_A_URL) from None
    if parts.scheme not in SCHEMES:
        raise ValueError(_FORM)
    if parts.fragment or "@" in parts.path + parts.query:  # a password that ended the authority too early
        raise ValueError(_NOT_A_URL)
    return parts


def _parameters(parts: SplitResult) -> dict[str, str]:
    """Name -> value; as with libpq the last one counts."""
    try:
        return dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else ())
    except ValueError:
        raise ValueError("DATABASE_URL: what follows the ? must be NAME=VALUE, joined by &") from None


def _hosts(parts: SplitResult, given: dict[str, str]) -> tuple[tuple[str, int], ...]:
    ports = given.pop("port", "").split(",")
    found: list[tuple[str, int]] = []
    authority = parts.netloc.rpartition("@")[2]
    for index, text in enumerate(filter(None, given.pop("host", authority).split(","))):
        if text.startswith("/"):
            name, port = text, ""
        else:
            try:
                one = urlsplit(f"//{text}")
                name, port = unquote(one.hostname or ""), str(one.port or "")
            except ValueError:
                raise ValueError(_NOT_A_URL) from None
        port = port or ports[min(index, len(ports) - 1)] or str(PORT)
        if not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ValueError("DATABASE_URL: a port is a number from 1 to 65535")
        found.append((name, int(port)))
    return tuple(found)


def _credentials(parts: SplitResult, given: dict[str, str]) -> tuple[str, str | None]:
    user, password = unquote(parts.username or ""), parts.password
    user = given.pop("user", user)
    return user, given.pop("password", None if password is None else unquote(password))


def _is_pooler(host: str, port: int) -> bool:
    if host.endswith(SUPABASE_POOLER):
        return port in POOLER_PORTS
    return port in POOLER_PORTS or any(hint in host for hint in POOLER_HINTS)


def _seconds(given: dict[str, str]) -> float:
    text = given.pop("connect_timeout", "0")
    if not text.isdecimal() or int(text) > CONNECT_TIMEOUT_S_MAX:
        raise ValueError(
            f"DATABASE_URL: connect_timeout is whole seconds, at most {CONNECT_TIMEOUT_S_MAX}; 0 means "
            f"{CONNECT_TIMEOUT_S:.0f}"
        )
    return float(text) or CONNECT_TIMEOUT_S


def _session_attributes(given: dict[str, str]) -> str:
    value = given.pop("target_session_attrs", "any")
    if value not in SESSION_ATTRIBUTES:
        raise ValueError(f"DATABASE_URL: target_session_attrs is one of {', '.join(SESSION_ATTRIBUTES)}")
    return value


def _tls(given: dict[str, str], advice: list[str]) -> Tls:
    """What is said of TLS. asyncpg has no channel binding, so where it is required the certificate is verified instead."""
    binding = given.pop("channel_binding", "prefer")
    if binding not in ("disable", "prefer", "require"):
        raise ValueError("DATABASE_URL: channel_binding is disable, prefer or require")
    tls = Tls.of({name: given.pop(name) for name in OF_TLS if name in given}, verified=binding == "require")
    if tls.mode == "require" and not tls.verifies:
        advice.append(
            "sslmode=require encrypts without asking who answers; sslmode=verify-full asks (with sslrootcert=FILE where the "
            "provider has an authority of its own)"
        )
    return tls


# ---------------------------------------------------------------- what is known and left out


def _take_known(given: dict[str, str], advice: list[str], *, pooled: bool) -> None:
    """Take out what needs no word, and what gets one."""
    for name in NEEDLESS & given.keys():
        del given[name]
    if "search_path" in given:
        del given["search_path"]
        advice.append("search_path is left out: all names of this service are written in full")
    read_only = given.pop("default_transaction_read_only", "off").lower()
    if read_only not in ("off", "false", "no", "0"):
        raise ValueError(
            "DATABASE_URL: default_transaction_read_only would keep this service from saving anything; remove it"
        )
    if "options" in given:
        _take_options(given, pooled=pooled)


def _take_options(given: dict[str, str], *, pooled: bool) -> None:
    """Neon's `options=endpoint=…` is for clients that don't tell the host's name in TLS; asyncpg tells it."""
    options = given.pop("options").strip()
    if not options or _ENDPOINT.match(options):
        return
    where = "a pooler refuses it" if pooled else "this service needs none"
    raise ValueError(
        f"DATABASE_URL: the parameter options is not passed on ({where}); remove it, and give the role its settings by "
        "ALTER ROLE … SET … instead"
    )


def _unknown(name: str) -> str:
    shown = name if _NAME.match(name) else "of that name"
    if name in ("service", "servicefile"):
        return (
            f"DATABASE_URL: the parameter {shown} names a file of libpq's; write host, user and database into the URL"
        )
    return (
        f"DATABASE_URL: the parameter {shown} is not known; remove it. A setting of the server is given to the role, by "
        "ALTER ROLE … SET …, and is not sent with the connection, where poolers would refuse it"
    )
