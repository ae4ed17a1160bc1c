"""Records travel as JSON and as MessagePack, and come back as they were."""

from datetime import UTC, datetime

import msgspec
import pytest

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
    StoredAnswer,
    StoredAudit,
    StoredTable,
    StoredVersion,
    TableRecord,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
VERSION = StoredVersion(version=1, content=b'{"id":"a"}', action="created", actor="me", reason="", at=NOW)
TABLE = StoredTable(version=1, digest="0" * 64, key_id="k", sealed=b"\0s", mutations=0, actor="me", reason="", at=NOW)
ENTRY = StoredAudit(
    number=1, at=NOW, actor="me", role="admin", action="created", kind="module", subject="a", hash=b"\0"
)
RECORDS: tuple[Record, ...] = (
    DocumentRecord(kind=Kind.SAVED_GROUP, id="a", version=VERSION, change=3),
    AuditRecord(ENTRY),
    TableRecord(TABLE),
    CounterRecord(4),
    AnswerRecord(actor="me", key="k", answer=StoredAnswer("print", b"{}"), at=NOW, change=5),
    SignInRecord(id="once", expires_at=NOW, change=6),
    KeptRecord(shelf=Shelf.ALERT, id="away", content=b"{}", change=7, at=NOW, deleted=True),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
@pytest.mark.parametrize("form", [msgspec.json, msgspec.msgpack], ids=["json", "msgpack"])
def test_a_record_comes_back_as_it_was(record: Record, form: object) -> None:
    encoded = form.encode(record)  # type: ignore[attr-defined]
    assert form.decode(encoded, type=Record) == record  # type: ignore[attr-defined]


def test_every_kind_of_record_is_tried() -> None:
    assert {type(record) for record in RECORDS} == set(Record.__args__)
