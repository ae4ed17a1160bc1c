"""What a mirror holds that the database has had before, without what waits in the outbox.

Counterpart: `control_plane.store.mirrored` puts it back into tables that were lost. Never: a change that was not replayed yet.
"""

from collections.abc import AsyncIterator, Mapping

import msgspec

from control_plane.store.local import LocalStore
from control_plane.store.records import (
    AuditRecord,
    CounterRecord,
    DocumentRecord,
    Kind,
    Position,
    Record,
    TableRecord,
)

DELETED = "deleted"


async def settled(mirror: LocalStore) -> AsyncIterator[Record]:
    """The mirror's records as they were before the first change that waits; all where none does. Raises StoreError.

    A document that was changed since has its last settled version as the present one, numbered as the change that comes next.
    """
    waiting = await mirror.outbox()
    if not waiting:
        async for record in mirror.records():
            yield record
        return
    base = waiting[0].base
    next_changes: dict[tuple[Kind, str], tuple[int, int | None]] = {}
    for one in (record for provisional in waiting for record in provisional.records):
        if isinstance(one, DocumentRecord):
            next_changes.setdefault((one.kind, one.id), (one.version.version, one.change))
    async for record in mirror.records():
        before = _as_before(record, base, next_changes)
        if before is not None:
            yield before


def _as_before(
    record: Record, base: Position, next_changes: Mapping[tuple[Kind, str], tuple[int, int | None]]
) -> Record | None:
    """A record as it was at `base`; None where it came later."""
    match record:
        case DocumentRecord():
            version, change = next_changes.get((record.kind, record.id), (0, None))
            if version and record.version.version >= version:
                return None
            if record.version.version != version - 1:
                return record
            return msgspec.structs.replace(record, change=change, deleted=record.version.action == DELETED)
        case AuditRecord(entry):
            return record if entry.number <= base.audit_number else None
        case TableRecord(table):
            return record if table.version <= base.table_version else None
        case CounterRecord():
            return CounterRecord(base.table_version)
    return record if record.change <= base.change else None
