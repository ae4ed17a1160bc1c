"""Names of tables, parts of statements, and rows as what they mean.

Counterpart: `reader.py`, `transaction.py` and `carrying.py` put statements together. Never: a connection, or a value inside SQL.
"""

from collections.abc import Mapping
from typing import Any

from control_plane.store.records import (
    Installation,
    Kept,
    Kind,
    Position,
    Shelf,
    Stored,
    StoredAudit,
    StoredTable,
    StoredVersion,
)

HEADS = {
    Kind.MUTATION: "layout_mutation.mutations",
    Kind.EXPERIMENT: "layout_mutation.experiments",
    Kind.MODULE: "layout_mutation.modules",
    Kind.SEGMENT: "layout_mutation.segments",
    Kind.ATTRIBUTE: "layout_mutation.attributes",
    Kind.SAVED_GROUP: "layout_mutation.saved_groups",
    Kind.TOGGLE: "layout_mutation.toggles",
}
VERSIONS = {kind: f"layout_mutation.{kind.value}_versions" for kind in Kind}
SHELVES = {shelf: f"layout_mutation.{shelf.value}s" for shelf in Shelf}

_TABLE = "version, digest, key_id, coalesce(sealed, '') AS sealed, mutations, actor, reason, at"
AUDIT_COLUMNS = (
    *("number", "at", "actor", "role", "action", "kind", "subject", "reason", "version_before", "version_after"),
    *("table_version", "origin", "digest", "changeset", "key_id", "previous_hash", "hash"),
)
_AUDIT = (
    "number, at, actor, role, action, kind, subject, reason, version_before, version_after, table_version, "
    "origin, digest, changeset::text AS changeset, key_id, previous_hash, hash"
)
ADD_AUDIT = (
    "INSERT INTO layout_mutation.audit_entries (number, at, actor, role, action, kind, subject, reason, version_before, "
    "version_after, table_version, origin, digest, changeset, key_id, previous_hash, hash) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::text::uuid, $15, $16, $17)"
)
ADD_TABLE = (
    "INSERT INTO layout_mutation.published_tables (version, digest, key_id, sealed, mutations, actor, reason, at) "
    "VALUES ($1, $2, $3, nullif($4::bytea, ''), $5, $6, $7, $8)"
)
_KEPT = "id, content::text AS content, change, at"
_STORED = "id, version, content::text AS content, deleted, change"
_VERSION = "version, content::text AS content, action, actor, reason, at"
_SERVED = "is_active AND status IN ('active', 'experimental') AND NOT deleted"
_LIVE = "NOT deleted AND status <> 'archived'"
_COLUMNS = {
    "@live": _LIVE,
    "@stored": _STORED,
    "@version": _VERSION,
    "@served": _SERVED,
    "@audit": _AUDIT,
    "@table": _TABLE,
    "@kept": _KEPT,
}
IDENTIFY = (
    "UPDATE layout_mutation.mutations AS m SET identity = $2, is_copy = NOT m.deleted AND m.status <> 'archived' AND EXISTS ("
    "SELECT FROM layout_mutation.mutations o WHERE o.identity = $2 AND o.id <> m.id AND NOT o.deleted AND o.status <> 'archived') "
    "WHERE m.id = $1"
)
"""Says what a mutation is; one that is equal to a live one that was there first is marked."""
COPIES = (
    "SELECT c.id, min(o.id) AS other FROM layout_mutation.mutations c JOIN layout_mutation.mutations o "
    "ON o.identity = c.identity AND o.id <> c.id AND NOT o.deleted AND o.status <> 'archived' "
    "WHERE c.is_copy AND NOT c.deleted AND c.status <> 'archived' GROUP BY c.id ORDER BY c.id"
)
CHANGED = (*HEADS.values(), *SHELVES.values(), "layout_mutation.idempotency_keys", "layout_mutation.used_sign_ins")
"""The tables whose rows have a number of change."""
ALL = (
    *(*CHANGED, *VERSIONS.values(), "layout_mutation.audit_entries", "layout_mutation.published_tables"),
    *("layout_mutation.ledger", "layout_mutation.installation"),
)
"""The tables that records are read from."""
NEWEST_CHANGE = f"SELECT greatest(0, {', '.join(f'(SELECT max(change) FROM {name})' for name in CHANGED)}) AS change"  # noqa: S608 - names of ours
POSITION = (
    "SELECT i.id::text AS id, i.epoch, i.created_at, l.audit_number, l.audit_hash, l.table_version, "
    "c.last_value - (NOT c.is_called)::int AS change FROM layout_mutation.ledger l "
    "CROSS JOIN layout_mutation.changes c LEFT JOIN layout_mutation.installation i ON true"
)
WHOSE = "SELECT id::text FROM layout_mutation.installation WHERE EXISTS (SELECT FROM layout_mutation.audit_entries)"
"""Asked of any schema; one without a history is nobody's, whatever name it has."""
FILTERS = {
    "active": "is_active = ?",
    "status": "status = ?",
    "not_status": "status <> ?",
    "site": "site = ?",
    "layout_id": "layout_id = ?",
    "page_slug": "page_slug = ?",
    "module_id": "module_id = ?",
    "mutation_type": "mutation_type = ?",
    "before": "change < ?",
    # The pieces lead the index to what may have the text, then the text itself is looked for.
    "text": "layout_mutation.grams(search_text) @> layout_mutation.grams_asked(lower(?)) AND position(lower(?) IN search_text) > 0",
}
SPELLED_OUT: dict[tuple[str, object], str] = {
    ("not_status", "archived"): "status <> 'archived'",
    ("active", True): "is_active",
    ("active", False): "NOT is_active",
}
"""Filters with these values are written as the indexes for them are: a plan for any value could not use those."""
AUDIT_FILTERS = {"kind": "kind = ?", "subject": "subject = ?", "before": "number < ?"}
# A reference is always the other document's id between quotation marks; ids have nothing that JSON would escape.
# The last condition is that of the index.
WAS_LIVE = (
    "WITH RECURSIVE concerned (id) AS (SELECT $1::text UNION SELECT v.id FROM concerned c "
    "JOIN layout_mutation.experiment_versions v ON layout_mutation.words(v.content) @> ARRAY[c.id]) "
    "SELECT EXISTS (SELECT 1 FROM concerned c "
    "JOIN layout_mutation.mutation_versions m ON layout_mutation.words(m.content) @> ARRAY[c.id] "
    "WHERE (m.content ->> 'isActive')::boolean AND m.content ->> 'status' IN ('active', 'experimental')) AS was_live"
)


def where(filters: Mapping[str, str], given: Mapping[str, object], *, first: str = "true") -> tuple[str, list[object]]:
    """Conditions joined by AND, and the values that they ask for. One that is not given is not there: no plan that is kept
    for all of them could be good for each."""
    conditions, values = [first], list[object]()
    for name, value in given.items():
        if (name, value) in SPELLED_OUT:
            conditions.append(SPELLED_OUT[name, value])
            continue
        values.append(value)
        conditions.append(filters[name].replace("?", f"${len(values)}"))
    return " AND ".join(conditions), values


def sql(about: Kind | Shelf | None, text: str) -> str:
    """A statement with the tables of a kind or a shelf, and with lists of columns; values never come in this way."""
    tables = dict[str, str]()
    if isinstance(about, Kind):
        anew = ", identity = NULL, is_copy = false" if about is Kind.MUTATION else ""
        tables = {"@head": HEADS[about], "@versions": VERSIONS[about], "@anew": anew}
    elif about is not None:
        tables = {"@shelf": SHELVES[about]}
    for name, meaning in (tables | _COLUMNS).items():
        text = text.replace(name, meaning)
    return text


def stored(row: Any) -> Stored:
    """A present version."""
    return Stored(row["id"], row["version"], row["content"].encode("utf-8"), row["deleted"], row["change"])


def version(row: Any) -> StoredVersion:
    """A version of a history."""
    return StoredVersion(
        version=row["version"],
        content=row["content"].encode("utf-8"),
        action=row["action"],
        actor=row["actor"],
        reason=row["reason"],
        at=row["at"],
    )


def audit(row: Any) -> StoredAudit:
    """An audit entry."""
    return StoredAudit(**dict(row))


def table(row: Any) -> StoredTable:
    """A published table."""
    return StoredTable(**dict(row))


def kept(row: Any) -> Kept:
    """A thing of a shelf."""
    return Kept(row["id"], row["content"].encode("utf-8"), row["change"], row["at"])


def position(row: Any) -> Position:
    """How far the store has come."""
    installation = None if row["id"] is None else Installation(row["id"], row["epoch"], row["created_at"])
    return Position(installation, row["change"], row["audit_number"], row["audit_hash"], row["table_version"])


def audit_values(entry: StoredAudit) -> tuple[object, ...]:
    """The values of ADD_AUDIT: the struct's fields in its columns' order."""
    return tuple(getattr(entry, name) for name in AUDIT_COLUMNS)


def table_values(table: StoredTable) -> tuple[object, ...]:
    """The values of ADD_TABLE."""
    return (
        table.version,
        table.digest,
        table.key_id,
        table.sealed,
        table.mutations,
        table.actor,
        table.reason,
        table.at,
    )
