"""On a database that is shared, only those who were let in see or change anything; and each part of it says what it is for."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from control_plane.schema import address
from control_plane.schema.runner import migrate
from control_plane.store import Chain, Installation, Kind, Shelf, StoredAudit, StoredVersion
from control_plane.store.postgres import PostgresStore

NOW = datetime(2026, 11, 27, tzinfo=UTC)

UNEXPLAINED = """
SELECT kind || ' ' || name FROM (
    SELECT 'table' AS kind, c.oid::regclass::text AS name, obj_description(c.oid, 'pg_class') AS words FROM pg_class c
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT c.relispartition AND c.relnamespace = 'layout_mutation'::regnamespace
    UNION ALL SELECT 'column', a.attrelid::regclass || '.' || a.attname, col_description(a.attrelid, a.attnum)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attnum > 0 AND NOT a.attisdropped
    AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'layout_mutation'::regnamespace
    UNION ALL SELECT 'constraint', x.conrelid::regclass || '.' || x.conname, obj_description(x.oid, 'pg_constraint')
    FROM pg_constraint x JOIN pg_class c ON c.oid = x.conrelid
    WHERE x.contype <> 'n' AND x.conparentid = 0 AND NOT c.relispartition AND x.connamespace = 'layout_mutation'::regnamespace
    UNION ALL SELECT 'index', c.oid::regclass::text, obj_description(c.oid, 'pg_class') FROM pg_class c
    WHERE c.relkind IN ('i', 'I') AND NOT c.relispartition AND c.relnamespace = 'layout_mutation'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_constraint x WHERE x.conindid = c.oid)
    AND NOT EXISTS (SELECT FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid WHERE i.indexrelid = c.oid AND t.relispartition)
    UNION ALL SELECT 'trigger', t.tgrelid::regclass || '.' || t.tgname, obj_description(t.oid, 'pg_trigger')
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND c.relnamespace = 'layout_mutation'::regnamespace
    UNION ALL SELECT 'policy', p.polrelid::regclass || '.' || p.polname, obj_description(p.oid, 'pg_policy')
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = 'layout_mutation'::regnamespace
    UNION ALL SELECT 'function', f.oid::regprocedure::text, obj_description(f.oid, 'pg_proc')
    FROM pg_proc f WHERE f.pronamespace = 'layout_mutation'::regnamespace
) AS part WHERE coalesce(words, '') = '' ORDER BY 1
"""

UNNAMED = """
SELECT conname FROM pg_constraint x JOIN pg_class c ON c.oid = x.conrelid
WHERE x.connamespace = 'layout_mutation'::regnamespace AND x.contype <> 'n' AND NOT c.relispartition
AND (conname ~ '_(pkey|key|check|fkey|excl)[0-9]*$' OR position(relname IN conname) <> 1 AND length(relname) < 40)
UNION ALL SELECT indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
WHERE c.relnamespace = 'layout_mutation'::regnamespace AND NOT c.relispartition AND indexrelid::regclass::text ~ '_(idx|key|pkey)[0-9]*$'
"""

OPEN_TABLES = """
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'layout_mutation'::regnamespace AND c.relkind IN ('r', 'p')
AND (NOT relrowsecurity OR NOT relispartition AND 2 > (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid))
"""

GIVEN_TO_EVERYBODY = """
SELECT name FROM (
    SELECT relname AS name, relacl AS acl FROM pg_class WHERE relnamespace = 'layout_mutation'::regnamespace
    UNION ALL SELECT proname, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc WHERE pronamespace = 'layout_mutation'::regnamespace
    UNION ALL SELECT nspname, nspacl FROM pg_namespace WHERE nspname = 'layout_mutation'
) AS part, aclexplode(acl) AS given WHERE given.grantee = 0 OR given.grantee::regrole::text IN ('anon', 'authenticated', 'service_role')
"""


async def ask(url: str, *statements: str) -> list[str]:
    """The first column of the last statement's rows."""
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = []
        for statement in statements:
            rows = await connection.fetch(statement)
        return [str(row[0]) for row in rows]
    finally:
        await connection.close()


def as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:pw@{parts.hostname}:{parts.port}"))


@pytest.fixture
async def role(empty_url: str) -> AsyncIterator[str]:
    """A role that may log in and nothing else, dropped afterwards."""
    name = f"role_{secrets.token_hex(4)}"
    await ask(empty_url, f"CREATE ROLE {name} LOGIN PASSWORD 'pw' NOCREATEROLE NOCREATEDB")
    yield name
    await ask(empty_url, f"DROP OWNED BY {name} CASCADE", f"DROP ROLE {name}")


@pytest.fixture
async def migrated(empty_url: str) -> str:
    await migrate(empty_url)
    return empty_url


@pytest.mark.parametrize("question", [UNEXPLAINED, UNNAMED, OPEN_TABLES, GIVEN_TO_EVERYBODY])
async def test_every_part_says_what_it_is_for_has_a_name_and_is_closed(migrated: str, question: str) -> None:
    assert await ask(migrated, question) == []


async def test_a_role_that_was_not_let_in_gets_nothing_even_where_everybody_gets_everything(
    empty_url: str, role: str
) -> None:
    """As Supabase sets its databases up for `anon`: privileges on all that comes."""
    await ask(
        empty_url,
        *(
            f"ALTER DEFAULT PRIVILEGES GRANT ALL ON {what} TO {role}, PUBLIC"
            for what in ("TABLES", "SEQUENCES", "FUNCTIONS")
        ),
    )
    await migrate(empty_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(as_role(empty_url, role), "SELECT * FROM layout_mutation.mutations")
        assert await ask(empty_url, GIVEN_TO_EVERYBODY) == []
        await ask(empty_url, f"GRANT USAGE ON SCHEMA layout_mutation TO {role}")  # by mistake: rows stay hidden
        await ask(empty_url, f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA layout_mutation TO {role}")
        assert await ask(as_role(empty_url, role), "SELECT * FROM layout_mutation.ledger") == []
    finally:
        await ask(
            empty_url,
            *(
                f"ALTER DEFAULT PRIVILEGES REVOKE ALL ON {what} FROM {role}, PUBLIC"
                for what in ("TABLES", "SEQUENCES", "FUNCTIONS")
            ),
        )


async def test_a_role_that_may_read_reads_and_changes_nothing(migrated: str, role: str) -> None:
    await ask(migrated, f"SELECT layout_mutation.grant_access('{role}', 'read')")
    there = as_role(migrated, role)
    assert len(await ask(there, "SELECT only_row FROM layout_mutation.ledger")) == 1
    for statement in (
        "UPDATE layout_mutation.ledger SET audit_number = 7",
        "INSERT INTO layout_mutation.used_sign_ins (id, expires_at) VALUES ('x', now())",
        "DELETE FROM layout_mutation.published_tables",
        f"SELECT layout_mutation.grant_access('{role}', 'write')",
        f"UPDATE layout_mutation.granted_roles SET may = 'write' WHERE role = '{role}'",
        "CREATE TABLE layout_mutation.mine (a int)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(there, statement)
    await ask(migrated, f"SELECT layout_mutation.revoke_access('{role}')")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(there, "SELECT only_row FROM layout_mutation.ledger")


async def test_the_service_works_on_a_role_that_may_write_and_owns_nothing(migrated: str, role: str) -> None:
    await ask(migrated, f"SELECT layout_mutation.grant_access('{role}', 'write')")
    assert await migrate(as_role(migrated, role)) == ()
    store = PostgresStore(
        address.parse(as_role(migrated, role)), connections_max=2, chain=Chain([secrets.token_bytes(32)])
    )
    await store.open()
    try:
        await store.found(Installation("8c5e3d6e-4f6f-4b0e-9d3a-1f2a3b4c5d6e", 1, NOW))
        async with store.transaction() as transaction:
            version = StoredVersion(version=1, content=b'{"id": "a"}', action="created", actor="x", reason="", at=NOW)
            await transaction.put(Kind.MODULE, "a", version)
            await transaction.keep(Shelf.SETTING, "s", b"{}", NOW)
            await transaction.discard(Shelf.SETTING, "s", NOW)
            entry = StoredAudit(at=NOW, actor="x", role="admin", action="created", kind="module", subject="a")
            await transaction.add_audit(entry)
        assert await store.use_sign_in("once", NOW)
        await store.forget_old()
        assert await store.load(store.records()) > 3
    finally:
        await store.close()
    for forbidden in ("module_versions", "audit_entries", "schema_migrations", "granted_roles"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(as_role(migrated, role), f"DELETE FROM layout_mutation.{forbidden}")


async def test_a_role_that_owns_the_schema_and_nothing_else_migrates_and_lets_others_in(
    empty_url: str, role: str
) -> None:
    await ask(empty_url, f"CREATE SCHEMA layout_mutation AUTHORIZATION {role}")
    there = as_role(empty_url, role)
    assert await migrate(there)
    assert await ask(there, "SELECT layout_mutation.access_of(current_user)") == ["write"]
    assert await ask(there, "SELECT count(*) FROM layout_mutation.ledger") == ["1"]


@pytest.mark.parametrize(("role_name", "words"), [("nobody_such", "no role"), ("anon", "no role|never let in")])
async def test_only_roles_that_exist_and_serve_no_api_are_let_in(migrated: str, role_name: str, words: str) -> None:
    with pytest.raises(asyncpg.RaiseError, match=words):
        await ask(migrated, f"SELECT layout_mutation.grant_access('{role_name}', 'read')")
