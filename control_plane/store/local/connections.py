"""Connections to the file, each in a thread of its own, and SQLite's errors as the store's own.

A thread does what it is given in order. So whoever stops waiting leaves nothing half done: what follows comes after it.
Counterpart: `store.py` has one that writes and several that read. Never: a statement about what the store holds.
"""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from control_plane.store.interface import StoreError

T = TypeVar("T")

WAIT_S = 20.0
"""How long a writer waits for another process that writes to the same file."""
WAL_BYTES_KEPT = 64 * 2**20
"""The log is cut to this once it has been brought into the file."""
OWNER_ONLY, OWNER_FOLDER = 0o600, 0o700


class Damaged(StoreError):  # noqa: N818 - what the file is
    """The file is no database or not a sound one: put it aside, and fill a new one from elsewhere."""


class Connection:
    """One connection, and the thread that it lives in."""

    def __init__(self, path: Path, *, writes: bool, wait_s: float = WAIT_S) -> None:
        """Nothing is opened before `open`. `wait_s`: how long another process's writing is waited for."""
        self._path, self._writes, self._wait_s = path, writes, wait_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="local-store")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Connect; raises sqlite3.Error, OSError."""
        await self._done(self._open)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work`, done in the thread after all that was given to it before. It ends even if nobody waits."""
        return await self._done(lambda: self._work(work))

    async def close(self) -> None:
        """Let go, after what is being done."""
        closing = self._done(self._close)
        self._thread.shutdown(wait=False)
        await closing

    def _done(self, work: Callable[[], T]) -> Awaitable[T]:
        # A shield, as cancelling who waits would take what has not begun out of the thread's queue: a rollback, say.
        try:
            return asyncio.shield(asyncio.wrap_future(self._thread.submit(work)))
        except RuntimeError:  # the thread has ended: it was closed while somebody was in the middle of a transaction
            raise StoreError(f"{self._path} is not open") from None

    def _open(self) -> None:
        connection = sqlite3.connect(self._path, timeout=self._wait_s, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            # SQLite's own lower() knows ASCII only.
            connection.create_function("folded", 1, str.lower, deterministic=True)
            for setting in (
                "synchronous = FULL",  # on the disk before the answer
                "foreign_keys = ON",
                f"journal_size_limit = {WAL_BYTES_KEPT}",
                f"query_only = {not self._writes:d}",
            ):
                connection.execute(f"PRAGMA {setting}")
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            raise StoreError(f"{self._path} is not open")
        return work(self._connection)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def create_file(path: Path) -> None:
    """Make the folder and an empty file that only its owner can read, where missing; raises OSError."""
    path.parent.mkdir(mode=OWNER_FOLDER, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, OWNER_ONLY))
    path.chmod(OWNER_ONLY)  # SQLite gives its log the same mode
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into StoreError that names the file; a StoreError from further in passes."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says more precisely where
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise Damaged(f"{path} is damaged: {error}; put it aside and restore it") from error
        if code == sqlite3.SQLITE_BUSY:
            raise StoreError(
                f"{path}: another process has been writing for too long; nothing was saved, try again"
            ) from error
        if code == sqlite3.SQLITE_FULL:
            raise StoreError(f"{path}: the disk is full; nothing was saved") from error
        raise StoreError(f"{path}: {error}") from error
    except OverflowError as error:
        raise StoreError(f"{path}: a number is too large for the store") from error
    except OSError as error:
        raise StoreError(f"{path} can't be used: {error.strerror or type(error).__name__}") from error
