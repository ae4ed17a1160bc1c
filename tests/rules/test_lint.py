"""What an author is warned about."""

from typing import Any

import pytest

from rules.lint import Severity, lint
from tests.rules.making import experiment, redirecting, removing, table, variant


def messages(*mutations: dict[str, Any], **others: Any) -> list[tuple[str, str]]:
    return [(finding.path, finding.message) for finding in lint(table(*mutations, **others))]


def writing(text: str) -> dict[str, Any]:
    operation = {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": text}}
    return {"id": "w", "mutationType": "set", "mutationPayload": {"operations": [operation]}}


def mapping(attribute: str) -> dict[str, Any]:
    payload = {"attribute": attribute, "cases": {"joy": removing("a")["mutationPayload"]}}
    return {"id": "e", "mutationType": "emotionMap", "mutationPayload": payload}


def test_sound_rules_have_no_findings() -> None:
    assert messages(removing("a"), variant("b"), experiments=[experiment()]) == []


@pytest.mark.parametrize(
    ("mutations", "others", "path", "part"),
    [
        ([removing("a", isActive=False)], {}, "$.mutations[0]", "is never served: isActive"),
        ([removing("a", moduleId="m")], {"modules": [{"id": "m", "isActive": False}]}, "$.mutations[0]", "a module"),
        ([removing("a", conditions={"langauge": 1})], {}, "$.mutations[0].conditions", "reads `langauge`"),
        ([writing("{{nmae}}")], {}, "$.mutations[0].mutationPayload", "reads `nmae`"),
        ([mapping("mood")], {}, "$.mutations[0].mutationPayload", "reads `mood`"),
        ([], {"experiments": [experiment()]}, "$.experiments[0]", "no mutation of type variant"),
        ([removing("a"), removing("b")], {}, "$.mutations[1]", "is always shadowed by a"),
        (
            [removing("x"), redirecting("a", "/b", "/a"), redirecting("b", "/a", "/b")],
            {},
            "$.mutations[1]",
            "round in a circle: a to b to a",
        ),
    ],
)
def test_a_warning(mutations: list[dict[str, Any]], others: dict[str, Any], path: str, part: str) -> None:
    ((where, message),) = messages(*mutations, **others)
    assert where == path
    assert part in message


def test_a_second_control_is_noticed() -> None:
    three = experiment(variations=[{"key": "control"}, {"key": "new"}, {"key": "lazy"}])
    assert messages(variant("v"), experiments=[three]) == [
        ("$.experiments[0].variations[2]", "variation `lazy` changes nothing: it is a second control")
    ]


def test_sample_pages_are_tried() -> None:
    found = table(removing("a", ".missing"), removing("b", ".missing", pageSlug="/b"))
    findings = lint(found, {"/": b"<p>x</p>"})
    assert [(finding.severity, finding.path) for finding in findings] == [
        (Severity.ERROR, "$.mutations[0].mutationPayload")
    ]
    filled = lint(table(mapping("query.mood"), writing("{{query.name|you}}")), {"/": b"<h1>x</h1>"})
    assert filled == ()
    unreadable = lint(table(removing("a", "p")), {"page.html": b"\xff\xfe<\x00p\x00>\x00\x00\xd8"})
    assert "can't be rewritten: charset" in unreadable[0].message
