"""A test that hangs says what for."""

import asyncio

from tests.hanging import waiting


async def test_a_task_that_waits_is_named_with_the_line_in_which_it_does() -> None:
    never = asyncio.Event()

    async def outer() -> None:
        await inner()

    async def inner() -> None:
        await never.wait()

    task = asyncio.create_task(outer(), name="who waits")
    await asyncio.sleep(0)
    told = list(waiting())
    never.set()
    await task
    at = told.index("  who waits")
    assert [line.rpartition(".")[2] for line in told[at + 1 : at + 4]] == ["outer", "inner", "wait"]
    assert "  who waits" not in list(waiting())
