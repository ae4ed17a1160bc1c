"""README_migration.md, made from the headers of the migrations.

Counterpart: `layout-mutation docs` writes what `render` gives and checks that the committed file equals it.
Never: a sentence about one migration that is not in its own header.
"""

import re
from pathlib import Path

from control_plane.schema import files
from control_plane.schema.locks import impact

INTRODUCTION = """\
# The database schema

<!-- Generated from control_plane/schema/migrations by `layout-mutation docs`. Change the headers there. -->

The control plane keeps everything in a PostgreSQL schema of its own, `layout_mutation`, and touches nothing else in the
database. It brings the schema up to date by itself when it starts; `layout-mutation migrate` does the same without
starting it, and `layout-mutation migrate --check` shows what would be done and changes nothing.

All pending migrations run in one transaction, one service at a time: whoever is interrupted leaves the schema as it
was, and twenty services that start together apply each migration once. A migration that was applied may not be edited:
its checksum is kept, and a difference is refused. A schema that is newer than the program is refused and left alone;
run the newer program, or undo the newer migrations by hand.

What a migration locks is said with it. *Instant* is the same for any number of rows; *by rows* looks at rows or makes an index, about a
second for a million; *long* writes a table anew. Locks are held until the last pending migration is applied: `ACCESS EXCLUSIVE` keeps readers and
writers of a table waiting, `SHARE` and `SHARE ROW EXCLUSIVE` only writers, the others nobody but other migrations.

To undo migrations, stop every control plane, run the statements below from the newest to the one you want gone, and
remove their rows: `DELETE FROM layout_mutation.schema_migrations WHERE number >= N;`. Sidecars go on serving meanwhile.

Moving all of it to another server, provider or kind of store, security on the way, restoring it, and going back to an earlier
version of the program are in [docs/moving.md](docs/moving.md).
"""

_UNDO = re.compile(r"^(.*?;)( \(.*\)|)$")


def render(folder: Path = files.FOLDER) -> str:
    """The whole document as Markdown."""
    parts = [INTRODUCTION]
    for migration in files.read(folder):
        header = migration.header
        parts.append(
            f"## {migration.number:04} {migration.name.replace('_', ' ')}\n\n"
            f"**What.** {header['What']}\n\n**Why.** {header['Why']}\n\n**Undo.** {_undoing(header['Undo'])}\n\n"
            f"**Locks.** {_locking(migration)}\n"
        )
    return "\n".join(parts)


def _locking(migration: files.Migration) -> str:
    """How long it takes, and what others wait for."""
    costs = impact(migration)
    return f"{costs.duration.capitalize()}; {', '.join(costs.locks) or 'nothing that is in use'}."


def _undoing(undo: str) -> str:
    """An `Undo:` line: the SQL as code, and the remark in brackets after it as it is."""
    match = _UNDO.match(undo)
    return f"`{undo}`" if match is None else f"`{match[1]}`{match[2]}"
