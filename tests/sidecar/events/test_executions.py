"""Pages put aside: as many as there is room for, each told of once, in their order, and none that holds up the others."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from rules.reasons import Reason
from service.events import NAMED_MAX, Execution
from sidecar.events.executions import Executions
from tests.sidecar.wire import NOON


def page(path: str = "/", **outcomes: Reason) -> Any:
    """An exchange as far as it is told of."""
    known = {"explanation": outcomes, "authority": "a", "path": path, "table": None, "decide_s": 0.0005}
    return SimpleNamespace(**known, rewrite_s=0.002)


def executions(size_max: int = 100) -> Executions:
    return Executions(0.5, iter(map(str, range(10**6))).__next__, size_max)


def told(waiting: Executions) -> Execution:
    return msgspec.json.decode(waiting.next(), type=Execution)


def test_pages_are_told_of_in_their_order() -> None:
    waiting = executions()
    for number in range(3):
        assert waiting.put_aside(page(f"/{number}"), "no_rules", 200, NOON)
    assert len(waiting) == 3
    assert [(each.id, each.path) for each in (told(waiting), told(waiting), told(waiting))] == [
        ("0", "/0"),
        ("1", "/1"),
        ("2", "/2"),
    ]
    assert len(waiting) == 0
    with pytest.raises(IndexError):
        waiting.next()


def test_what_it_took_is_told_in_microseconds() -> None:
    waiting = executions()
    waiting.put_aside(page(), "no_rules", 404, NOON)
    one = told(waiting)
    assert (one.decide_us, one.rewrite_us, one.share, one.status, one.at) == (500, 2000, 0.5, 404, NOON)
    assert (one.table, one.unnamed) == (0, 0)


def test_room_is_for_pages_and_their_mutations_and_comes_back() -> None:
    waiting = executions(10)
    two = page(a=Reason.APPLIED, b=Reason.APPLIED)
    assert [waiting.put_aside(two, "applied", 200, NOON) for _ in range(4)] == [True, True, True, False]
    assert waiting.put_aside(page(), "applied", 200, NOON)
    assert not waiting.put_aside(page(), "applied", 200, NOON)
    for _ in range(4):
        waiting.next()
    assert [waiting.put_aside(two, "applied", 200, NOON) for _ in range(4)] == [True, True, True, False]


def test_a_page_that_can_not_be_told_of_is_gone() -> None:
    waiting = executions()
    bad = page()
    bad.decide_s = "no number"
    waiting.put_aside(bad, "applied", 200, NOON)
    waiting.put_aside(page("/next"), "applied", 200, NOON)
    with pytest.raises(TypeError):
        waiting.next()
    assert told(waiting).path == "/next"


def test_lists_are_bounded_and_say_how_much_is_missing() -> None:
    many = {f"a{number}": Reason.APPLIED for number in range(NAMED_MAX + 7)}
    many |= {f"f{number}": Reason.TARGET_NOT_FOUND for number in range(NAMED_MAX + 5)}
    many |= {f"s{number}": Reason.SHADOWED for number in range(3)}
    waiting = executions(1000)
    waiting.put_aside(page(**many), "applied", 200, NOON)
    one = told(waiting)
    assert [len(each) for each in (one.applied, one.failed, one.shadowed)] == [NAMED_MAX, NAMED_MAX, 3]
    assert one.unnamed == 12
    waiting.put_aside(page(**{f"s{number}": Reason.SHADOWED for number in range(NAMED_MAX + 1)}), "x", 200, NOON)
    one = told(waiting)
    assert (len(one.shadowed), one.unnamed) == (NAMED_MAX, 1)


def sorted_out(reason: str, **outcomes: Reason) -> tuple[tuple[str, ...], Mapping[str, str], tuple[str, ...]]:
    waiting = executions()
    waiting.put_aside(page(**outcomes), reason, 200, NOON)
    one = told(waiting)
    return one.applied, one.failed, one.shadowed


LOOKED_INTO = {
    Reason.TARGET_NOT_FOUND,
    Reason.TOO_MANY_MATCHES,
    Reason.AMBIGUOUS_SPAN,
    Reason.UNSAFE_TARGET,
    Reason.LOOP,
    Reason.NOT_DELIVERED,
    Reason.UNUSABLE,
    Reason.QUARANTINED,
}


@pytest.mark.parametrize("reason", ["applied", "no_rules", "rollout", "rewrite_failed"])
@pytest.mark.parametrize("outcome", sorted(set(Reason) - {Reason.APPLIED, Reason.DELIVERED}))
def test_what_somebody_may_want_to_look_into_is_told_as_failed_and_the_rules_at_work_are_not(
    outcome: Reason, reason: str
) -> None:
    failed = {"m": outcome.value} if outcome in LOOKED_INTO else {}
    shadowed = ("m",) if outcome is Reason.SHADOWED else ()
    assert sorted_out(reason, m=outcome) == ((), failed, shadowed)


@pytest.mark.parametrize("reason", ["applied", "shadow", "rollout", "method", "switched_off", "over_budget"])
def test_what_was_carried_out_counts_where_the_page_went_out_changed(reason: str) -> None:
    given = {"here": Reason.APPLIED, "there": Reason.DELIVERED}
    applied = tuple(given) if reason == "applied" else ()
    failed = dict.fromkeys(given, reason) if reason == "over_budget" else {}
    assert sorted_out(reason, **given) == (applied, failed, ())


def test_whatever_bytes_an_address_has_it_is_text() -> None:
    waiting = executions()
    waiting.put_aside(page("/caf\udce9/\udcc3\udca9"), "no_rules", 200, NOON)
    assert told(waiting).path == "/caf\ufffd/é"


def test_what_is_long_is_cut_before_it_is_kept() -> None:
    waiting = executions()
    long = page("/" + "x" * 100_000)
    waiting.put_aside(long, "no_rules", 200, NOON)
    assert len(waiting._seen[0][2]) == 300
