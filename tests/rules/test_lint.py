"""What an author is warned about."""

from typing import Any

import pytest

from rules.findings import Severity
from rules.lint import lint
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
        (
            [removing("a", moduleId="m")],
            {"modules": [{"id": "m", "isActive": False}]},
            "$.mutations[0]",
            "off by module m",
        ),
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


@pytest.mark.parametrize(
    ("first", "second", "shadowed"),
    [("x", "y", False), ("*", "y", False), ("x", "x", True), ("y", "*", False)],
)
def test_a_mutation_of_another_layout_shadows_nothing(first: str, second: str, shadowed: bool) -> None:
    found = messages(removing("b", layoutId=first), removing("a", layoutId=second, priority=1))
    assert [message for _, message in found] == (["is always shadowed by a"] if shadowed else [])


@pytest.mark.parametrize(
    ("there", "back", "goes_round"),
    [
        ({"conditions": {"language": "en"}}, {"conditions": {"language": "de"}}, False),
        (
            {"trigger": {"on": "device", "devices": ["mobile"]}},
            {"trigger": {"on": "device", "devices": ["tv"]}},
            False,
        ),
        ({"layoutId": "wide"}, {"layoutId": "narrow"}, False),
        ({"conditions": {"language": "de"}}, {"conditions": {"language": "de"}}, True),
        ({"conditions": {"language": "de"}}, {}, True),
    ],
)
def test_redirects_of_different_visits_do_not_go_round(
    there: dict[str, Any], back: dict[str, Any], goes_round: bool
) -> None:
    found = messages(redirecting("a", "/b", "/a", **there), redirecting("b", "/a", "/b", **back))
    assert [message for _, message in found] == (["leads round in a circle: a to b to a"] if goes_round else [])


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
    filled = lint(table(mapping("query.mood"), writing("{{query.name|you}}")), {"/": b"<h1>x</h1><p id=a>y"})
    assert [finding.message for finding in filled] == ["on /: leaves the page with no h1; it had one"]
    unreadable = lint(table(removing("a", "p")), {"page.html": b"\xff\xfe<\x00p\x00>\x00\x00\xd8"})
    assert "can't be rewritten: charset" in unreadable[0].message


REACT = b"<head></head><div id=root><h1>Old</h1></div><p>x</p><script src=/a.js></script>"


def on_page(verb: str, selector: str, **fields: Any) -> list[str]:
    operation = {"verb": verb, "target": {"selector": selector}, **fields.pop("more", {})}
    mutation = {"id": "a", "mutationType": "set", "mutationPayload": {"operations": [operation]}, **fields}
    return [finding.message for finding in lint(table(mutation), {"/": REACT})]


def test_what_hydration_would_undo_is_noticed() -> None:
    message, _ = on_page("remove", "h1")
    assert message.startswith("operation 1 (h1) is inside a React root on /: hydration may undo it")
    assert (
        on_page("remove", "p") == on_page("hideByStyle", "h1") == on_page("addClass", "h1", more={"names": ["x"]}) == []
    )
    for delivery, other in (("guarded", "leaves the page with no h1"), ("client", "layout shift")):
        [message] = on_page("remove", "h1", delivery=delivery)
        assert other in message


def test_what_the_browser_will_not_find_is_only_a_warning() -> None:
    operation = {"verb": "remove", "target": {"selector": "#late"}}
    mutation = {"id": "a", "mutationType": "set", "mutationPayload": {"operations": [operation]}, "delivery": "client"}
    _, finding = lint(table(mutation), {"/": REACT})
    assert finding.severity is Severity.WARNING
    assert "finds nothing on / as the origin sends it" in finding.message
