"""What rules cost shared caches: attributes and pages by name, and the rules that cost every page."""

from typing import Any

import pytest

from rules.cache_lint import lint_caches
from rules.context import ATTRIBUTES, Privacy
from rules.decision import decide
from tests.rules.making import experiment, removing, table, variant, visit

ANY_PAGE = "reads `country`: no shared cache keeps any page, whoever comes, changed or not"


def found(*mutations: dict[str, Any], **others: Any) -> list[tuple[str, str]]:
    return [(one.path, one.message) for one in lint_caches(table(*mutations, **others))]


def test_what_is_the_same_for_all_costs_nothing() -> None:
    assert found(removing("a"), removing("b", conditions={"query.x": "y", "layoutId": "z"})) == []


def test_attributes_and_pages_are_named() -> None:
    told = found(
        removing("a"),
        removing("b", site="shop.example", pageSlug="/offers/*", conditions={"returning": True, "country": "DE"}),
        removing("c", conditions={"country": "DE"}),
    )
    assert told == [
        (
            "$.mutations[1]",
            "reads `country`, `returning`: no shared cache keeps /offers/* of shop.example, whoever comes, changed or not",
        ),
        (
            "$.mutations[2]",
            f"{ANY_PAGE}, unless it is told to keep variants (SIDECAR_CACHE_VARIANTS)",
        ),
    ]


def test_what_is_not_served_costs_nothing() -> None:
    assert found(removing("a", isActive=False, conditions={"mobile": True})) == []
    off = [{"id": "t", "mutationId": "a", "isActive": True}]
    assert found(removing("a", conditions={"mobile": True}), toggles=off) == []


@pytest.mark.parametrize("name", ["firstReferral", "visits", "pagesSeen"])
def test_what_is_remembered_of_visits_costs_the_whole_site(name: str) -> None:
    [(path, message)] = found(removing("a", pageSlug="/offers", conditions={name: {"$exists": True}}))
    assert (path, "no shared cache keeps /offers" in message) == ("$.mutations[0]", True)
    assert (
        f"`{name}` change with each page of a visit: with SIDECAR_STATE_KEYS none keeps any page of the site" in message
    )


def test_what_fills_a_page_and_what_buckets_a_visit_count_too() -> None:
    filled = {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": "{{device|you}}"}}
    [(_, written)] = found({"id": "a", "mutationType": "set", "mutationPayload": {"operations": [filled]}})
    assert written.startswith("reads `device`:")
    [(_, bucketed)] = found(variant("v"), experiments=[experiment(unit="lm_uid")])
    assert bucketed.startswith("reads `lm_uid`:")


def test_a_derived_attribute_costs_what_it_follows_from() -> None:
    german = {"id": "german", "kind": "derived", "cases": [{"conditions": {"language": "de"}, "value": "yes"}]}
    [(_, message)] = found(removing("a", conditions={"german": "yes"}), attributes=[german])
    assert message.startswith("reads `language`:")


def test_journeys_and_counters_cost_the_pages_that_add_to_them() -> None:
    journey = {
        "id": "buying",
        "kind": "journey",
        "steps": [{"id": str(number), "pageSlug": f"/{number}", "site": "shop.example"} for number in range(7)],
    }
    counter = {"id": "offers", "kind": "counter", "pageSlug": "/offers/*", "conditions": {"visits": {"$gt": 1}}}
    told = dict(found(removing("a"), attributes=[journey, counter]))
    assert told["$.attributes"].startswith("read `visits`: with SIDECAR_STATE_KEYS no shared cache keeps any page")
    assert "on /0 of shop.example, /1 of shop.example" in told["$.attributes[0]"]
    assert "and 2 more: there, no shared cache" in told["$.attributes[0]"]
    assert told["$.attributes[1]"].startswith("is added to on /offers/*:")


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda one: one.name)
def test_what_is_told_is_what_a_decision_does(attribute: Any) -> None:
    """The advice and the edge agree, for each attribute there is."""
    rules = table(removing("a", conditions={attribute.name: {"$exists": True}}))
    told = bool(list(lint_caches(rules)))
    assert told is decide(rules, visit()).private is (attribute.privacy is not Privacy.PAGE)
