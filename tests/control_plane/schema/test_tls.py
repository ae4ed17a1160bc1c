"""What is said of TLS means what libpq means by it, and shows on a real server and a real PgBouncer."""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from control_plane.schema.address import parse
from control_plane.schema.runner import migrate, plan
from control_plane.schema.tls import Tls
from control_plane.store import Kind, StoredVersion, StoreError
from control_plane.store.postgres import PostgresStore
from tests.control_plane.plane import CHAIN
from tests.control_plane.postgres_kinds import TlsServer
from tests.servers import empty_database

TIME = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"sslrootcert": "a.pem"}, "sslrootcert has no effect with sslmode=prefer"),
        ({"sslmode": "require", "sslrootcert": "system"}, "takes sslmode=verify-full"),
        ({"sslmode": "verify-ca"}, "needs sslrootcert=FILE"),
        ({"sslcert": "a.pem"}, "sslcert may go unused"),
        ({"sslmode": "require", "sslkey": "a.pem"}, "sslkey needs sslcert"),
        ({"ssl_min_protocol_version": "SSLv3"}, "ssl_min_protocol_version is TLSv1.2 or"),
        ({"sslnegotiation": "maybe"}, "postgres or direct"),
        ({"sslnegotiation": "direct"}, "takes sslmode=require or more"),
    ],
)
def test_what_would_go_unnoticed_is_refused(given: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Tls.of(given)


@pytest.mark.parametrize(
    ("given", "verifies", "asks_host"),
    [
        ({"sslmode": "require"}, False, False),
        ({"sslmode": "require", "sslrootcert": "ca"}, True, False),
        ({"sslmode": "verify-ca", "sslrootcert": "ca"}, True, False),
        ({"sslmode": "verify-full", "sslrootcert": "ca"}, True, True),
        ({"sslmode": "verify-full"}, True, True),
        ({"sslrootcert": "system"}, True, True),
    ],
)
def test_the_table_of_modes(given: dict[str, str], verifies: bool, asks_host: bool, tls_server: TlsServer) -> None:
    given = given | ({"sslrootcert": str(tls_server.authority.file)} if given.get("sslrootcert") == "ca" else {})
    context = Tls.of(given).context()
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode is ssl.CERT_REQUIRED, context.check_hostname) == (verifies, asks_host)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_a_mode_that_is_content_without_tls_is_the_drivers_own(mode: str) -> None:
    assert Tls.of({"sslmode": mode}).context() == mode


@pytest.mark.parametrize("name", ["sslrootcert", "sslcrl", "sslcert"])
def test_a_file_that_is_not_there_or_no_certificate_is_named(name: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("not a certificate")
    for file in (tmp_path / "absent.pem", wrong):
        with pytest.raises(ValueError, match=rf"DATABASE_URL: {name}: .*{file.name}"):
            Tls.of({"sslmode": "verify-full", name: str(file)}).context()


# ---------------------------------------------------------------- on real servers


def verified(url: str, server: TlsServer) -> str:
    return f"{url}?sslmode=verify-full&sslrootcert={quote(str(server.authority.file))}"


async def test_verified_through_a_pooler_with_tls_nothing_is_left_in_a_session(tls_server: TlsServer) -> None:
    with empty_database(verified(tls_server.direct, tls_server)) as direct:
        pooled = direct.replace(tls_server.direct.rpartition("/")[0], tls_server.pooled.rpartition("/")[0])
        address = parse(pooled, pooled=True)
        await migrate(pooled, pooled=True)
        store = PostgresStore(address, connections_max=4, chain=CHAIN)
        await store.open()
        try:
            one = StoredVersion(version=1, content=b'{"id":"a"}', action="created", actor="me", reason="", at=TIME)
            async with store.transaction() as transaction:
                await transaction.put(Kind.MODULE, "a", one)
            assert await store.ids(Kind.MODULE) == ["a"]
            encrypted = await ask(direct, ENCRYPTED)
            left = await ask(pooled, LEFT_IN_SESSION, pooled=True)
        finally:
            await store.close()
    assert encrypted, "the pooler's own connections are still there"
    assert {row["ssl"] for row in encrypted} == {True}
    assert [row["name"] for row in left] == []


@pytest.mark.parametrize("pooled", [False, True])
async def test_a_stranger_who_answers_is_refused_with_what_to_do(tls_server: TlsServer, pooled: bool) -> None:
    url = tls_server.pooled if pooled else tls_server.direct
    believed = f"?sslmode=verify-full&sslrootcert={quote(str(tls_server.stranger.file))}"
    for wrong in (
        url + believed,
        verified(url.replace("localhost", "127.0.0.1"), tls_server),
        url + "?sslrootcert=system",
    ):
        with pytest.raises(StoreError, match=r"certificate.*sslrootcert") as caught:
            await plan(wrong)
        assert str(parse(wrong).password) not in str(caught.value)


async def test_a_server_that_wants_tls_and_one_that_has_none(tls_server: TlsServer, empty_url: str) -> None:
    with pytest.raises(StoreError, match="add sslmode=verify-full"):
        await plan(tls_server.direct + "?sslmode=disable")
    with pytest.raises(StoreError, match="server has no TLS"):
        await plan(empty_url + "?sslmode=require")
    assert (await plan(tls_server.direct + "?sslmode=require")).database_exists


async def test_a_file_that_is_gone_is_the_stores_trouble_and_not_a_crash(tls_server: TlsServer, tmp_path: Path) -> None:
    url = f"{tls_server.direct}?sslmode=verify-full&sslrootcert={tmp_path / 'gone.pem'}"
    with pytest.raises(StoreError, match=r"sslrootcert: there is no file .*gone\.pem"):
        await plan(url)
    with pytest.raises(StoreError, match=r"sslrootcert: there is no file .*gone\.pem"):
        await PostgresStore(parse(url), connections_max=1, chain=CHAIN).open()


ENCRYPTED = (
    "SELECT s.ssl FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) "
    "WHERE a.datname = current_database() AND pid <> pg_backend_pid()"
)
LEFT_IN_SESSION = (
    "SELECT name FROM pg_prepared_statements UNION ALL SELECT locktype FROM pg_locks WHERE locktype = 'advisory' "
    "UNION ALL SELECT name FROM pg_settings WHERE source = 'session' AND name NOT IN ('client_encoding', 'application_name', "
    "'DateStyle', 'TimeZone', 'standard_conforming_strings')"
)
"""What a session holds beyond a transaction, apart from what the pooler itself sets for each of its clients."""


async def ask(url: str, query: str, *, pooled: bool = False) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(**parse(url, pooled=pooled).connect_options)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(query)
        return rows
    finally:
        await connection.close()
