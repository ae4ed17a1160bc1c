"""Connections, and the driver's errors as the store's own.

Never: a statement.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from control_plane.schema.trouble import described
from control_plane.store.interface import AwayError, StoreError

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

Connect = Callable[[], "AbstractAsyncContextManager[Connection]"]


_AWAY = (
    "08",  # connection exceptions
    "25006",  # read-only: a replica, or a server that protects its last bytes
    "28",  # the role or its password is no longer known
    "3D000",  # the database is gone
    "3F000",  # the schema is gone
    "42P01",  # a table is gone
    "42703",  # a column is gone
    "42501",  # what was granted was taken back
    "53",  # disk full, out of memory, too many connections
    "57P",  # shutting down, starting, dropped
    "58",  # the server's disk fails it
    "F0",  # its files are not sound
    "P0001",  # somebody's trigger refuses what we write
    "XX",  # its data are not sound
)
"""Beginnings of the SQLSTATEs (PostgreSQL, appendix A) that say that nothing else will work either."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the driver's errors into StoreError, AwayError where nothing else will work either; a StoreError passes."""
    try:
        yield
    except asyncpg.PostgresError as error:
        kind = AwayError if (error.sqlstate or "").startswith(_AWAY) else StoreError
        raise kind(f"PostgreSQL: {described(error)}") from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # The last one is how the driver may find out that the server hung up in the middle of something.
        raise AwayError(f"PostgreSQL: {described(error)}") from error
    except (OSError, TimeoutError) as error:
        raise AwayError(f"PostgreSQL can't be reached: {described(error)}") from error


@contextmanager
def greeting() -> Iterator[None]:
    """While a connection is made, every error of the server is AwayError: whatever it is, nobody is let in."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise AwayError(f"PostgreSQL: {described(error)}") from error


def not_kept(table: str) -> AwayError:
    """What is to be raised where a row that was written is not there."""
    return AwayError(
        f"PostgreSQL: {table} does not keep what is written to it. A trigger or a rule that somebody added swallows rows: remove it"
    )
