"""A database to try something in is gone afterwards, whenever whoever made it is stopped."""

import asyncio
from contextlib import suppress

import pytest

from control_plane.schema import throwaway
from control_plane.schema.address import Address
from tests.control_plane.postgres_kinds import trials


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
    assert await trials(empty_url) == before


async def test_what_goes_wrong_within_leaves_nothing(empty_url: str) -> None:
    before = await trials(empty_url)
    with suppress(ZeroDivisionError):
        async with throwaway.throwaway_database(empty_url):
            raise ZeroDivisionError
    assert await trials(empty_url) == before
