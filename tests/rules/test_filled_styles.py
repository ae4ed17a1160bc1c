"""Placeholders in styles, links and calls to action: a visit's texts stay a part of one value, wherever they are written."""

from typing import Any

import pytest

from rules.decision import decide
from rules.html import Rewritten, apply_groups
from tests.rules.making import table, visit

PAGE = b"<html><head></head><body><p style='top:0'>x</p><a href='/y?z'>l</a></body></html>"
HOSTILE = "blue;}</style><script>'\\"
ESCAPED = "blue\\3b \\7d \\3c \\2f style\\3e \\3c script\\3e \\27 \\5c "


def filled(kind: str, payload: dict[str, Any], **attributes: Any) -> str:
    decision = decide(
        table({"id": "m", "mutationType": kind, "mutationPayload": payload}), visit(attributes=attributes)
    )
    assert decision.private
    result = apply_groups(PAGE, decision.groups, charset="utf-8")
    assert isinstance(result, Rewritten)
    return result.page.decode()


@pytest.mark.parametrize(
    ("colour", "written"), [(None, "red"), ("#abc", "#abc"), ("1.5em", "1.5em"), (HOSTILE, ESCAPED)]
)
def test_a_style_is_filled_with_one_value(colour: str | None, written: str) -> None:
    attributes = {} if colour is None else {"colour": colour}
    assert f":root{{--c:{written}}}</style>" in filled("theme", {"tokens": {"--c": "{{colour|red}}"}}, **attributes)
    operation = {"verb": "setStyle", "target": {"selector": "p"}, "properties": {"color": "{{colour|red}}"}}
    assert f"<p style='top:0;color:{written}'>" in filled("set", {"operations": [operation]}, **attributes)
    assert f"<style data-layout-mutation>p{{color:{written}}}</style>" in filled(
        "theme", {"css": "p{color:{{colour|red}}}"}, **attributes
    )


def test_parameters_and_parts_of_a_call_to_action_are_filled() -> None:
    parts = {"label": "For {{name|you}}", "tracking": {"who": "{{name|nobody}}"}, "attributes": {"title": "{{name|x}}"}}
    page = filled("cta", {"target": {"selector": "a"}, **parts}, name="A&B#<c>")
    assert "<a title=\"A&amp;B#<c>\" href='/y?z&amp;who=A%26B%23%3Cc%3E'>For A&amp;B#&lt;c&gt;</a>" in page
