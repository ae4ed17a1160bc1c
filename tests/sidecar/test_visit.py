"""Request -> context: exactly the attributes of the registry."""

from datetime import UTC, datetime

import msgspec
import pytest
from multidict import CIMultiDict

from rules.context import ATTRIBUTES
from rules.remembering import VISIT_ATTRIBUTES
from sidecar import visit
from sidecar.toggles import Toggles
from sidecar.visit import Visit

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def visiting(target: str = "/", unit: str | None = None, new_unit: str | None = None, **fields: str) -> Visit:
    given = CIMultiDict({name.replace("_", "-"): value for name, value in fields.items()})
    return Visit("http", "Shop.Example:8080", target, given, "192.0.2.1", unit, new_unit)


def test_every_attribute_of_the_registry_and_no_other() -> None:
    full = visiting(
        "/a%20b?x=1&x=2&y",
        unit="abcdefgh",
        Accept_Language="en;q=0.5, de-DE, fr;q=0.9",
        Referer="https://Search.Example/q?secret",
        User_Agent="Mozilla Mobi",
    )
    context = visit.context_of(full, layout_id="product", now=NOW)
    assert (context.site, context.path, context.layout_id) == ("shop.example", "/a%20b", "product")
    assert context.attributes == {
        "host": "shop.example",
        "path": "/a%20b",
        "url": "http://Shop.Example:8080/a%20b?x=1&x=2&y",
        "query": {"x": "1", "y": ""},
        "layoutId": "product",
        "lm_uid": "abcdefgh",
        "returning": True,
        "locale": "de-de",
        "language": "de",
        "referrer": "search.example",
        "userAgent": "Mozilla Mobi",
        "mobile": True,
    }
    assert set(context.attributes) == {attribute.name for attribute in ATTRIBUTES} - VISIT_ATTRIBUTES


def test_what_is_not_known_is_absent() -> None:
    context = visit.context_of(visiting(), layout_id=None, now=NOW)
    assert not {"lm_uid", "locale", "language", "layoutId"} & set(context.attributes)
    assert context.attributes["returning"] is False


def test_a_new_visitor_has_the_unit_that_is_about_to_be_set() -> None:
    context = visit.context_of(visiting(new_unit="12345678"), layout_id=None, now=NOW)
    assert context.attributes["lm_uid"] == "12345678"
    assert context.attributes["returning"] is False


def test_the_client_hint_goes_before_the_user_agent() -> None:
    desktop = visiting(Sec_CH_UA_Mobile="?0", User_Agent="Mobi")
    assert visit.context_of(desktop, layout_id=None, now=NOW).attributes["mobile"] is False


def test_units_that_the_site_knows_are_attributes() -> None:
    known = msgspec.structs.replace(visiting(unit="abcdefgh"), known_units={"user": "ada"})
    attributes = visit.context_of(known, layout_id=None, now=NOW).attributes
    assert (attributes["user"], attributes["lm_uid"]) == ("ada", "abcdefgh")


def test_toggles_are_part_of_the_context() -> None:
    toggles = Toggles(disabled=frozenset({"hero"}), only=frozenset({"cta"}), forced={"e": "v"})
    context = visit.context_of(visiting(), layout_id=None, now=NOW, toggles=toggles)
    assert (context.disabled, context.only) == (frozenset({"hero"}), frozenset({"cta"}))
    assert context.forced == {"e": "v"}


@pytest.mark.parametrize(
    ("cookie", "unit"),
    [
        ("lm_uid=12345678", "12345678"),
        ("a=b; lm_uid=12345678; c=d", "12345678"),
        ('lm_uid="12345678"', "12345678"),
        ("xlm_uid=12345678", None),
        ("lm_uid=short", None),
        ("lm_uid=<script>alert", None),
        ("a=b", None),
    ],
)
def test_the_unit_cookie(cookie: str, unit: str | None) -> None:
    assert visit.unit_of(CIMultiDict({"Cookie": cookie})) == unit


def test_consent_is_a_cookie_with_something_in_it() -> None:
    assert visit.has_cookie(CIMultiDict({"Cookie": "a=1; consent=yes"}), "consent")
    assert not visit.has_cookie(CIMultiDict({"Cookie": "a=1; consent="}), "consent")
    assert not visit.has_cookie(CIMultiDict({}), "consent")


def test_the_cookie_that_is_set() -> None:
    plain = b"lm_uid=u; Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax"
    assert visit.unit_cookie("u", secure=False) == plain
    assert visit.unit_cookie("u", secure=True) == plain + b"; Secure"


def test_rollout_is_a_share_and_stays_the_same() -> None:
    visits = [visiting(unit=f"unit-{number:06}") for number in range(2000)]
    inside = [visit.in_rollout(0.3, one) for one in visits]
    assert inside == [visit.in_rollout(0.3, one) for one in visits]
    assert 0.25 < sum(inside) / len(inside) < 0.35
    assert not any(visit.in_rollout(0, one) for one in visits)
    assert all(visit.in_rollout(1, one) for one in visits)
    assert visit.in_rollout(0.5, visiting(User_Agent="a")) == visit.in_rollout(0.5, visiting(User_Agent="a"))


def test_an_address_alone() -> None:
    context = visit.context_of_address("https://Shop.Example/a?b=c", {"country": "de", "layoutId": "x"}, NOW)
    assert (context.site, context.path, context.layout_id) == ("shop.example", "/a", "x")
    assert context.attributes["query"] == {"b": "c"}
    assert context.attributes["country"] == "de"
