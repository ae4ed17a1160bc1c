"""A database to try something in is gone afterwards, whenever whoever made it is stopped; after a kill it is the next one who drops it."""

import asyncio
import re
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from structlog.testing import capture_logs

from control_plane.schema import throwaway
from control_plane.schema.address import Address, parse
from control_plane.schema.runner import connected
from control_plane.schema.throwaway import AGE_S_MAX, PREFIX, is_left_over, throwaway_database
from control_plane.store import StoreError
from tests.control_plane.postgres_kinds import trials

CLONE = Path(__file__).resolve().parents[3]
DAY_S = 24 * 3600
MAKER = """
import asyncio, sys
from control_plane.schema.throwaway import throwaway_database

async def make():
    async with throwaway_database(sys.argv[1]) as url:
        print(url, flush=True)
        await asyncio.Event().wait()

asyncio.run(make())
"""


@pytest.mark.parametrize("statement", ["CREATE", "DROP"])
async def test_who_is_stopped_while_the_server_works_leaves_nothing(
    empty_url: str, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    before, execute, begun = await trials(empty_url), throwaway._execute, asyncio.Event()

    async def slowly(address: Address, text: str) -> None:
        """The server has done it, or is about to, and its answer is still under way."""
        if not text.startswith(statement) or begun.is_set():
            await execute(address, text)
        elif statement == "CREATE":
            await execute(address, text)
            begun.set()
            await asyncio.Event().wait()
        else:
            begun.set()
            await asyncio.sleep(0)
            await execute(address, text)

    monkeypatch.setattr(throwaway, "_execute", slowly)

    async def use() -> None:
        async with throwaway.throwaway_database(empty_url):
            assert len(await trials(empty_url) - before) == 1

    using = asyncio.create_task(use())
    await begun.wait()
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert await trials(empty_url) <= before


@pytest.mark.parametrize("wrong", [ZeroDivisionError("x"), OSError("x"), asyncpg.InterfaceError("x")])
async def test_what_goes_wrong_within_leaves_nothing_and_is_said_as_it_is(empty_url: str, wrong: Exception) -> None:
    before = await trials(empty_url)
    with pytest.raises(type(wrong), match=r"^x$"):
        async with throwaway_database(empty_url):
            raise wrong
    assert await trials(empty_url) <= before


# ---------------------------------------------------------------- left over


@asynccontextmanager
async def maker(url: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Another program that tries something, and the name of its database; killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MAKER, url), stdout=asyncio.subprocess.PIPE, cwd=CLONE
    )
    try:
        assert process.stdout is not None
        there = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        yield process, urlsplit(there.strip()).path.strip("/")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ask(url: str, statement: str, *arguments: object) -> object:
    async with connected(parse(url)) as connection:
        return await connection.fetchval(statement, *arguments)


async def tried(url: str) -> set[str]:
    """What is there of trials while another one is made."""
    async with throwaway_database(url) as own:
        return await trials(url) - {urlsplit(own).path.strip("/")}


async def until_nobody_has(url: str, name: str) -> None:
    """The server has noticed that whoever made it is gone."""
    token = int(name.rpartition("_")[2], 16)
    async with asyncio.timeout(30):
        while await ask(
            url, f"SELECT count(*) FROM ({throwaway._LOCKS}) l WHERE objid = $2", throwaway.LOCK_SPACE, token
        ):
            await asyncio.sleep(0.02)


async def test_what_a_killed_program_left_is_dropped_by_the_next_and_what_a_living_one_uses_is_not(
    postgres_kind_url: str,
) -> None:
    """Behind a pooler the killed one's stays as well, for a day: there one can't be told from the other."""
    url, pooled = postgres_kind_url, parse(postgres_kind_url).pooled
    async with maker(url) as (killed, left), maker(url) as (_living, used):
        assert re.fullmatch(rf"{PREFIX}{'aged' if pooled else 'held'}_[0-9a-f]{{8}}_[0-9a-f]{{8}}", left)
        assert {left, used} <= await tried(url), "nobody is connected to either, and both are used"
        killed.kill()
        await killed.wait()
        await until_nobody_has(url, left)
        found = await tried(url)
        assert (left in found, used in found) == (pooled, True)
    for name in (left, used):
        await ask(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def test_where_no_lock_can_be_kept_a_day_has_to_be_over(postgres_kind_url: str) -> None:
    url = postgres_kind_url
    now_s = int(str(await ask(url, throwaway._NOW)))
    old, young = (f"{PREFIX}aged_{now_s - age_s:08x}_{secrets.token_hex(4)}" for age_s in (2 * DAY_S, DAY_S // 2))
    for name in (old, young):
        await ask(url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        found = await tried(url)
        assert (old in found, young in found) == (False, True)
    finally:
        await ask(url, f'DROP DATABASE "{young}"')


async def test_what_somebody_is_connected_to_what_others_own_and_what_others_called_so_stays(empty_url: str) -> None:
    connected_to, others, gone = (left_over() for _ in range(3))
    strangers, role = PREFIX + secrets.token_hex(6), f"lm_other_{secrets.token_hex(4)}"
    await ask(empty_url, f"CREATE ROLE {role}")
    for name in (connected_to, others, strangers, gone):
        await ask(empty_url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        await ask(empty_url, f'ALTER DATABASE "{others}" OWNER TO {role}')
        async with connected(parse(at(empty_url, connected_to))):
            found = await tried(empty_url)
        assert {connected_to, others, strangers, gone} & found == {connected_to, others, strangers}
    finally:
        for name in (connected_to, others, strangers, gone):
            await ask(empty_url, f'DROP DATABASE IF EXISTS "{name}"')
        await ask(empty_url, f"DROP ROLE {role}")


def left_over() -> str:
    """A name of one whose maker is gone."""
    return f"{PREFIX}held_00000001_{secrets.token_hex(4)}"


def at(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def test_the_service_drops_it_too_and_says_where_it_can_not(empty_url: str) -> None:
    name = left_over()
    await ask(empty_url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    await throwaway.sweep(empty_url)
    assert name not in await trials(empty_url)
    for away in ("postgresql://u:p@127.0.0.1:1/d", at(empty_url, "not_there")):
        with pytest.raises(StoreError):
            await throwaway.sweep(away)


async def test_what_does_not_let_itself_be_dropped_is_said_and_keeps_nobody_from_trying(empty_url: str) -> None:
    stays, goes = left_over(), left_over()
    await ask(empty_url, f'CREATE DATABASE "{stays}" TEMPLATE template0 IS_TEMPLATE true')
    await ask(empty_url, f'CREATE DATABASE "{goes}" TEMPLATE template0')
    try:
        with capture_logs() as lines:
            assert {stays, goes} & await tried(empty_url) == {stays}
        said = {line["database"]: line["event"] for line in lines}
        assert (said[stays], said[goes]) == ("trial_stays", "trial_swept")
    finally:
        await ask(empty_url, f'ALTER DATABASE "{stays}" IS_TEMPLATE false')
        await ask(empty_url, f'DROP DATABASE "{stays}"')


async def test_a_command_says_nothing_of_it_in_its_answer(empty_url: str) -> None:
    name = left_over()
    await ask(empty_url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    async with maker(empty_url) as (_command, made):
        assert re.fullmatch(rf"{PREFIX}held_[0-9a-f]{{8}}_[0-9a-f]{{8}}", made), "it was the first line"
        assert name not in await trials(empty_url)
    await until_nobody_has(empty_url, made)
    await throwaway.sweep(empty_url)
    assert made not in await trials(empty_url)


async def test_a_lock_that_is_lost_costs_the_trial_nothing(empty_url: str) -> None:
    before = await trials(empty_url)
    async with throwaway_database(empty_url) as there:
        token = int(there.rpartition("_")[2], 16)
        query = (
            f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE objid = {token} AND classid = {throwaway.LOCK_SPACE}"
        )
        assert await ask(empty_url, query) is True
        assert await ask(there, "SELECT 1") == 1
    assert await trials(empty_url) <= before


def test_which_name_is_of_a_left_over_one() -> None:
    now_s = 0x7000_0000
    held, aged = f"{PREFIX}held_{now_s:08x}_0000000a", f"{PREFIX}aged_{now_s - AGE_S_MAX:08x}_0000000a"
    assert (is_left_over(held, now_s, {10}), is_left_over(held, now_s, {11})) == (False, True)
    assert (is_left_over(aged, now_s, ()), is_left_over(aged, now_s + 1, ())) == (False, True)
    for name in ("layout_mutation", f"{PREFIX}0123456789ab", f"x{held}", f"{held}0", f"{held}\n", held.upper()):
        assert not is_left_over(name, now_s + 10 * AGE_S_MAX, ()), name
