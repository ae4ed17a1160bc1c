"""A mutation that loses against another is told which one: the first that alone is enough."""

from typing import Any

import msgspec

from rules.group import Group
from rules.html import apply_groups
from rules.model import decode_operations
from rules.reasons import Reason


def who(page: bytes, **groups: list[dict[str, Any]]) -> dict[str, str]:
    """Mutation -> the one that shadows it, where something does; groups in the order of their precedence."""
    given = [Group(name, decode_operations(msgspec.json.encode(written))) for name, written in groups.items()]
    outcomes = apply_groups(page, given, charset="utf-8").outcomes
    return {one.mutation_id: one.detail.partition(", ")[2] for one in outcomes if one.reason is Reason.SHADOWED}


def a(verb: str, selector: str = "h1", **fields: Any) -> dict[str, Any]:
    return {"verb": verb, "target": {"selector": selector}, **fields}


def test_who_is_shadowed_is_told_by_whom() -> None:
    page = b"<!doctype html><body class=x><h1>a</h1><main><p>b</p><i>c</i></main></body>"
    text: dict[str, Any] = {"content": {"text": "new"}}
    assert who(
        page,
        marks=[a("addClass", "body", names=["y"]), a("addClass", "main", names=["y"])],
        says=[a("setText", **text)],
        replaces=[a("replace", **text)],
        inside=[a("remove", "p")],
        around=[a("setText", "main", **text)],
    ) == {"replaces": "shadowed by says", "around": "shadowed by inside"}


def test_who_changed_nothing_shadows_nothing() -> None:
    page = b"<!doctype html><body><h1>a</h1><p>b</p></body>"
    text: dict[str, Any] = {"content": {"text": "new"}}
    broken = [a("setText", **text), {**a("setText", "s", **text), "target": {"selector": "s", "required": True}}]
    assert who(page, broken=broken, says=[a("setText", **text)], late=[a("setText", **text)]) == {
        "late": "shadowed by says"
    }


def test_a_mutation_can_shadow_itself() -> None:
    twice = [a("setText", content={"text": "x"}), {**a("remove"), "target": {"selector": "h1", "required": True}}]
    assert who(b"<!doctype html><body><h1>a</h1></body>", twice=twice) == {"twice": "shadowed by twice"}


def test_a_place_is_shadowed_too() -> None:
    page = b"<!doctype html><body><h1>a</h1><p>b</p><i>c</i></body>"
    up, down = [a("moveBefore", "i", anchor={"selector": "h1"})], [a("moveAfter", "i", anchor={"selector": "p"})]
    assert who(page, up=up, down=down) == {"down": "shadowed by up"}
    rows = [a("reorderChildren", "body", order=[{"selector": "p"}])]
    others = [a("reorderChildren", "body", order=[{"selector": "i"}])]
    assert who(page, rows=rows, others=others) == {"others": "shadowed by rows"}
