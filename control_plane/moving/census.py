"""What a store holds, counted: so many of each entity, and a checksum over them, to compare two stores side by side.

The checksum of an entity is the sum of the SHA-256 of its records, as MessagePack, modulo 2^256: equal for equal records
in whatever order they come. Counterpart: `moves.py` counts on both sides. Never: proof against someone who means harm;
that is what the audit's chain is for.
"""

from collections import defaultdict
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from datetime import datetime
from hashlib import sha256

import msgspec
from msgspec import Struct

from control_plane.store import (
    AnswerRecord,
    AuditRecord,
    CounterRecord,
    DocumentRecord,
    KeptRecord,
    Kind,
    Record,
    Shelf,
    SignInRecord,
    TableRecord,
)
from control_plane.store.retention import lasting
from service.clock import now

_MODULUS = 1 << 256

ENTITIES: tuple[str, ...] = (
    *(name for kind in Kind for name in (f"{kind.noun}s", f"{kind.noun} versions")),
    "audit entries",
    "published tables",
    "table counter",
    "idempotency keys",
    "used sign-ins",
    *(f"{shelf.value}s" for shelf in Shelf),
)
"""What is counted, in the order in which people see it."""


class Tally(Struct, frozen=True):
    """How many of one entity, and their checksum as 64 hexadecimal digits."""

    count: int
    checksum: str


NONE = Tally(0, "0" * 64)
Census = Mapping[str, Tally]
"""Entity -> its tally, for all ENTITIES."""


class Counter:
    """Counts records as they pass, without what stores forget by themselves: one of the two may have done so already."""

    def __init__(self, at: datetime | None = None) -> None:
        """`at`: now, unless a test says otherwise."""
        self._at = at or now()
        self._newest_table = 0
        self._counts: dict[str, int] = defaultdict(int)
        self._sums: dict[str, int] = defaultdict(int)
        self.audit_number = 0
        """The newest audit entry that passed; 0 for none."""
        self.audit_hash = b""

    async def through(self, records: AsyncIterable[Record]) -> AsyncIterator[Record]:
        """The same records, counted."""
        async for record in records:
            self.add(record)
            yield record

    def add(self, record: Record) -> None:
        """Count one record; the present version of a document is counted as itself and as one of its versions."""
        if isinstance(record, CounterRecord):  # which comes before the tables
            self._newest_table = record.table_version
        kept = lasting(record, self._at, self._newest_table)
        if kept is not None:
            self._add(kept)

    def _add(self, record: Record) -> None:
        digest = int.from_bytes(sha256(msgspec.msgpack.encode(record)).digest())
        self._count(entity_of(record), digest)
        if isinstance(record, DocumentRecord) and record.change is not None:
            self._count(f"{record.kind.noun}s", digest)
        if isinstance(record, AuditRecord) and record.entry.number > self.audit_number:
            self.audit_number, self.audit_hash = record.entry.number, record.entry.hash or b""

    def census(self) -> Census:
        """What was counted so far."""
        return {
            name: Tally(self._counts[name], f"{self._sums[name]:064x}") if name in self._counts else NONE
            for name in ENTITIES
        }

    def _count(self, entity: str, digest: int) -> None:
        self._counts[entity] += 1
        self._sums[entity] = (self._sums[entity] + digest) % _MODULUS


async def census_of(records: AsyncIterable[Record]) -> Census:
    """Everything in a stream of records, counted."""
    counter = Counter()
    async for record in records:
        counter.add(record)
    return counter.census()


def differing(one: Census, other: Census) -> tuple[str, ...]:
    """The entities that are not the same in both."""
    return tuple(name for name in ENTITIES if one.get(name, NONE) != other.get(name, NONE))


def entity_of(record: Record) -> str:
    """What a record is counted as; a document's records are versions."""
    match record:
        case DocumentRecord():
            return f"{record.kind.noun} versions"
        case KeptRecord():
            return f"{record.shelf.value}s"
        case AuditRecord():
            return "audit entries"
        case TableRecord():
            return "published tables"
        case CounterRecord():
            return "table counter"
        case AnswerRecord():
            return "idempotency keys"
        case SignInRecord():
            return "used sign-ins"
