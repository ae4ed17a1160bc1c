"""What a migration costs those who use the database meanwhile: which tables it locks how, and for how long.

Read off its statements; what those hide in a function or a block is said by `Locks:` in the header. Modes are PostgreSQL's
(documentation, 13.3.1). Tables that the migration itself makes are nobody's yet and are left out.
Counterpart: `files.py` has the migrations, `runner.py` shows this before they are applied. Never: a connection.
"""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum

from msgspec import Struct

from control_plane.schema.files import Migration

MODES = ("ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE")
"""From the weakest: the first three let others read and write, SHARE lets them read, the last nothing."""


class Duration(StrEnum):
    """How long it takes, and so how long the locks are held."""

    INSTANT = "instant"
    """Whatever the tables hold."""
    BY_ROWS = "by rows"
    """Rows are looked at, or an index is made: about a second for a million."""
    LONG = "long"
    """A table is written anew."""


class Impact(Struct, frozen=True):
    """What one migration costs."""

    locks: tuple[str, ...]
    """Such as `ACCESS EXCLUSIVE on mutations`, the strongest for each table."""
    duration: Duration


class _Cost(Struct, frozen=True):
    mode: str
    duration: Duration


_NAME = r"layout_mutation\.(\w+)"
_PIECE = re.compile(r"(--[^\n]*)|(\$(\w*)\$.*?\$\3\$)|('(?:[^']|'')*')|(;)|([^-$';]+|.)", re.DOTALL)
_MADE = re.compile(rf"^CREATE TABLE {_NAME}")
_TOLD = re.compile(r"^(instant|by rows|long)(?:: (.+))?$")
_VOLATILE = re.compile(
    r"ADD COLUMN (?:(?!, ADD |, DROP |, ALTER ).)*?(DEFAULT (nextval|gen_random_uuid|clock_timestamp|random)|GENERATED)"
)
_FORMS: tuple[tuple[str, str, Duration], ...] = (
    (rf"^COMMENT ON (?:TABLE|COLUMN) {_NAME}", "SHARE UPDATE EXCLUSIVE", Duration.INSTANT),
    (rf"^COMMENT ON (?:CONSTRAINT|TRIGGER|POLICY) \w+ ON {_NAME}", "SHARE UPDATE EXCLUSIVE", Duration.INSTANT),
    (rf"^CREATE (?:UNIQUE )?INDEX \w+ ON {_NAME}", "SHARE", Duration.BY_ROWS),
    (rf"^CREATE (?:OR REPLACE )?TRIGGER .* ON {_NAME}", "SHARE ROW EXCLUSIVE", Duration.INSTANT),
    (rf"^CREATE POLICY \w+ ON {_NAME}", "ACCESS EXCLUSIVE", Duration.INSTANT),
    (rf"^ALTER TABLE {_NAME} VALIDATE", "SHARE UPDATE EXCLUSIVE", Duration.BY_ROWS),
    (rf"^DROP (?:TABLE|TRIGGER \w+ ON|POLICY \w+ ON) {_NAME}", "ACCESS EXCLUSIVE", Duration.INSTANT),
    (rf"^(?:INSERT INTO|UPDATE|DELETE FROM) {_NAME}", "ROW EXCLUSIVE", Duration.BY_ROWS),
)


def impact(migration: Migration) -> Impact:
    """What a migration costs; raises ValueError for a block of code without `Locks:` in the header."""
    told = migration.header.get("Locks")
    if told is not None:
        match = _TOLD.match(told)
        if match is None:
            raise ValueError(f"{migration.name}: Locks: is `instant`, `by rows` or `long`, then `: MODE on TABLE, …`")
        return Impact(tuple((match[2] or "").split(", ")) if match[2] else (), Duration(match[1]))
    found, mine = dict[str, _Cost](), set[str]()
    durations = [Duration.INSTANT]
    for statement in statements(migration.sql):
        if statement.startswith(("DO ", "CALL ")):
            raise ValueError(f"{migration.name}: what a block of code locks is said by `-- Locks:` in the header")
        if made := _MADE.match(statement):
            mine.add(made[1])
        for table, cost in _costs(statement):
            if table not in mine:
                before = found.get(table)
                if before is None or MODES.index(cost.mode) > MODES.index(before.mode):
                    found[table] = cost
                durations.append(cost.duration)
    locks = tuple(f"{found[table].mode} on {table}" for table in sorted(found))
    return Impact(locks, max(durations, key=list(Duration).index))


def statements(sql: str) -> Iterator[str]:
    """The statements of a file, each on one line, without comments, and with the bodies of functions left out."""
    text = ""
    for piece in _PIECE.finditer(sql):
        if piece[5]:
            yield from _whole(text)
            text = ""
        elif not piece[1]:
            text += "''" if piece[2] or piece[4] else piece[6]
    yield from _whole(text)


def _whole(text: str) -> Iterable[str]:
    statement = " ".join(text.split())
    return [statement] if statement else []


def _costs(statement: str) -> Iterator[tuple[str, _Cost]]:
    """Table -> what the statement does to it."""
    for other in re.findall(rf"REFERENCES {_NAME}", statement):
        yield other, _Cost("SHARE ROW EXCLUSIVE", Duration.INSTANT)
    for form, mode, duration in _FORMS:
        if match := re.match(form, statement):
            one_row = statement.startswith("INSERT") and " SELECT " not in statement
            yield match[1], _Cost(mode, Duration.INSTANT if one_row else duration)
            return
    if match := re.match(rf"^ALTER TABLE (?:ONLY )?{_NAME} (.*)", statement):
        yield match[1], _altered(match[2])


def _altered(what: str) -> _Cost:
    if _VOLATILE.search(what) or re.search(r"ALTER (?:COLUMN )?\w+ (?:SET DATA )?TYPE ", what):
        return _Cost("ACCESS EXCLUSIVE", Duration.LONG)
    looks = "SET NOT NULL" in what or ("ADD CONSTRAINT" in what and "NOT VALID" not in what)
    only_reference = re.fullmatch(r"ADD CONSTRAINT \w+ FOREIGN KEY .*", what) is not None
    return _Cost(
        "SHARE ROW EXCLUSIVE" if only_reference else "ACCESS EXCLUSIVE",
        Duration.BY_ROWS if looks else Duration.INSTANT,
    )
