"""What authors write with `{{…}}` in it, taken apart."""

import pytest

from rules import limits
from rules.errors import RulesError
from rules.placeholders import Parts, Placeholder, parts_of, visit_parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("plain {x} }}", ("plain {x} }}",)),
        ("{{name}}", (Placeholder(("name",)),)),
        ("a {{ query.utm_source | the web }} b", ("a ", Placeholder(("query", "utm_source"), "the web"), " b")),
        ("{{a|}}{{b|x}y}}", (Placeholder(("a",), ""), Placeholder(("b",), "x}y"))),
        ("{{a|red}}}", (Placeholder(("a",), "red"), "}")),
        ("{{a|two\nlines}}", (Placeholder(("a",), "two\nlines"),)),
        (r"\{{ x }}", ("{{ x }}",)),
        (r"\\{{x}}", ("\\", Placeholder(("x",)))),
        (r"\\\{{x}}", (r"\{{x}}",)),
        (r"a\b \{{{{x}}", (r"a\b {{", Placeholder(("x",)))),
    ],
)
def test_parts(text: str, parts: Parts) -> None:
    assert parts_of(text, "$") == parts


@pytest.mark.parametrize(
    "text", ["{{", "{{}}", "{{1}}", "{{a b}}", "{{{a}}}", "{{a|{{b}}}}", "{{a", "{{a..b}}", "{{ü}}"]
)
def test_braces_that_are_no_placeholder_are_named_with_the_way_out(text: str) -> None:
    with pytest.raises(RulesError, match=r"is no placeholder such as \{\{locale\|en\}\}; write \\\{\{") as caught:
        parts_of(f"x {text}", "$.text")
    assert caught.value.path == "$.text"
    assert "\n" not in str(caught.value)


def test_bounds_and_props() -> None:
    assert len(parts_of("{{a}}" * limits.PLACEHOLDERS_MAX, "$")) == limits.PLACEHOLDERS_MAX
    with pytest.raises(RulesError, match="at most 50 placeholders"):
        parts_of("{{a}}" * (limits.PLACEHOLDERS_MAX + 1), "$")
    assert parts_of("{{props.title}}", "$") == (Placeholder(("props", "title")),)
    with pytest.raises(RulesError, match="in a module's template only"):
        visit_parts("{{props.title}}", "$")
