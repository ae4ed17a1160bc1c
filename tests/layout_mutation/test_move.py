"""Moves by hand, between real databases."""

import asyncio
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.control_plane.moving.stores import SOMEBODY, fill, postgres
from tests.layout_mutation.typed import CommandLine
from tests.servers import new_database


@pytest.fixture
def other_url(postgres_server: str) -> Iterator[str]:
    with new_database(postgres_server) as url:
        yield url


def filled(url: str, *whose: object) -> None:
    async def fill_it() -> None:
        async with postgres(url) as store:
            await fill(store, *whose)  # type: ignore[arg-type]

    asyncio.run(fill_it())


def test_everything_is_moved_and_compared(run: CommandLine, database_url: str, empty_url: str) -> None:
    filled(database_url)
    words = ("move", "--from", "env:OLD", "--to", empty_url)
    here = {"OLD": database_url}
    refused = run(*words, "--check", environment=here)
    assert refused.is_one_error(3)
    assert "has schema 0" in refused.err
    moved = run(*words, environment=here)
    assert (moved.code, moved.err) == (0, "")
    assert moved.text.splitlines()[-1].endswith("records; both sides are the same")
    assert "mutation versions                4         4  same" in moved.text
    check = run(*words, "--check", "--json", environment=here)
    assert check.code == 0
    told = json.loads(check.out)
    assert told["plan"]["standing"] == "same"
    assert {row["same"] for row in told["entities"]} == {True}
    password = urlsplit(database_url).password
    assert password
    assert password not in moved.text + check.text + refused.err


def test_what_differs_is_exit_code_1(run: CommandLine, database_url: str, other_url: str) -> None:
    filled(database_url)
    filled(other_url, SOMEBODY)
    words = ("move", "--from", database_url, "--to", other_url)
    check = run(*words, "--check")
    assert (check.code, check.err) == (1, "")
    assert check.text.splitlines()[-1].startswith("the target holds another installation's data")
    assert run(*words).is_one_error(1)


def test_hooks_come_from_the_environment(run: CommandLine, database_url: str, other_url: str) -> None:
    filled(database_url)
    words = ("move", "--from", database_url, "--to", other_url)
    stopped = run(*words, environment={"CONTROL_PLANE_MOVE_BEFORE": "false"})
    assert stopped.is_one_error(1)
    assert "nothing was moved" in stopped.err
    after = run(*words, "--json", environment={"CONTROL_PLANE_MOVE_AFTER": "false"})
    assert after.code == 1
    assert "everything was moved" in after.err
    assert json.loads(after.out)["records"] > 0


@pytest.mark.parametrize("store", ["env:NOWHERE", "mysql://anna:hunter2@a/b"])
def test_what_names_no_store_is_exit_code_2(run: CommandLine, store: str) -> None:
    ran = run("move", "--from", store, "--to", "postgresql://a/b")
    assert ran.is_one_error(2)
    assert ran.err.startswith("error: --from: ")
    assert "hunter2" not in ran.err


def test_from_a_file_to_a_server(run: CommandLine, database_url: str) -> None:
    missing = run("move", "--from", "small.sqlite", "--to", database_url)
    assert missing.is_one_error(3)
    assert "there is no file" in missing.err
    filled(database_url)
    assert run("move", "--from", database_url, "--to", "small.sqlite").code == 0
    check = run("move", "--from", "small.sqlite", "--to", database_url, "--check")
    assert (check.code, check.err) == (0, "")
    assert check.text.startswith(f"from local {run.folder / 'small.sqlite'}\n")
    assert "differs" not in check.text


def test_a_server_that_is_away_is_exit_code_3(run: CommandLine) -> None:
    url = "postgresql://anna:hunter2@127.0.0.1:1/shop"
    ran = run("move", "--from", url, "--to", url)
    assert ran.is_one_error(3)
    assert "hunter2" not in ran.err
