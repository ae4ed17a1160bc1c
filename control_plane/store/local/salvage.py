"""What can still be read of a damaged file's outbox: changes that were acknowledged and that nobody else has.

Row by row, so that a damaged page costs no more than what lies on it. SQLite finds no damage inside a text; seals of audit entries
and digests of documents do. Counterpart: `store.py` puts what was found into a sound file. Never: a change of the damaged file, or
a changeset that is half of what it was.
"""

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import msgspec
from msgspec import Struct

from control_plane.store.chain import Chain
from control_plane.store.local import outbox
from control_plane.store.local.outbox import Provisional
from control_plane.store.records import AuditRecord, DocumentRecord

STEPS_MAX = 10_000  # numbers that are tried in vain
_NEXT = "SELECT number, changeset, base, records, at FROM outbox WHERE number > ? ORDER BY number LIMIT 1"


class Salvaged(Struct, frozen=True):
    """What became of an outbox."""

    changesets: tuple[Provisional, ...] = ()
    """In their order."""
    lost: tuple[str, ...] = ()
    """What could not be read, in words for people."""


def read(path: Path, chain: Chain) -> Salvaged:
    """All that can be read, and what can't; never raises for a file that is damaged, however it is."""
    found, lost = list[Provisional](), list[str]()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            _read(connection, chain, found, lost)
    except (sqlite3.Error, OSError) as error:
        lost.append(f"the outbox: {error}")
    return Salvaged(tuple(found), tuple(lost))


def _read(connection: sqlite3.Connection, chain: Chain, found: list[Provisional], lost: list[str]) -> None:
    last, after, unread = _last(connection), 0, list[int]()
    while last is None or after < last:
        try:
            row = connection.execute(_NEXT, (after,)).fetchone()
        except sqlite3.Error as error:
            after += 1
            unread.append(after)
            if len(unread) > STEPS_MAX:  # the last one may be damaged too
                raise sqlite3.DatabaseError(f"nothing of it can be read ({error})") from error
            continue
        if row is None:
            break
        after = row["number"]
        try:
            one = outbox.provisional(row)
            _check(one, chain)
        except (ValueError, msgspec.MsgspecError) as error:
            lost.append(f"change {row['number']}: {error}")
        else:
            found.append(one)
    if unread:
        lost.append(f"at most {len(unread)} of the changes {unread[0]} to {unread[-1]}: their pages are damaged")


def _last(connection: sqlite3.Connection) -> int | None:
    """Number of the newest change that was ever there; None where that can't be read."""
    try:
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    except sqlite3.Error:
        return None
    return 0 if row is None else int(row["seq"])


def _check(one: Provisional, chain: Chain) -> None:
    """Raises ValueError where something is not what was written."""
    entries = [record.entry for record in one.records if isinstance(record, AuditRecord)]
    if any(chain.is_sound(entry) is False or entry.changeset != one.changeset for entry in entries):
        raise ValueError("an entry of its audit is not what was sealed")
    digests = {(entry.kind, entry.subject, entry.version_after): entry.digest for entry in entries}
    for record in one.records:
        if isinstance(record, DocumentRecord):
            digest = digests.get((record.kind, record.id, record.version.version))
            if digest is not None and sha256(record.version.content).hexdigest() != digest:
                raise ValueError(f"the {record.kind.noun} {record.id} is not what was saved")
            msgspec.json.decode(record.version.content)
