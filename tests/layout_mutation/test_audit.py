"""`layout-mutation audit`: what it says, and its exit codes."""

import asyncio
import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import asyncpg
import pytest

from control_plane.schema import address, runner
from control_plane.store import StoredAudit
from control_plane.store.chain import configured, derived_key
from control_plane.store.postgres import PostgresStore
from layout_mutation.__main__ import main

SIGNING_KEY = base64.b64encode(b"s" * 32).decode()
ENTRY = StoredAudit(
    at=datetime(2030, 1, 1, tzinfo=UTC), actor="me", role="admin", action="signed_in", kind="session", subject="me"
)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROL_PLANE_SIGNING_KEY", SIGNING_KEY)
    monkeypatch.delenv("CONTROL_PLANE_AUDIT_KEYS", raising=False)


async def fill(url: str) -> None:
    await runner.migrate(url)
    store = PostgresStore(address.parse(url), connections_max=1, chain=configured("", SIGNING_KEY))
    await store.open()
    async with store.transaction() as transaction:
        for _ in range(3):
            await transaction.add_audit(ENTRY)
    await store.close()


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


def test_verify_says_what_it_found(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, fill(database_url)).result()
        monkeypatch.setenv("DATABASE_URL", database_url)
        assert main(["audit", "verify"]) == 0
        assert "ok    audit: 3 entries (chained since entry 1), 0 versions, no faults" in capsys.readouterr().out
        assert main(["audit", "verify", "--anchor", f"5:{'0' * 64}"]) == 1
        assert "FAIL  entry 4: truncated" in capsys.readouterr().out
        changed = "SET session_replication_role = replica; UPDATE layout_mutation.audit_entries SET actor = 'x' WHERE number = 2"
        thread.submit(asyncio.run, execute(database_url, changed)).result()
    assert main(["audit", "verify", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["faults"][0]["number"] == 2


def test_the_key_is_printed_for_the_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "key"]) == 0
    printed = capsys.readouterr().out.strip()
    assert base64.b64decode(printed) == derived_key(b"s" * 32)


def test_what_is_missing_or_unusable_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none")
    assert main(["audit", "verify"]) == 3
    assert main(["audit", "verify", "--anchor", "here"]) == 2
    monkeypatch.setenv("CONTROL_PLANE_AUDIT_KEYS", "short")
    assert main(["audit", "verify"]) == 2
    monkeypatch.setenv("CONTROL_PLANE_SIGNING_KEY", "short")
    assert main(["audit", "key"]) == 2
    assert capsys.readouterr().err.count("\n") == 4
