"""Cases for the second opinion: a page, operations as JSON, and what the rewriter, or somebody worse, made of it."""

from collections.abc import Callable
from typing import Any

import msgspec

from rules.group import Group
from rules.html import PassedThrough, apply_groups
from rules.model import decode_operations
from service.opinions import Case, Opinion
from service.second_opinion import judge

PAGE = (
    b"<!doctype html><html><head><title>t</title></head><body>\n"
    b'<h1 id="top" class="a  b">Old</h1><ul><li>1<li class="x">2</ul><div id="d"><p>one</p><p>two</p></div>\n'
    b"<!-- note --><footer>end</footer></body></html>\n"
)


def groups_of(*operations: list[dict[str, Any]]) -> tuple[Group, ...]:
    """A group for each list of operations."""
    return tuple(
        Group(f"m-{index}", decode_operations(msgspec.json.encode(some)), f"digest-{index}")
        for index, some in enumerate(operations)
    )


def one(verb: str, selector: str, **more: Any) -> dict[str, Any]:
    """An operation as JSON."""
    return {"verb": verb, "target": {"selector": selector}, **more}


def rewritten(
    page: bytes, groups: tuple[Group, ...], *, charset: str | None = "utf-8", nonce: str | None = None
) -> Case:
    """The case that the rewriter makes of a page."""
    result = apply_groups(page, groups, charset=charset, nonce=nonce)
    assert not isinstance(result, PassedThrough), result
    return Case.of(page, result, groups, nonce=nonce)


def opinion(page: bytes, *operations: dict[str, Any], spoil: Callable[[bytes], bytes] | None = None) -> Opinion:
    """What is said of operations of one mutation, carried out right or spoilt afterwards."""
    case = rewritten(page, groups_of([*operations]))
    if spoil is not None:
        spoilt = spoil(case.rewritten)
        assert spoilt != case.rewritten, "the page was not spoilt"
        case = msgspec.structs.replace(case, rewritten=spoilt)
    return judge(case)
