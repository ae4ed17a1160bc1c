"""The statements that make the parts of a schema, from their structs.

Counterpart: `drift.py` says which are needed, `healing.py` runs them. Never: I/O.
"""

from collections.abc import Iterator

from control_plane.schema.catalogue import SCHEMA, Catalogue, Column, Function, Grant, Part, Policy, Sequence, Table


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def table_name(name: str) -> str:
    """The qualified name of a table, an index or a sequence, quoted only where it has to be."""
    plain = name.replace("_", "a").isalnum() and name.islower() and name.isascii()
    return f"{SCHEMA}.{name if plain else quoted(name)}"


def column(one: Column) -> str:
    """A column as CREATE TABLE and ADD COLUMN have it."""
    words = [quoted(one.name), one.type]
    if one.default:
        words.append(f"DEFAULT {one.default}")
    if one.generated:
        words.append(f"GENERATED ALWAYS AS ({one.generated}) STORED")
    if one.identity:
        words.append(f"GENERATED {one.identity} AS IDENTITY")
    if one.not_null:
        words.append("NOT NULL")
    return " ".join(words)


def column_comment(table: str, one: Column) -> str:
    """The comment of a column, after a space; empty where it has none."""
    return _comment(f"COLUMN {table_name(table)}.{quoted(one.name)}", one.comment)


def table(one: Table) -> str:
    """A table with all that belongs to it, but for references to others."""
    parts = [column(each) for each in one.columns]
    own = [each for each in one.constraints if not each.definition.startswith("FOREIGN KEY")]
    parts += [f"CONSTRAINT {quoted(each.name)} {each.definition}" for each in own]
    by = f" PARTITION BY {one.partitioned_by}" if one.partitioned_by else ""
    options = f" WITH ({', '.join(one.options)})" if one.options else ""
    name = table_name(one.name)
    security = (f" ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;" if one.row_security else "") + (
        f" ALTER TABLE {name} FORCE ROW LEVEL SECURITY;" if one.forced else ""
    )
    return "".join(
        (
            f"CREATE TABLE {name} ({', '.join(parts)}){by}{options};",
            _comment(f"TABLE {name}", one.comment),
            *(column_comment(one.name, each) for each in one.columns),
            *(_comment(f"CONSTRAINT {quoted(each.name)} ON {name}", each.comment) for each in own),
            *(f" {index(each)}" for each in one.indexes),
            *(f" {trigger(one.name, each)}" for each in one.triggers),
            security,
            *(f" {policy(one.name, each)}" for each in one.policies),
            f" {default_partition(one)}" if one.partitioned_by else "",
        )
    )


def default_partition(one: Table) -> str:
    """Where rows go that no other partition takes; each partitioned table here has one, and the others are made as time goes on."""
    name, owner = table_name(f"{one.name}_default"), table_name(one.name)
    return (
        f"CREATE TABLE {name} (LIKE {owner} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS); "
        f"ALTER TABLE {owner} ATTACH PARTITION {name} DEFAULT; ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;"
        + _comment(
            f"TABLE {name}", f"{one.name.capitalize()} of days that have no partition; they move when it is made."
        )
    )


def constraint(owner: Table, one: Part) -> str:
    """A constraint of a table that is there; rows of before are not looked at where that can be left for later."""
    later = one.definition.startswith(("CHECK", "FOREIGN KEY")) and not owner.partitioned_by
    name = table_name(owner.name)
    comment = _comment(f"CONSTRAINT {quoted(one.name)} ON {name}", one.comment)
    return f"ALTER TABLE {name} ADD CONSTRAINT {quoted(one.name)} {one.definition}{' NOT VALID' if later else ''};{comment}"


def index(one: Part) -> str:
    """An index that no constraint has."""
    return f"{one.definition};{_comment(f'INDEX {table_name(one.name)}', one.comment)}"


def trigger(owner: str, one: Part) -> str:
    """A trigger, also in place of one of its name."""
    create = one.definition.replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER", 1)
    return f"{create};{_comment(f'TRIGGER {quoted(one.name)} ON {table_name(owner)}', one.comment)}"


def policy(owner: str, one: Policy) -> str:
    """A policy."""
    name = table_name(owner)
    comment = _comment(f"POLICY {quoted(one.name)} ON {name}", one.comment)
    return f"CREATE POLICY {quoted(one.name)} ON {name} {one.definition};{comment}"


def function(one: Function) -> str:
    """A function, also in place of one of its name; nobody may call it who was not let in."""
    return f"{one.definition.rstrip()};{_comment(f'FUNCTION {one.name}', one.comment)} REVOKE ALL ON FUNCTION {one.name} FROM PUBLIC;"


def sequence(one: Sequence) -> str:
    """A sequence; where it goes on is for who knows the rows."""
    owned = f" OWNED BY {SCHEMA}.{one.owned_by}" if one.owned_by else ""
    return f"CREATE SEQUENCE {table_name(one.name)} {one.definition}{owned};{_comment(f'SEQUENCE {table_name(one.name)}', one.comment)}"


def grant(one: Grant) -> str:
    """A privilege given."""
    return f"GRANT {one.privilege} ON {one.what} TO {_role(one.role)};"


def revoke(one: Grant) -> str:
    """A privilege taken."""
    return f"REVOKE {one.privilege} ON {one.what} FROM {_role(one.role)};"


def comment(subject: str, words: str) -> str:
    """The comment on what COMMENT ON names so."""
    return _comment(subject, words).strip()


def commented(catalogue: Catalogue) -> dict[str, str]:
    """What may have a comment, as COMMENT ON names it, and the words; empty for none."""
    return dict(_commented(catalogue))


def _commented(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    yield f"SCHEMA {SCHEMA}", catalogue.comment
    for one in catalogue.tables:
        name = table_name(one.name)
        yield f"TABLE {name}", one.comment
        yield from ((f"COLUMN {name}.{quoted(each.name)}", each.comment) for each in one.columns)
        yield from ((f"CONSTRAINT {quoted(each.name)} ON {name}", each.comment) for each in one.constraints)
        yield from ((f"INDEX {table_name(each.name)}", each.comment) for each in one.indexes)
        yield from ((f"TRIGGER {quoted(each.name)} ON {name}", each.comment) for each in one.triggers)
        yield from ((f"POLICY {quoted(each.name)} ON {name}", each.comment) for each in one.policies)
    yield from ((f"FUNCTION {each.name}", each.comment) for each in catalogue.functions)
    yield from ((f"SEQUENCE {table_name(each.name)}", each.comment) for each in catalogue.sequences)


def _comment(subject: str, words: str) -> str:
    return f" COMMENT ON {subject} IS {literal(words)};" if words else ""


def _role(name: str) -> str:
    return name if name == "PUBLIC" else quoted(name)
