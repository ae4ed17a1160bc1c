"""What taking a table costs: never the event loop, and nothing twice where this very engine has checked it."""

import asyncio

import pytest
from structlog.testing import capture_logs

from rules.compiler import compile_table
from rules.context import Context
from rules.decision import decide
from rules.model import decode_rules
from rules.reasons import Reason
from tests.sidecar.publisher import MADE, Follow, Publisher, following, rules_json, version
from tests.sidecar.waiting import until

ENGINE = "this engine"


@pytest.mark.parametrize("engine", ["", ENGINE], ids=["compiled whole", "compiled late"])
async def test_a_large_table_does_not_stall_the_event_loop(follow: Follow, publisher: Publisher, engine: str) -> None:
    """Taken on the loop, a table would have it stand still all the while: one turn, as long as the whole."""
    tables = await following(follow(engine=ENGINE))
    sealed = await asyncio.to_thread(publisher.sealed, 1, 10_000, engine=engine)
    clock = asyncio.get_running_loop().time
    taking = asyncio.create_task(tables.offer(sealed, "1"))
    began, longest = clock(), 0.0
    while not taking.done():
        before = clock()
        await asyncio.sleep(0)
        longest = max(longest, clock() - before)
    assert await taking
    assert longest < (clock() - began) * 0.8


async def test_a_table_that_this_engine_has_checked_is_in_force_at_once(follow: Follow, publisher: Publisher) -> None:
    tables = await following(follow(engine=ENGINE))
    await publisher.publish(1, publisher.sealed(1, 3, engine=ENGINE))
    await until(lambda: version(tables) == 1)
    assert tables.current is not None
    assert tables.current._rows == {}
    assert len(tables.current.candidates("shop.example", "/page-2")) == 1
    assert len(tables.current._rows) == 1


async def test_a_rule_that_fails_at_its_first_use_is_left_out_with_one_line(
    follow: Follow, publisher: Publisher
) -> None:
    tables = await following(follow(engine=ENGINE))
    with capture_logs() as lines:
        sealed = publisher.sealed(1, 2, engine=ENGINE)
        await publisher.publish(1, publisher.damaged(sealed, b"\xa8selector\xa2h1", b"\xa8selector\xa2h["))
        await until(lambda: version(tables) == 1)
        assert tables.current is not None
        for _ in range(2):
            decision = decide(tables.current, Context(site="shop.example", path="/page-1"))
            assert [(one.mutation_id, one.reason) for one in decision.outcomes] == [("m-1", Reason.UNUSABLE)]
    assert [line["mutation"] for line in lines if line["event"] == "rule_left_out"] == ["m-1"]
    assert tables.status()["state"] == "ACK"


async def test_a_newer_table_with_the_same_rules_is_in_force_too(follow: Follow, publisher: Publisher) -> None:
    tables = await following(follow(poll_s=0.05))
    rules = decode_rules(rules_json(1))
    for number in (1, 2):
        await publisher.publish(number, publisher.seal(compile_table(rules, version=number, now=MADE)))
        await until(lambda number=number: version(tables) == number)  # type: ignore[misc]
    assert not tables.wants(2)
