"""A second copy of what waits in the outbox, for the day on which the mirror's file is damaged while the database is away.

Lines of JSON at the end of a file, each on the disk before the change is answered, and with its own checksum. It is read only
where the mirror no longer has what it knew, and emptied when the database has everything. Counterpart: `keeping.py` writes it,
`recovery.py` brings over what is in it. Never: a change that was not saved in the mirror first.
"""

import asyncio
import os
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from control_plane.store.local import Provisional

SUFFIX = ".outbox"
OWNER_ONLY = 0o600


class Spare:
    """One file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.damaged = False
        """Whether something could not be read the last time."""

    async def add(self, one: Provisional) -> None:
        """Put a change at the end; it is on the disk afterwards. Raises OSError."""
        content = msgspec.json.encode(one)
        # It ends what a full disk or a kill may have left unfinished before it, too.
        await asyncio.to_thread(self._append, b"\n%08x %s\n" % (zlib.crc32(content), content))

    async def read(self) -> list[Provisional]:
        """What can be read, in the order in which it was written; a line that was not finished, or is damaged, is left out."""
        try:
            lines = [line for line in (await asyncio.to_thread(self._path.read_bytes)).splitlines() if line]
        except OSError as error:
            self.damaged = not isinstance(error, FileNotFoundError)
            return []
        found = [one for line in lines if (one := _decoded(line)) is not None]
        self.damaged = len(found) < len(lines)
        return found

    async def clear(self) -> None:
        """Forget everything; never raises."""
        with suppress(OSError):
            await asyncio.to_thread(self._path.unlink, missing_ok=True)

    async def put_aside(self, suffix: str) -> Path | None:
        """Keep the file under another name, where it is now; None where there is none. Raises OSError."""
        aside = self._path.with_name(self._path.name + suffix)
        try:
            await asyncio.to_thread(self._path.replace, aside)
        except FileNotFoundError:
            return None
        return aside

    def _append(self, line: bytes) -> None:
        created = not self._path.exists()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, OWNER_ONLY)
        try:
            _write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if created:
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _write(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]


def _decoded(line: bytes) -> Provisional | None:
    checksum, _, content = line.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(content):
            return None
        return msgspec.json.decode(content, type=Provisional)
    except (ValueError, msgspec.MsgspecError):
        return None


def of_others(waiting: Sequence[Provisional], installation: str) -> bool:
    """Whether any of it was made in another installation."""
    return any(one.base.installation is None or one.base.installation.id != installation for one in waiting)
