"""What is wrong with a theme or a call to action is said at the field that an author wrote."""

from typing import Any

import pytest

from rules.errors import RulesError
from rules.html.payload_checks import check_payload
from tests.rules.making import rules_file


def refusal(kind: str, payload: dict[str, Any]) -> tuple[str, str]:
    file = rules_file({"id": "m", "mutationType": kind, "mutationPayload": payload})
    with pytest.raises(RulesError) as caught:
        check_payload(file.mutations[0], "$.p")
    return caught.value.path, caught.value.problem


@pytest.mark.parametrize(
    ("payload", "path", "problem"),
    [
        ({"stylesheet": "//cdn.example/a.css"}, "$.p.stylesheet", "another site"),
        ({"stylesheet": "a.css"}, "$.p.stylesheet", "a path such as"),
        ({"css": "a{"}, "$.p.css", "not balanced"),
        ({"css": "a{b:url(javascript:x)}"}, "$.p.css", "runs a script"),
        ({"css": "a{b:url('data:text/html,x')}"}, "$.p.css", "data:"),
    ],
)
def test_a_theme(payload: dict[str, Any], path: str, problem: str) -> None:
    where, what = refusal("theme", payload)
    assert where == path
    assert problem in what


@pytest.mark.parametrize(
    ("payload", "path", "problem"),
    [
        ({"label": "x", "target": {"selector": "a["}}, "$.p.target.selector", "a CSS selector"),
        ({"href": "javascript:x"}, "$.p.href", "runs a script"),
        ({"href": "/a\n?b"}, "$.p.href", "line breaks"),
        ({"href": "mailto:a@b.example", "tracking": {"a": "b"}}, "$.p.href", "no query parameters"),
        ({"href": "/{{a|b}}", "tracking": {"a": "b"}}, "$.p.href", "without placeholders"),
        ({"attributes": {"onclick": "x"}}, "$.p.attributes.onclick", "runs a script"),
        ({"attributes": {"formaction": "javascript:x"}}, "$.p.attributes.formaction", "runs a script"),
    ],
)
def test_a_call_to_action(payload: dict[str, Any], path: str, problem: str) -> None:
    where, what = refusal("cta", {"target": {"selector": "a"}} | payload)
    assert where == path
    assert problem in what


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("theme", {"tokens": {"--a": "'é'"}, "classes": ["x"], "stylesheet": "/a.css?v=1", "css": "a > b{c:url(d)}"}),
        ("cta", {"target": {"moduleId": "m"}, "href": "mailto:a@b.example", "attributes": {"title": "javascript:"}}),
        ("cta", {"target": {"selector": "a"}, "href": "?a", "tracking": {"a": "b"}}),
        ("remove", {"target": {"selector": "a["}}),
    ],
)
def test_the_rest_passes(kind: str, payload: dict[str, Any]) -> None:
    file = rules_file({"id": "m", "mutationType": kind, "mutationPayload": payload})
    check_payload(file.mutations[0], "$.p")
