"""Toggles that do nothing are pointed out, and none of them fails a file."""

from typing import Any

import pytest

from rules.lint import lint
from tests.rules.making import experiment, removing, table, variant


def found(**toggle: Any) -> list[tuple[str, str]]:
    rules = table(
        removing("m", pageSlug="/a", moduleId="hero"),
        variant("v"),
        experiments=[experiment()],
        toggles=[{"id": "t", **toggle}],
    )
    return [(one.path, one.message) for one in lint(rules) if one.path.startswith("$.toggles")]


@pytest.mark.parametrize(
    "toggle",
    [
        {"mutationId": "m"},
        {"experimentId": "e"},
        {"moduleId": "hero"},
        {"layer": "global"},
        {"pageSlug": "/**"},
        {"experimentId": "e", "layer": "global"},
        {"mutationId": "m", "moduleId": "hero", "site": "shop.example"},
    ],
)
def test_a_toggle_that_switches_something_off_is_fine(toggle: dict[str, Any]) -> None:
    assert found(**toggle) == []


@pytest.mark.parametrize(
    ("toggle", "path", "part"),
    [
        ({"mutationId": "gone"}, "$.toggles[0].mutationId", "no mutation 'gone'"),
        ({"experimentId": "gone"}, "$.toggles[0].experimentId", "no experiment 'gone'"),
        ({"mutationId": "m", "isActive": False}, "$.toggles[0]", "isActive is false"),
        ({"moduleId": "cta"}, "$.toggles[0]", "no mutation of this file fits"),
        ({"mutationId": "m", "layer": "micro"}, "$.toggles[0]", "no mutation of this file fits"),
        ({"experimentId": "e", "moduleId": "hero"}, "$.toggles[0]", "no mutation of this file fits"),
    ],
)
def test_a_toggle_that_switches_nothing_off_is_pointed_out(toggle: dict[str, Any], path: str, part: str) -> None:
    ((where, message),) = found(**toggle)
    assert where == path
    assert part in message


def test_a_mutation_that_a_toggle_switches_off_everywhere_is_never_served() -> None:
    findings = lint(table(removing("m"), toggles=[{"id": "t", "mutationId": "m"}]))
    assert [one.message for one in findings] == ["is never served: it is switched off by toggle t"]
    elsewhere = lint(table(removing("m"), toggles=[{"id": "t", "mutationId": "m", "pageSlug": "/a"}]))
    assert elsewhere == ()
