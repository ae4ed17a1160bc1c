"""The last good table on disk, so that a restart without Redis serves what was served before.

Counterpart: `tables.py` writes each table that it takes and reads one when it starts. The file holds the sealed bytes;
its signature is checked again when it is read, so the folder need not be trusted.
Several processes may share a folder: a file appears whole or not at all, and each process writes what it has taken in
order, so after a change of table the file is the new one once the last of them has taken it.

Never: removes a snapshot, whatever is in it.
"""

import errno
import os
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FILE = "table"
PIECE_BYTES = 256 * 1024
"""Of a table, written or compared in one go: megabytes at once would keep the core from the thread of the visitors."""
DRAFT_AGE_S_MAX = 600.0
"""A draft this old belongs to a process that was killed while it wrote."""


def read(folder: Path, bytes_max: int) -> bytes | None:
    """The sealed table, None if there is none; at most one byte more than `bytes_max`. Raises OSError."""
    try:
        with open(folder / FILE, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is no file")
            return file.read(bytes_max + 1)
    except FileNotFoundError:
        return None


def _at_once(path: str, flags: int) -> int:
    """Opened without waiting for whoever writes into a pipe (open(2), O_NONBLOCK); a file is read as ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def write(folder: Path, sealed: bytes | bytearray, pause: Callable[[], None] = lambda: None) -> None:
    """Replace the snapshot, durably and whole. Raises OSError; the old snapshot is then still there.

    `pause` is called between pieces of a large table, for whoever wants to let others have their turn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    if _is_same(folder / FILE, sealed, pause):
        return
    draft = folder / f".{FILE}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        with draft.open("xb") as file:
            for start in range(0, len(sealed), PIECE_BYTES):
                pause()
                file.write(sealed[start : start + PIECE_BYTES])
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / FILE)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    _sync_folder(folder)


def _is_same(file: Path, sealed: bytes | bytearray, pause: Callable[[], None]) -> bool:
    """Another worker has often written it already; reading is cheaper than fsync."""
    try:
        if file.stat().st_size != len(sealed):
            return False
        with file.open("rb") as opened:
            for start in range(0, len(sealed), PIECE_BYTES):
                pause()
                if opened.read(PIECE_BYTES) != sealed[start : start + PIECE_BYTES]:
                    return False
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    """Make the new name durable too, as fsync(2) asks for."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    for draft in folder.glob(f".{FILE}.*"):
        with suppress(OSError):
            if time.time() - draft.stat().st_mtime > DRAFT_AGE_S_MAX:
                draft.unlink()
