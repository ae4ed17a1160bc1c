"""A visit and a table: what rules see."""

from typing import Any

from rules.context import Context
from rules.decision import decide
from sidecar.context.contexts import Contexts, context_of_address
from sidecar.context.toggles import Toggles
from sidecar.context.visit import Visit
from sidecar.settings import SidecarSettings
from tests.sidecar.visiting import NOW, visiting
from tests.sidecar.wire import headline, table


def context(visit: Visit, rules: Any, *, refused: Any = lambda _: None, **given: Any) -> Context:
    settings = SidecarSettings(upstream="http://127.0.0.1:1", units="user=header:X-User", cookies="plan")
    arguments = {"said": {"layoutId": None, "page": None}, "toggles": None, "held": frozenset()} | given
    return Contexts(settings, refused=refused).of(visit, rules, NOW, **arguments)


def test_rules_see_what_the_rules_of_the_page_read() -> None:
    rules = table(
        headline(pageSlug="/a", conditions={"cookies.plan": "gold", "user": "ada"}),
        headline(id="other", pageSlug="/b", conditions={"device": "tv"}),
    )
    visit = visiting("/a", Cookie="plan=gold", X_User="ada")
    seen = context(visit, rules)
    assert seen.attributes == {
        "host": "shop.example", "path": "/a", "url": "http://Shop.Example:8080/a", "cookies": {"plan": "gold"},
        "user": "ada",
    }  # fmt: skip
    assert set(context(visiting("/b"), rules).attributes) == {"host", "path", "url", "userAgent", "device"}
    assert set(context(visiting("/c"), rules).attributes) == {"host", "path", "url"}


def test_a_unit_does_not_stand_in_for_what_is_derived() -> None:
    derived = {"kind": "derived", "id": "user", "otherwise": "nobody"}
    rules = table(headline(conditions={"user": "ada"}), attributes=[derived])
    seen = context(visiting(X_User="ada"), rules)
    assert "user" not in seen.attributes
    assert decide(rules, seen).reads == {"user"}


def test_what_the_response_says() -> None:
    rules = table(headline(conditions={"page.emotion": "joy"}))
    seen = context(visiting(), rules, said={"layoutId": "product", "page": {"emotion": "joy"}})
    assert (seen.layout_id, seen.attributes["layoutId"]) == ("product", "product")
    assert seen.attributes["page"] == {"emotion": "joy"}


def test_toggles_and_quarantine_are_part_of_the_context() -> None:
    toggles = Toggles(disabled=frozenset({"hero"}), only=frozenset({"cta"}), forced={"e": "v"})
    seen = context(visiting(), table(), toggles=toggles, held=frozenset({"m"}))
    assert (seen.disabled, seen.only, seen.forced, seen.held) == (
        frozenset({"hero"}),
        frozenset({"cta"}),
        {"e": "v"},
        frozenset({"m"}),
    )


def test_an_address_alone() -> None:
    seen = context_of_address("https://Shop.Example/a?b=c", {"country": "de", "layoutId": "x"}, NOW)
    assert (seen.site, seen.path, seen.layout_id) == ("shop.example", "/a", "x")
    assert seen.attributes["query"] == {"b": "c"}
    assert seen.attributes["country"] == "de"


def test_what_is_remembered_sees_what_its_conditions_read() -> None:
    counter = {"kind": "counter", "id": "looks", "pageSlug": "/a", "conditions": {"device": "other"}}
    rules = table(headline(conditions={"looks": {"$gt": 1}}), attributes=[counter])
    assert context(visiting("/a"), rules).attributes["device"] == "other"
    assert "device" not in context(visiting("/b"), rules).attributes
