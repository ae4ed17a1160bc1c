"""Everything that a store holds as one file, and such a file as a source of data.

An export is a file of records as backups are (`control_plane.backups.lines` describes it): two exports of the same data have the
same lines of records, whatever kind of store they come from; only the header, and the checksum over it, say when and of whom.
Counterpart: `moves.py` takes a file as it takes a store. Never: the rules file, which people read and write;
`/api/layout-mutation/export` gives that.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

from control_plane.backups import files
from control_plane.backups.encryption import Keys
from control_plane.backups.lines import FORMAT, Header, Trailer
from control_plane.moving.moves import Giving
from control_plane.schema.files import FOLDER, read
from control_plane.store import AuditRecord, Position, Record, StoredAudit
from service.engine import engine

OCCASION = "export"


async def write(source: Giving, path: Path, keys: Keys, made_at: datetime) -> Trailer:
    """Write a file that only its owner may read, whole or not at all. Raises StoreError, OSError."""
    position = await source.position()
    header = Header(
        format=FORMAT,
        program=engine(),
        schema=len(read(FOLDER)),
        made_at=made_at,
        occasion=OCCASION,
        installation=position.installation,
        position=position,
    )
    return await files.write(path, header, source.records(), keys)


class ExportFile:
    """A file as a source. What is wrong with it is a BackupError before anything of it is kept."""

    def __init__(self, path: Path, keys: Keys) -> None:
        self._path = path
        self._keys = keys
        self._position: Position | None = None

    async def position(self) -> Position:
        """Whose data this is, and how far it had come; the file is read to its end for that, once."""
        if self._position is None:
            header, trailer = await files.check(self._path, self._keys)
            self._position = Position(
                header.installation, trailer.change, trailer.audit_number, trailer.audit_hash, trailer.table_version
            )
        return self._position

    async def records(self, since: Position | None = None) -> AsyncIterator[Record]:
        """All records; a file gives everything, whatever came after which position."""
        async for record in files.records(self._path, self._keys):
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
