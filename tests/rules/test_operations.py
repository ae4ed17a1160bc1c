"""Structs of operations refuse what can't be meant."""

from typing import Any

import pytest

from rules import model


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
