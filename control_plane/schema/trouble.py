"""What is wrong when PostgreSQL can't be used, in words that an operator can act on, and which versions are supported.

Counterpart: `runner.py` and `store/postgres/connections.py` put it into their errors. Never: a password; the driver's
errors name roles, hosts and databases, and these words add nothing to that.
"""

import socket
import ssl
from collections.abc import Sequence

import asyncpg

VERSION_MIN = 15
"""Oldest major version that the tests run on, and older ones get no updates any more (since November 2026)."""

READ_ONLY = (
    "It takes no writes at present: it is a standby in recovery, or its transactions are read-only by default (a provider sets "
    "that when the disk is full: SHOW default_transaction_read_only). What is saved waits until it is a primary again; "
    "with several hosts in DATABASE_URL add target_session_attrs=read-write"
)


def too_old(major: int) -> str:
    """Why a server of this version is refused; empty where it is not."""
    if major >= VERSION_MIN:
        return ""
    return (
        f"PostgreSQL {major} is too old: this program needs {VERSION_MIN} or newer. Nothing was changed; upgrade the server "
        "(pg_upgrade, or your provider's button), or move to another one by its DATABASE_URL"
    )


def described(error: BaseException) -> str:
    """What went wrong, on one line, with what to do about it where that is known."""
    said = " ".join(str(error).split()) or type(error).__name__
    advice = _advice(error, said)
    return f"{said}. {advice}" if advice else said


def is_read_only(error: BaseException) -> bool:
    """Whether the server answers but takes no writes."""
    return isinstance(error, asyncpg.ReadOnlySQLTransactionError)


def _advice(error: BaseException, said: str) -> str:
    for matches, words in _TYPES:
        if isinstance(error, matches):
            return words
    return next((words for part, words in _SAID if part in said), "")


_TYPES: Sequence[tuple[type[BaseException] | tuple[type[BaseException], ...], str]] = (
    (asyncpg.ReadOnlySQLTransactionError, READ_ONLY),
    (
        ssl.SSLCertVerificationError,
        (
            "The server's certificate is not one that sslrootcert vouches for under the host's name in DATABASE_URL. Give the "
            "authority's file of your provider as sslrootcert, sslrootcert=system for public authorities, and the name that the "
            "certificate is for as the host"
        ),
    ),
    (
        (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError),
        (
            "A transaction pooler stands in between: set CONTROL_PLANE_DATABASE_POOLED=true, or add ?pgbouncer=true to "
            "DATABASE_URL"
        ),
    ),
    (asyncpg.InvalidPasswordError, "Check user and password in DATABASE_URL; special characters are percent-encoded"),
    (
        asyncpg.TooManyConnectionsError,
        "Lower CONTROL_PLANE_DATABASE_CONNECTIONS, or connect through the provider's pooler",
    ),
    (asyncpg.DiskFullError, "The server's disk is full: make room there; nothing was saved"),
    (asyncpg.TargetServerAttributeNotMatched, "No host in DATABASE_URL is what target_session_attrs asks for"),
    (socket.gaierror, "No such host: check the host in DATABASE_URL, and whether this machine has a name server"),
)
"""The first that fits counts."""

_SAID = (
    ("rejected SSL upgrade", "The server has no TLS; on a network of your own leave sslmode out of DATABASE_URL"),
    ("no encryption", "The server wants TLS: add sslmode=verify-full (or require) to DATABASE_URL"),
    ("SSL required", "The server wants TLS: add sslmode=verify-full (or require) to DATABASE_URL"),
    (
        "no pg_hba.conf entry",
        "The server lets nobody in from here as that role: see its pg_hba.conf or allowed networks",
    ),
    ("Tenant or user not found", "At Supabase's pooler the user is ROLE.PROJECT, for example postgres.abcdefgh"),
    ("startup parameter", "A pooler refuses a setting that came with the connection; remove it from DATABASE_URL"),
    ("Network is unreachable", "Supabase's db.PROJECT.supabase.co is reached by IPv6 only: take its session pooler"),
)
