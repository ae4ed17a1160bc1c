"""Backups that only the holder of an identity can read: age (age-encryption.org/v1, X25519), streamed.

Counterpart: `files.py` writes into `Sealing` and reads from `Opening`. Never: an identity in an error or a file; a
program that only makes backups needs none.
"""

import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pyrage
from msgspec import Struct

from control_plane.backups.lines import BackupError

MAGIC = b"age-encryption.org/v1"
_BETWEEN = re.compile(r"[\s,]+")


class Keys(Struct, frozen=True):
    """Whom backups are encrypted to, and what reads them."""

    recipients: tuple[Any, ...] = ()
    identities: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"Keys({len(self.recipients)} recipients, {len(self.identities)} identities)"


def keys(recipients: str, identity: str) -> Keys:
    """Keys out of two settings, each with any number of them; raises ValueError that names the setting."""
    try:
        to = tuple(pyrage.x25519.Recipient.from_str(word) for word in _BETWEEN.split(recipients) if word)
    except pyrage.RecipientError:
        raise ValueError(
            "CONTROL_PLANE_BACKUP_RECIPIENTS must be age recipients such as age1…, with commas between"
        ) from None
    try:
        own = tuple(pyrage.x25519.Identity.from_str(word) for word in _BETWEEN.split(identity) if word)
    except pyrage.IdentityError:
        raise ValueError("CONTROL_PLANE_BACKUP_IDENTITY must be an age identity: AGE-SECRET-KEY-1…") from None
    return Keys(to, own)


class _Worker:
    """The library's loop in a thread, with a pipe to it: it reads and writes whole streams only."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name="age", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits for it
            self.error = error

    def join(self) -> None:
        self._thread.join()


class Sealing:
    """A file that encrypts what is written to it into another one, which it leaves open."""

    def __init__(self, target: IO[bytes], recipients: tuple[Any, ...]) -> None:
        source, self._pipe = _pipe()

        def work() -> None:
            with source:
                pyrage.encrypt_io(source, target, recipients)

        self._worker = _Worker(work)

    def write(self, data: bytes) -> int:
        try:
            return self._pipe.write(data)
        except BrokenPipeError:
            self.close()
            raise

    def flush(self, *_: object) -> None:
        """Nothing to do: the pipe is emptied by the other thread."""

    def close(self) -> None:
        """Everything is encrypted and written; raises what went wrong."""
        with suppress(BrokenPipeError):
            self._pipe.close()
        self._worker.join()
        if self._worker.error is not None:
            raise self._worker.error


class Opening:
    """A file that gives what another one says, decrypted."""

    def __init__(self, file: Path, identities: tuple[Any, ...]) -> None:
        if not identities:
            raise BackupError(
                f"{file.name} is encrypted: set CONTROL_PLANE_BACKUP_IDENTITY to an age identity that may read it"
            )
        self._pipe, target = _pipe()

        def work() -> None:
            with target, file.open("rb") as source:
                pyrage.decrypt_io(source, target, identities)

        self._worker = _Worker(work)
        self._name = file.name

    def read(self, size: int = -1) -> bytes:
        data = self._pipe.read(size)
        if not data:
            self._worker.join()
            if self._worker.error is not None:
                raise BackupError(f"{self._name}: {_why(self._worker.error)}") from None
        return data

    def close(self) -> None:
        self._pipe.close()
        self._worker.join()


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb"), os.fdopen(writing, "wb")


def _why(error: BaseException) -> str:
    if isinstance(error, pyrage.DecryptError) and "No matching keys" in str(error):
        return "CONTROL_PLANE_BACKUP_IDENTITY is none of those that it is encrypted to"
    return f"it is torn or was changed, and can't be decrypted ({error})"
