"""Backup files: lines of records, compressed by zstd, encrypted where somebody is named to read them.

A file is written under another name, brought to the disk, and only then named; it is for its owner alone (mode 0600).
Memory is bounded whatever a store holds. Counterpart: `lines.py` says what is inside; `restoring.py` reads it into a store.
Never: a record that is handed on from a file whose end is missing without an error behind it.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import zstandard

from control_plane.backups.encryption import MAGIC, Keys, Opening, Sealing
from control_plane.backups.lines import (
    FORMAT,
    Account,
    BackupError,
    Header,
    Trailer,
    decode,
    encode,
    kind_of,
)
from control_plane.store import Record

LEVEL = 3  # zstd's own default: the network and the disk wait longer than it does
CHUNK_BYTES = 512 * 1024
LINE_BYTES_MAX = 256 * 1024 * 1024  # a published table in base64 has room; a file that never ends a line has not
FILE_MODE = 0o600
FOLDER_MODE = 0o700
DRAFT = ".draft"


async def write(path: Path, header: Header, records: AsyncIterable[Record], keys: Keys) -> Trailer:
    """Make the file; its trailer. Raises OSError and what `records` raises, and leaves nothing behind then."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    draft = path.with_name(path.name + DRAFT)
    try:
        with _opened(draft) as file:
            trailer = await _write(file, header, records, keys)
        await asyncio.to_thread(_name, draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return trailer


async def records(path: Path, keys: Keys) -> AsyncGenerator[Record, None]:
    """The records of a file; raises BackupError where it is torn, changed or not ours, at the latest after the last record."""
    with closing(_Lines(path, keys)) as lines:
        await asyncio.to_thread(lines.header)
        while batch := await asyncio.to_thread(lines.some):
            for record in batch:
                yield record


def header(path: Path, keys: Keys) -> Header:
    """What a file says of itself, without reading further; raises BackupError."""
    with closing(_Lines(path, keys)) as lines:
        return lines.header()


async def check(path: Path, keys: Keys) -> tuple[Header, Trailer]:
    """Read a file to its end; raises BackupError where it could not be restored."""
    with closing(_Lines(path, keys)) as lines:
        found = await asyncio.to_thread(lines.header)
        while await asyncio.to_thread(lines.some):
            pass
        return found, lines.trailer()


class _Batch:
    """Lines that are hashed and compressed together, off the event loop."""

    def __init__(self, account: Account, target: Any) -> None:
        self._account = account
        self._target = target
        self._lines: list[bytes] = []
        self._kind = ""
        self._size = 0

    def takes(self, kind: str) -> bool:
        """Whether a line of a kind may come to those that are here."""
        return (kind == self._kind and self._size < CHUNK_BYTES) or not self._lines

    def add(self, kind: str, line: bytes) -> None:
        self._kind = kind
        self._lines.append(line)
        self._size += len(line)

    def flush(self) -> None:
        """Pass them on."""
        data = b"".join(self._lines)
        if data:
            self._account.add(self._kind, data, len(self._lines))
            self._target.write(data)
        self._lines, self._size = [], 0


async def _write(file: IO[bytes], header: Header, records: AsyncIterable[Record], keys: Keys) -> Trailer:
    sealing = Sealing(file, keys.recipients) if keys.recipients else None
    into: Any = sealing or file
    try:
        # No checksum of zstd's: the trailer has a better one, and so the last byte of a file is one that is needed.
        compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False)
        with compressor.stream_writer(into, closefd=False) as target:
            first = encode(header)
            account = Account(first)
            target.write(first)
            batch = _Batch(account, target)
            async for record in records:
                kind = kind_of(record)
                if not batch.takes(kind):
                    await asyncio.to_thread(batch.flush)
                account.note(record)
                batch.add(kind, encode(record))
            await asyncio.to_thread(batch.flush)
            trailer = account.trailer()
            target.write(encode(trailer))
    finally:
        if sealing is not None:
            sealing.close()
    await asyncio.to_thread(_to_disk, file)
    return trailer


class _Lines:
    """A file's lines as what they say, in order, with every check."""

    def __init__(self, path: Path, keys: Keys) -> None:
        self._name = path.name
        try:
            with path.open("rb") as file:
                encrypted = file.read(len(MAGIC)) == MAGIC
            opened: Any = Opening(path, keys.identities) if encrypted else path.open("rb")
        except OSError as error:
            raise BackupError(f"{path}: {error.strerror or error}") from None
        self._file = opened
        self._reader = zstandard.ZstdDecompressor().stream_reader(opened, read_across_frames=True)
        self._rest = b""
        self._account: Account | None = None
        self._trailer: Trailer | None = None

    def close(self) -> None:
        self._file.close()

    def header(self) -> Header:
        """The first line; raises BackupError for a file of a newer program."""
        line = next(self._chunk_of_lines(single=True), b"")
        if not line:
            raise BackupError(f"{self._name} is torn, or no backup: not even its first line is there")
        found = self._decoded(line)
        if not isinstance(found, Header):
            raise BackupError(f"{self._name} is no backup of this program, or its beginning was lost")
        if found.format > FORMAT:
            raise BackupError(
                f"{self._name} has format {found.format}, this program reads up to {FORMAT}: run the program that made it ({found.program}) or a newer one"
            )
        self._account = Account(line)
        return found

    def some(self) -> list[Record]:
        """Some more records; none when the file ended as it should."""
        batch = list[Record]()
        lines, kind = list[bytes](), ""
        assert self._account is not None, "the header comes first"
        for line in self._chunk_of_lines():
            found = self._decoded(line)
            if self._trailer is not None:
                raise BackupError(f"{self._name} goes on after its end: it was changed")
            if isinstance(found, Header):
                raise BackupError(f"{self._name} has a second header: it was changed")
            if isinstance(found, Trailer):
                self._add(kind, lines)
                self._end(found)
                continue
            if kind_of(found) != kind:
                self._add(kind, lines)
                kind = kind_of(found)
            lines.append(line)
            self._account.note(found)
            batch.append(found)
        self._add(kind, lines)
        if not batch:
            self.trailer()
        return batch

    def trailer(self) -> Trailer:
        """The last line; raises BackupError where the file is torn."""
        if self._trailer is None:
            raise BackupError(f"{self._name} is torn: its end is missing; take another backup")
        return self._trailer

    def _add(self, kind: str, lines: list[bytes]) -> None:
        if lines and self._account is not None:
            self._account.add(kind, b"".join(lines), len(lines))
            lines.clear()

    def _end(self, found: Trailer) -> None:
        counted = None if self._account is None else self._account.trailer()
        if counted != found:
            raise BackupError(
                f"{self._name} was changed: its records are not those that its end vouches for; take another backup"
            )
        self._trailer = found

    def _decoded(self, line: bytes) -> Record | Header | Trailer:
        try:
            return decode(line[:-1])
        except BackupError as error:
            raise BackupError(f"{self._name}: {error}") from None

    def _chunk_of_lines(self, *, single: bool = False) -> Iterator[bytes]:
        """The lines of the next piece that has any, or the first alone; what follows them is kept."""
        while b"\n" not in self._rest:
            try:
                data = self._reader.read(CHUNK_BYTES)
            except zstandard.ZstdError as error:
                raise BackupError(f"{self._name} is no backup, or it was changed ({error}); take another one") from None
            except OSError as error:
                raise BackupError(f"{self._name}: {error.strerror or error}") from None
            if not data:
                if self._rest:
                    raise BackupError(f"{self._name} is torn: it ends within a line; take another backup")
                return
            self._rest += data
            if len(self._rest) > LINE_BYTES_MAX:
                raise BackupError(f"{self._name} is no backup: it has a line of more than {LINE_BYTES_MAX:,} bytes")
        if single:
            line, _, self._rest = self._rest.partition(b"\n")
            yield line + b"\n"
            return
        whole, _, self._rest = self._rest.rpartition(b"\n")
        yield from (line + b"\n" for line in whole.split(b"\n"))


@contextmanager
def _opened(draft: Path) -> Iterator[IO[bytes]]:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    os.fchmod(descriptor, FILE_MODE)  # one that was left behind may have had another
    with os.fdopen(descriptor, "wb") as file:
        yield file


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _name(draft: Path, path: Path) -> None:
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
