"""A table loaded beside visitors: rests in time, and the interpreter as it was afterwards."""

import gc
import sys
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
import pytest

from rules.compiler import compile_table
from rules.model import decode_rules
from rules.sealing import seal, unseal
from rules.written import PAUSE_EVERY
from sidecar.tables.unhurried import REST_S, TURN_S, WORK_S, Unhurried, at_once, beside_visitors
from tests.sidecar.publisher import Follow, Publisher, rules_json


def test_it_rests_when_it_has_worked_and_not_before() -> None:
    now, rests = 0.0, list[float]()
    pause = Unhurried(clock=lambda: now, rest=rests.append)
    for worked, rested in ((0.0, 0), (WORK_S * 0.9, 0), (WORK_S * 0.2, 1), (WORK_S * 0.5, 1), (WORK_S * 3, 2)):
        now += worked
        pause()
        assert rests == [REST_S] * rested


@pytest.mark.parametrize("collects", [True, False])
def test_nothing_is_collected_meanwhile_and_all_is_as_before_afterwards(collects: bool) -> None:
    turn_s = sys.getswitchinterval()
    (gc.enable if collects else gc.disable)()
    try:
        with suppress(ValueError), beside_visitors():
            assert not gc.isenabled()
            assert sys.getswitchinterval() == pytest.approx(TURN_S)
            raise ValueError
        assert gc.isenabled() is collects
    finally:
        gc.enable()
    assert sys.getswitchinterval() == pytest.approx(turn_s)


@pytest.mark.parametrize(("count", "pauses"), [(0, 4), (1, 7), (10 * PAUSE_EVERY, 34)])
def test_a_load_pauses_between_all_its_pieces(count: int, pauses: int) -> None:
    now, called = datetime(2026, 1, 1, tzinfo=UTC), 0
    table = compile_table(decode_rules(rules_json(count)), version=1, now=now, engine="this")

    def pause() -> None:
        nonlocal called
        called += 1

    sealed = seal(table, key_id="key", sign=lambda _: b"signature")
    found = unseal(sealed, verify=lambda *_: True, engine="this", pause=pause)
    assert (called, found) == (pauses, table)


def test_a_table_leaves_nothing_to_the_collector() -> None:
    """Or the whole of an old one would wait for a full collection, which visitors would notice."""
    rules = msgspec.json.decode(rules_json(50))
    rules["experiments"] = [{"id": "e", "variations": [{"key": "control"}, {"key": "new"}]}]
    decoded = decode_rules(msgspec.json.encode(rules))
    table = compile_table(decoded, version=1, now=datetime(2026, 1, 1, tzinfo=UTC), engine="this")
    sealed = seal(table, key_id="key", sign=lambda _: b"signature")
    del table
    with beside_visitors():
        for _ in range(2):  # what is decoded for the first time leaves something behind, once
            gc.collect()
            loaded = unseal(sealed, verify=lambda *_: True, engine="this", pause=at_once)
            assert len(loaded.rows) == 50
            del loaded
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
            kept = {type(one).__module__ for one in gc.garbage}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
    assert not {module for module in kept if module.startswith("rules")}


async def test_visitors_come_first_only_where_there_are_any(follow: Follow, publisher: Publisher) -> None:
    """The snapshot is loaded before anybody is served; what Redis brings is not."""
    tables = follow(redis_url=None)
    given: list[object] = []
    opened = tables._open

    def noting(sealed: bytes, pause: object) -> object:
        given.append(pause)
        return opened(sealed, at_once)

    tables._open = noting  # type: ignore[method-assign, assignment]
    assert await tables.offer(publisher.sealed(1), "1")
    again = follow(redis_url=None)
    again._open = noting  # type: ignore[method-assign, assignment]
    await again.start()
    assert isinstance(given[0], Unhurried)
    assert given[1] is at_once
