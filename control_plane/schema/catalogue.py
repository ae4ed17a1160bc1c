"""What a schema consists of, as structs: those of the migrations in a committed file, those of a live database read off it.

Both are of one form, whatever the server's version: names are qualified, NOT NULL is a property of a column (PostgreSQL 18 has
constraints for it), privileges of the owner are left out where they are whole, and so are partitions, which come and go.
Counterpart: `reading.py` reads a live one; `drift.py` compares two; `layout-mutation docs` writes the file. Never: a statement.
"""

from pathlib import Path

import msgspec
from msgspec import Struct

FILE = Path(__file__).parent / "catalogue.json"
SCHEMA = "layout_mutation"


class Column(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column. `type` as PostgreSQL formats it."""

    name: str
    type: str
    not_null: bool = False
    default: str = ""
    generated: str = ""
    """The expression of a generated column."""
    identity: str = ""
    """`ALWAYS` or `BY DEFAULT`."""
    comment: str = ""


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A constraint, an index, a trigger or a rule of a table, with its definition in SQL."""

    name: str
    definition: str
    on: bool = True
    """A validated constraint, a valid index, an enabled trigger."""
    comment: str = ""


class Policy(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which rows a role may see or change; `definition` is what follows the table's name."""

    name: str
    definition: str
    comment: str = ""


class Table(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One table; an index that belongs to a constraint is said by the constraint."""

    name: str
    columns: tuple[Column, ...]
    constraints: tuple[Part, ...] = ()
    indexes: tuple[Part, ...] = ()
    triggers: tuple[Part, ...] = ()
    policies: tuple[Policy, ...] = ()
    row_security: bool = False
    forced: bool = False
    partitioned_by: str = ""
    options: tuple[str, ...] = ()
    comment: str = ""

    @property
    def primary_key(self) -> Part | None:
        """The constraint that rows are found by."""
        return next((one for one in self.constraints if one.definition.startswith("PRIMARY KEY")), None)


class Function(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One function. `name` with the types of its arguments; `definition` the whole statement."""

    name: str
    definition: str
    comment: str = ""


class Sequence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sequence that is not a part of an identity column."""

    name: str
    definition: str
    owned_by: str = ""
    """The column it goes with, `table.column`."""
    comment: str = ""


class Grant(Struct, frozen=True, omit_defaults=True):
    """What a role other than the owner may do; `what` is how GRANT names it, such as `TABLE layout_mutation.mutations`."""

    role: str
    privilege: str
    what: str


class Catalogue(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of a schema. `exists`: false where there is none."""

    migrations: str = ""
    """Digest of the migrations that make it; empty for one that was read."""
    exists: bool = True
    comment: str = ""
    tables: tuple[Table, ...] = ()
    functions: tuple[Function, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    grants: tuple[Grant, ...] = ()
    others: tuple[str, ...] = ()
    """What migrations never make, as DROP names it: views, types, rules."""

    def table(self, name: str) -> Table | None:
        """The table of that name."""
        return next((one for one in self.tables if one.name == name), None)


def committed(path: Path = FILE) -> Catalogue:
    """What the migrations make, out of the committed file."""
    return msgspec.json.decode(path.read_bytes(), type=Catalogue)


def encoded(catalogue: Catalogue) -> str:
    """The text of the committed file."""
    return msgspec.json.format(msgspec.json.encode(catalogue), indent=1).decode() + "\n"
