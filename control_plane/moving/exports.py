"""Everything that a store holds as one file, from which another store can be filled.

Lines of JSON. The first says what it is and whose: `{"format": "layout-mutation export", "version": 1, "installation": …,
"position": …}`. Then one record each line, as `store.records` has them, bytes in base64. The last one says how many records
there are and the SHA-256 of all lines before it, so that a file that was cut off or changed is noticed before anything of it
is kept. Two exports of the same data are the same from the second line on, whatever kind of store they come from.
Counterpart: `moves.py` takes a file as it takes a store. Never: the rules file, which people read and write;
`/api/layout-mutation/export` gives that.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from control_plane.moving.moves import Giving
from control_plane.store import AuditRecord, Position, Record, StoredAudit

FORMAT = "layout-mutation export"
VERSION = 1
LAST_LINE = b'{"records":'
LINE_BYTES_MAX = 256 * 1024 * 1024
"""No record is longer: a decision table has 64 MB at most, and base64 adds a third."""


class ExportError(Exception):
    """The file can't be used. The message names the line and the fix."""


class Header(Struct, frozen=True, kw_only=True):
    """The first line."""

    format: str
    version: int
    position: Position
    """Whose data it is, and how far it had come."""


class Trailer(Struct, frozen=True, kw_only=True):
    """The last line."""

    records: int
    sha256: str
    """Of every byte before this line, 64 hexadecimal digits."""


async def write(source: Giving, file: BinaryIO) -> int:
    """Write everything; how many records. Raises StoreError, OSError."""
    digest, count = sha256(), 0

    def put(value: object) -> None:
        line = msgspec.json.encode(value) + b"\n"
        digest.update(line)
        file.write(line)

    put(Header(format=FORMAT, version=VERSION, position=await source.position()))
    async for record in source.records():
        put(record)
        count += 1
    put(Trailer(records=count, sha256=digest.hexdigest()))
    return count


async def write_file(source: Giving, path: Path) -> int:
    """Write a file that only its owner may read, whole or not at all; how many records. Raises StoreError, OSError."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            count = await write(source, file)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    return count


class ExportFile:
    """A file as a source of data. What is wrong with it is raised while it is read, so that whoever loads it keeps nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def position(self) -> Position:
        """Whose data this is, and how far it had come; raises ExportError, OSError."""
        return self._header(next(self._lines(), b"")).position

    async def records(self, since: Position | None = None) -> AsyncIterator[Record]:
        """All records, checked to the end; a file gives everything, whatever came after which position."""
        for record in self._checked():
            yield record

    async def audit_page(
        self, kind: str | None, subject: str | None, before: int | None, limit: int
    ) -> list[StoredAudit]:
        """The newest entries with numbers below `before`, of all kinds and subjects: what a comparison asks for."""
        found = list[StoredAudit]()
        async for record in self.records():
            if isinstance(record, AuditRecord) and (before is None or record.entry.number < before):
                found = [record.entry, *found][:limit]
        return found

    def _lines(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            yield from iter(lambda: file.readline(LINE_BYTES_MAX), b"")

    def _checked(self) -> Iterator[Record]:
        digest, count, trailer = sha256(), 0, None
        for number, line in enumerate(self._lines(), 1):
            if trailer is not None:
                raise self._wrong(number, "there is something behind the last line")
            if number == 1:
                self._header(line)
            elif line.startswith(LAST_LINE):
                trailer = self._decoded(number, line, Trailer)
                self._check(trailer, number, count, digest.hexdigest())
            else:
                yield self._decoded(number, line, Record)
                count += 1
            digest.update(line)
        if trailer is None:
            raise ExportError(f"{self._path}: it is cut off after {count} records; export anew")

    def _header(self, line: bytes) -> Header:
        try:
            header = msgspec.json.decode(line, type=Header)
        except msgspec.MsgspecError:
            header = None
        if header is None or header.format != FORMAT:
            raise ExportError(
                f"{self._path}: this is no export of everything. A rules file goes to POST /api/layout-mutation/import"
            )
        if not 1 <= header.version <= VERSION:
            raise ExportError(
                f"{self._path}: it is of version {header.version}, and this program reads up to {VERSION}: use a newer program"
            )
        return header

    def _check(self, trailer: Trailer, number: int, count: int, digest: str) -> None:
        if trailer.records != count:
            raise self._wrong(number, f"it says {trailer.records} records, and {count} are there")
        if trailer.sha256 != digest:
            raise self._wrong(
                number, "its checksum is that of other lines: the file was changed or damaged; export anew"
            )

    def _decoded(self, number: int, line: bytes, kind: Any) -> Any:
        try:
            return msgspec.json.decode(line, type=kind)
        except msgspec.MsgspecError as error:
            raise self._wrong(number, f"it can't be read: {error}") from None

    def _wrong(self, number: int, problem: str) -> ExportError:
        return ExportError(f"{self._path}, line {number}: {problem}")
