"""What a database URL says: where to connect, and whether a transaction pooler stands in between.

A transaction pooler (PgBouncer, Supabase, Neon) gives every transaction another server connection, so prepared
statements and session settings don't survive it. Counterpart: `runner.py` and `store/postgres` connect with what is
found here. Never: a connection, and never the password in a message.
"""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from msgspec import Struct

POOLER_PORTS = frozenset({6432, 6543})  # PgBouncer's own default, Supabase's transaction mode
POOLER_HINTS = ("pooler", "pgbouncer")  # in a host name; Neon and Supabase call theirs so
POOLER_PARAMETERS = ("pgbouncer", "pooled")  # as other clients spell it in the query
SCHEMES = ("postgres", "postgresql")


class Address(Struct, frozen=True):
    """Where the database is. `url` is without the parameters that only this class understands."""

    url: str
    database: str
    user: str
    pooled: bool

    @property
    def connect_options(self) -> dict[str, Any]:
        """Keyword arguments for asyncpg."""
        return {"dsn": self.url, **({"statement_cache_size": 0} if self.pooled else {})}

    def other_database(self, name: str) -> "Address":
        """The same server, another database."""
        return Address(urlunsplit(urlsplit(self.url)._replace(path=f"/{name}")), name, self.user, self.pooled)


def parse(url: str, *, pooled: bool | None = None) -> Address:
    """The address in a URL; `pooled` overrules what the URL hints at. Raises ValueError with the fix."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(
            "DATABASE_URL is not a URL; a password with special characters must be percent-encoded"
        ) from None
    database = unquote(parts.path.strip("/"))
    if parts.scheme not in SCHEMES or not database or "/" in database:
        raise ValueError("DATABASE_URL must be postgresql://user:password@host:port/database")
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    said = any(name in POOLER_PARAMETERS and value.lower() not in ("false", "0") for name, value in parameters)
    hinted = port in POOLER_PORTS or any(hint in (parts.hostname or "") for hint in POOLER_HINTS)
    kept = [(name, value) for name, value in parameters if name not in POOLER_PARAMETERS]
    return Address(
        url=urlunsplit(parts._replace(query=urlencode(kept))),
        database=database,
        user=unquote(parts.username or ""),
        pooled=(said or hinted) if pooled is None else pooled,
    )
