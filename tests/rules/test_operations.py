"""Structs of operations refuse what can't be meant."""

from typing import Any

import pytest

from rules import model
from rules.operations import MoveBefore, ReorderChildren, Target, targets_of


def test_a_target_is_a_selector_or_a_module() -> None:
    for fields in ({}, {"selector": "p", "module_id": "m"}):
        with pytest.raises(ValueError, match="either `selector` or `moduleId`"):
            model.Target(**fields)  # type: ignore[arg-type]


def test_content_is_text_or_html() -> None:
    cases: tuple[dict[str, Any], ...] = ({}, {"text": "a", "html": "b"}, {"html": "a", "component": "b"})
    for fields in cases:
        with pytest.raises(ValueError, match="either `text`, `html` or `component`"):
            model.Content(**fields)


def test_set_text_takes_text() -> None:
    with pytest.raises(ValueError, match="setInnerContent"):
        model.SetText(target=model.Target(selector="p"), content=model.Content(html="<b>x</b>"))


def test_every_target_has_its_path() -> None:
    p, q, r = Target(selector="p"), Target(selector="q"), Target(module_id="r")
    assert [*targets_of(MoveBefore(target=p, anchor=q))] == [("target", p), ("anchor", q)]
    order = ReorderChildren(target=p, order=[q, r], leaving=[r])
    assert [*targets_of(order)] == [("target", p), ("order[0]", q), ("order[1]", r), ("leaving[0]", r)]
