"""Parts of statements, values as the file has them, and rows as what they mean.

Counterpart: `reader.py`, `transaction.py` and `carrying.py` put statements together. Never: a connection, or a value inside SQL.
"""

import sqlite3
from datetime import UTC, datetime

from control_plane.store.records import (
    Installation,
    Kept,
    Position,
    Stored,
    StoredAudit,
    StoredTable,
    StoredVersion,
)

_STORED = "id, version, content, deleted, change"
_VERSION = "version, content, action, actor, reason, at"
_TABLE = "version, digest, key_id, coalesce(sealed, x'') AS sealed, mutations, actor, reason, at"
_KEPT = "id, content, change, at"
AUDIT_COLUMNS = (
    *("number", "at", "actor", "role", "action", "kind", "subject", "reason", "version_before", "version_after"),
    *("table_version", "origin", "digest", "changeset", "key_id", "previous_hash", "hash"),
)
_AUDIT = ", ".join(AUDIT_COLUMNS)
_SERVED = "kind = 'mutation' AND is_active AND status IN ('active', 'experimental') AND NOT deleted"
_LIVE = "kind = 'mutation' AND NOT deleted AND status <> 'archived'"
_COLUMNS = {
    "@live": _LIVE,
    "@stored": _STORED,
    "@version": _VERSION,
    "@table": _TABLE,
    "@kept": _KEPT,
    "@audit": _AUDIT,
    "@served": _SERVED,
}
ADD_AUDIT = "INSERT INTO audit_entries (@audit) VALUES (@marks)".replace("@audit", _AUDIT).replace(
    "@marks", ", ".join("?" * len(AUDIT_COLUMNS))
)
ADD_TABLE = (
    "INSERT INTO published_tables (version, digest, key_id, sealed, mutations, actor, reason, at) "
    "VALUES (?, ?, ?, nullif(?, x''), ?, ?, ?, ?)"
)
ADD_VERSION = "INSERT INTO document_versions (kind, id, version, content, action, actor, reason, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
ADD_ANSWER = "INSERT INTO idempotency_keys (actor, key, fingerprint, answer, at, change) VALUES (?, ?, ?, ?, ?, ?)"
ADD_SIGN_IN = "INSERT INTO used_sign_ins (id, expires_at, change) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
PUT_DOCUMENT = (
    "INSERT INTO documents AS d (kind, id, version, change, content, deleted) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, change = excluded.change, "
    "content = excluded.content, deleted = excluded.deleted, identity = NULL, is_copy = 0 WHERE d.change < excluded.change"
)
IDENTIFY = (
    "UPDATE documents AS m SET identity = ?2, is_copy = NOT m.deleted AND m.status <> 'archived' AND EXISTS ("
    "SELECT 1 FROM documents o WHERE o.identity = ?2 AND o.id <> m.id AND NOT o.deleted AND o.status <> 'archived') "
    "WHERE m.kind = 'mutation' AND m.id = ?1"
)
"""Says what a mutation is; one that is equal to a live one that was there first is marked."""
UNIDENTIFIED = (
    "SELECT id, content FROM documents WHERE kind = 'mutation' AND identity IS NULL AND id > ? ORDER BY id LIMIT ?"
)
COPIES = (
    "SELECT c.id, min(o.id) AS other FROM documents c JOIN documents o "
    "ON o.identity = c.identity AND o.id <> c.id AND NOT o.deleted AND o.status <> 'archived' "
    "WHERE c.is_copy AND NOT c.deleted AND c.status <> 'archived' GROUP BY c.id ORDER BY c.id"
)
PUT_THING = (
    "INSERT INTO shelves AS s (shelf, id, change, deleted, content, at) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (shelf, id) DO UPDATE SET change = excluded.change, deleted = excluded.deleted, "
    "content = excluded.content, at = excluded.at WHERE s.change < excluded.change"
)
NAME_INSTALLATION = "INSERT OR REPLACE INTO installation (only_row, id, epoch, created_at) VALUES (1, ?, ?, ?)"
NEXT_CHANGE = "UPDATE ledger SET change = change + 1 RETURNING change"
RAISE_CHANGE = "UPDATE ledger SET change = max(change, (SELECT coalesce(max(change), 0) FROM @table))"
CHANGED = ("documents", "shelves", "idempotency_keys", "used_sign_ins")
"""The tables whose rows have a number of change."""
POSITION = (
    "SELECT i.id, i.epoch, i.created_at, l.change, l.audit_number, l.audit_hash, l.table_version "
    "FROM ledger l LEFT JOIN installation i ON true"
)
FILTERS = {
    "active": "is_active = ?",
    "status": "status = ?",
    "not_status": "status <> ?",
    "site": "content ->> '$.site' = ?",
    "layout_id": "content ->> '$.layoutId' = ?",
    "page_slug": "content ->> '$.pageSlug' = ?",
    "module_id": "content ->> '$.moduleId' = ?",
    "mutation_type": "content ->> '$.mutationType' = ?",
    "before": "change < ?",
    "text": "instr(folded(id || coalesce(' ' || (content ->> '$.name'), '') || coalesce(' ' || (content ->> '$.note'), '')), "
    "folded(?)) > 0",
}
# A reference is always the other document's id somewhere in the text; ids have nothing that JSON would escape.
WAS_LIVE = (
    "WITH RECURSIVE concerned (id) AS (SELECT ? UNION SELECT v.id FROM document_versions v "
    "JOIN concerned c ON instr(v.content, '\"' || c.id || '\"') > 0 WHERE v.kind = 'experiment') "
    "SELECT EXISTS (SELECT 1 FROM document_versions m "
    "JOIN concerned c ON instr(m.content, '\"' || c.id || '\"') > 0 WHERE m.kind = 'mutation' "
    "AND m.content ->> '$.isActive' AND m.content ->> '$.status' IN ('active', 'experimental')) AS was_live"
)


def sql(text: str, conditions: str = "") -> str:
    """A statement with its lists of columns, and `conditions` for @where; values never come in this way."""
    for name, meaning in (_COLUMNS | {"@where": conditions}).items():
        text = text.replace(name, meaning)
    return text


def instant(at: datetime) -> str:
    """A time as the file has it: of one length, so that texts are ordered as times are."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def version_values(kind: str, document_id: str, one: StoredVersion) -> tuple[object, ...]:
    """The values of ADD_VERSION."""
    content = one.content.decode("utf-8")
    return kind, document_id, one.version, content, one.action, one.actor, one.reason, instant(one.at)


def audit_values(entry: StoredAudit) -> tuple[object, ...]:
    """The values of ADD_AUDIT."""
    values = (getattr(entry, name) for name in AUDIT_COLUMNS)
    return tuple(instant(value) if isinstance(value, datetime) else value for value in values)


def table_values(one: StoredTable) -> tuple[object, ...]:
    """The values of ADD_TABLE."""
    return (
        one.version,
        one.digest,
        one.key_id,
        one.sealed,
        one.mutations,
        one.actor,
        one.reason,
        instant(one.at),
    )


def stored(row: sqlite3.Row) -> Stored:
    """A present version."""
    return Stored(row["id"], row["version"], row["content"].encode("utf-8"), bool(row["deleted"]), row["change"])


def version(row: sqlite3.Row) -> StoredVersion:
    """A version of a history."""
    return StoredVersion(
        version=row["version"],
        content=row["content"].encode("utf-8"),
        action=row["action"],
        actor=row["actor"],
        reason=row["reason"],
        at=datetime.fromisoformat(row["at"]),
    )


def audit(row: sqlite3.Row) -> StoredAudit:
    """An audit entry."""
    return StoredAudit(**{**dict(row), "at": datetime.fromisoformat(row["at"])})


def table(row: sqlite3.Row) -> StoredTable:
    """A published table."""
    return StoredTable(**{**dict(row), "at": datetime.fromisoformat(row["at"])})


def kept(row: sqlite3.Row) -> Kept:
    """A thing of a shelf."""
    return Kept(row["id"], row["content"].encode("utf-8"), row["change"], datetime.fromisoformat(row["at"]))


def position(row: sqlite3.Row) -> Position:
    """How far the store has come."""
    installation = None
    if row["id"] is not None:
        installation = Installation(row["id"], row["epoch"], datetime.fromisoformat(row["created_at"]))
    return Position(installation, row["change"], row["audit_number"], row["audit_hash"], row["table_version"])
