"""Connections, and the driver's errors as the store's own.

Never: a statement.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from control_plane.schema.trouble import described
from control_plane.store.interface import StoreError

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

Connect = Callable[[], "AbstractAsyncContextManager[Connection]"]


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the driver's errors into StoreError; a StoreError from further in passes."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # The last one is how the driver may find out that the server hung up in the middle of something.
        raise StoreError(f"PostgreSQL: {described(error)}") from error
    except (OSError, TimeoutError) as error:
        raise StoreError(f"PostgreSQL can't be reached: {described(error)}") from error
