"""A backup's text: one line of JSON for each thing, with a header before and a trailer after the records.

    {"record":"header","format":1,…}      whose data it is, of which schema, when it was made and by which program
    {"record":"document","kind":…,…}      one line for each record, as `store.records` has them
    {"record":"trailer","records":N,…}    how many there are of each kind, with SHA-256, and SHA-256 of all before it

Lines end with a line feed. What a store keeps as JSON stands there as it is, byte for byte (`jq` reads a backup); where
its bytes would break the line, it is a string of base64 instead of an object. Counterpart: `files.py` compresses, encrypts and writes lines.
Never: I/O.
"""

import base64
import binascii
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw, Struct

from control_plane.store import (
    AnswerRecord,
    AuditRecord,
    CounterRecord,
    DocumentRecord,
    Installation,
    KeptRecord,
    Kind,
    Position,
    Record,
    Shelf,
    SignInRecord,
    StoredAnswer,
    StoredVersion,
    TableRecord,
)

FORMAT = 1
"""Grows when a program of before could no longer read what is written."""


class BackupError(Exception):
    """A backup can't be made, or this one can't be used. The message says why and what to do, without secrets."""


class PlaceError(BackupError):
    """A place where backups are kept can't be reached or used right now."""


class Header(Struct, frozen=True, kw_only=True, rename="camel", tag="header", tag_field="record"):
    """What is known before the first record is read."""

    format: int
    program: str
    """The engine that made it, as tables name it."""
    schema: int
    """Number of the newest migration of the database that was read."""
    made_at: datetime
    occasion: str
    """Why it was made, as `occasions.py` has it; `export` for one."""
    installation: Installation | None
    """None for data from before there were any."""
    position: Position
    """How far the store had come when reading began; the trailer says where the records end."""


class Sum(Struct, frozen=True):
    """How many lines there are of a kind, and the SHA-256 of their bytes, hexadecimal."""

    count: int
    sha256: str


class Trailer(Struct, frozen=True, kw_only=True, rename="camel", tag="trailer", tag_field="record"):
    """What must come out when the lines before it are read. Without it a backup is torn."""

    records: int
    kinds: dict[str, Sum]
    change: int
    """The greatest number of change among the records."""
    audit_number: int
    audit_hash: bytes
    """Head of the audit: whoever has lost later entries can't have this one."""
    table_version: int
    sha256: str
    """Of all bytes before this line."""


class _Document(Struct, frozen=True, kw_only=True, tag="document", tag_field="record"):
    kind: Kind
    id: str
    version: int
    change: int | None
    deleted: bool
    action: str
    actor: str
    reason: str
    at: datetime
    content: Raw


class _Answer(Struct, frozen=True, kw_only=True, tag="answer", tag_field="record"):
    actor: str
    key: str
    fingerprint: str
    at: datetime
    change: int
    answer: Raw


class _Kept(Struct, frozen=True, kw_only=True, tag="kept", tag_field="record"):
    shelf: Shelf
    id: str
    change: int
    at: datetime
    deleted: bool
    content: Raw


_Line = Header | Trailer | _Document | AuditRecord | TableRecord | CounterRecord | _Answer | SignInRecord | _Kept
_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Line)


def encode(line: Record | Header | Trailer) -> bytes:
    """The line with its end."""
    form: Any = line
    if isinstance(line, DocumentRecord):
        one = line.version
        form = _Document(
            kind=line.kind,
            id=line.id,
            version=one.version,
            change=line.change,
            deleted=line.deleted,
            action=one.action,
            actor=one.actor,
            reason=one.reason,
            at=one.at,
            content=_raw(one.content),
        )
    elif isinstance(line, AnswerRecord):
        given = line.answer
        form = _Answer(
            actor=line.actor,
            key=line.key,
            fingerprint=given.fingerprint,
            at=line.at,
            change=line.change,
            answer=_raw(given.answer),
        )
    elif isinstance(line, KeptRecord):
        content = _raw(line.content)
        form = _Kept(
            shelf=line.shelf, id=line.id, change=line.change, at=line.at, deleted=line.deleted, content=content
        )
    return _ENCODER.encode(form) + b"\n"


def decode(line: bytes) -> Record | Header | Trailer:
    """What a line says; raises BackupError."""
    try:
        found = _DECODER.decode(line)
        if isinstance(found, _Document):
            return _document(found)
        if isinstance(found, _Answer):
            answer = StoredAnswer(found.fingerprint, _bytes(found.answer))
            return AnswerRecord(actor=found.actor, key=found.key, answer=answer, at=found.at, change=found.change)
        if isinstance(found, _Kept):
            return KeptRecord(
                shelf=found.shelf,
                id=found.id,
                content=_bytes(found.content),
                change=found.change,
                at=found.at,
                deleted=found.deleted,
            )
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError) as error:
        raise BackupError(f"this is no backup, or it was changed: a line can't be read ({error})") from None
    else:
        known: Record | Header | Trailer = found
        return known


class Account:
    """What a trailer says of the records, kept while lines pass."""

    def __init__(self, header_line: bytes) -> None:
        self._whole = sha256(header_line)
        self._kinds: dict[str, list[Any]] = {}
        self._change, self._audit, self._table_version = 0, (0, b""), 0

    def note(self, record: Record) -> None:
        """A record that a line is about."""
        if isinstance(record, AuditRecord):
            self._audit = max(self._audit, (record.entry.number, record.entry.hash or b""))
        elif isinstance(record, TableRecord):
            self._table_version = max(self._table_version, record.table.version)
        elif isinstance(record, CounterRecord):
            self._table_version = max(self._table_version, record.table_version)
        else:
            self._change = max(self._change, record.change or 0)

    def add(self, kind: str, lines: bytes, count: int) -> None:
        """The bytes of lines of one kind, in their order."""
        self._whole.update(lines)
        known = self._kinds.setdefault(kind, [0, sha256()])
        known[0] += count
        known[1].update(lines)

    def trailer(self) -> Trailer:
        """The trailer of what was counted so far."""
        kinds = {name: Sum(count, digest.hexdigest()) for name, (count, digest) in self._kinds.items()}
        return Trailer(
            records=sum(one.count for one in kinds.values()),
            kinds=kinds,
            change=self._change,
            audit_number=self._audit[0],
            audit_hash=self._audit[1],
            table_version=self._table_version,
            sha256=self._whole.hexdigest(),
        )


def kind_of(record: Record) -> str:
    """What a record is counted as, such as `document/mutation` or `audit`."""
    if isinstance(record, DocumentRecord):
        return f"document/{record.kind.value}"
    if isinstance(record, KeptRecord):
        return f"kept/{record.shelf.value}"
    return str(type(record).__struct_config__.tag)


def _document(found: _Document) -> DocumentRecord:
    version = StoredVersion(
        version=found.version,
        content=_bytes(found.content),
        action=found.action,
        actor=found.actor,
        reason=found.reason,
        at=found.at,
    )
    return DocumentRecord(kind=found.kind, id=found.id, version=version, change=found.change, deleted=found.deleted)


def _raw(content: bytes) -> Raw:
    plain = content.startswith(b"{") and b"\n" not in content
    return Raw(content if plain else b'"' + base64.b64encode(content) + b'"')


def _bytes(raw: Raw) -> bytes:
    content = bytes(raw)
    return base64.b64decode(content[1:-1], validate=True) if content.startswith(b'"') else content
