"""Redirects: where a visit is sent, when it is there already, and which of them go round in circles."""

from typing import Any

import msgspec
import pytest

from rules.errors import RulesError
from rules.model import RedirectMutation, decode_mutation
from rules.redirects import circles, compile_redirect, target_of


def redirect(identifier: str = "r", page: str = "/old", to: str = "/new", **fields: Any) -> RedirectMutation:
    site = fields.pop("site", "*")
    mutation = {"id": identifier, "site": site, "pageSlug": page, "mutationType": "redirect"}
    decoded = decode_mutation(msgspec.json.encode({**mutation, "mutationPayload": {"to": to, **fields}}))
    assert isinstance(decoded, RedirectMutation)
    return decoded


def location(mutation: RedirectMutation, target: str, site: str = "shop.example") -> str | None:
    found = compile_redirect(mutation, "$").redirect(site, target, lasts=True)
    return None if found is None else found.location


@pytest.mark.parametrize(
    ("to", "keep", "target", "expected"),
    [
        ("/new", False, "/old?a=1", "/new"),
        ("/new", True, "/old?a=1", "/new?a=1"),
        ("/new", True, "/old", "/new"),
        ("/new?b=2#c", True, "/old?a=1&b=3", "/new?b=2&a=1#c"),
        ("https://other.example/x", True, "/old?a='", "https://other.example/x?a=%27"),
        ("/new", False, "/new", None),
        ("/new", False, "/new?a", "/new"),
        ("/new", True, "/new?a", None),
        ("/new?a", False, "/new?a", None),
        ("/new?a=1", True, "/new?b&a=1", "/new?a=1&b"),
        ("/new?a=1", True, "/new?a=1&b", None),
        ("/new#c", False, "/new", None),
        ("/new/", False, "/new", "/new/"),
        ("https://shop.example/new", False, "/new", None),
        ("http://shop.example:8080/new", False, "/new", None),
        ("https://other.example/new", False, "/new", "https://other.example/new"),
        ("/größe", False, "/gr%C3%B6%C3%9Fe", None),
    ],
)
def test_a_visit_is_sent_to_the_address_unless_it_is_there(
    to: str, keep: bool, target: str, expected: str | None
) -> None:
    assert location(redirect(page="/**", to=to, keepQuery=keep), target) == expected
    if expected is not None and "//" not in expected:
        assert location(redirect(page="/**", to=to, keepQuery=keep), expected.partition("#")[0]) is None


@pytest.mark.parametrize("fields", [{}, {"site": "shop.example"}, {"keepQuery": True}])
def test_a_redirect_to_its_own_page_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RulesError, match="leads to the page that it is about") as refusal:
        compile_redirect(redirect(page="/a", to="/a", **fields), "$")
    assert refusal.value.path == "$.mutationPayload.to"
    with pytest.raises(RulesError, match="leads to the page"):
        compile_redirect(redirect(page="/a", to="https://shop.example/a", site="shop.example"), "$")


def test_another_host_page_or_query_is_another_address() -> None:
    compile_redirect(redirect(page="/a", to="https://shop.example/a"), "$")
    compile_redirect(redirect(page="/a", to="/a?b"), "$")
    compile_redirect(redirect(page="/**", to="/a"), "$")


def test_a_bad_address_is_refused_at_its_field() -> None:
    with pytest.raises(RulesError, match="leads to another site") as refusal:
        compile_redirect(redirect(to="//evil.example"), "$.mutations[3]")
    assert refusal.value.path == "$.mutations[3].mutationPayload.to"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://shop.example/a?b=c#d", "/p?b=c"),
        ("/a?b=//c", "/p?b=//c"),
        ("http://shop.example?x", "/p"),
        ("/a", "/p"),
        (None, "/p"),
        (3, "/p"),
    ],
)
def test_the_target_of_a_visit(url: object, expected: str) -> None:
    assert target_of(url, "/p") == expected


def test_circles_are_found_once() -> None:
    ring = [redirect("a", "/a", "/b"), redirect("b", "/b", "/c/"), redirect("c", "/c", "/a?x")]
    tail = redirect("t", "/t", "/b")
    assert list(circles([tail, *ring])) == [("b", "c", "a")]
    assert list(circles([redirect("a", "/a", "/b"), redirect("b", "/b", "/d")])) == []
    there, back = (
        redirect("x", "/x", "https://b.example/y", site="a.example"),
        redirect("y", "/y", "/x", site="b.example"),
    )
    assert list(circles([there, back])) == []
    assert list(circles([redirect("a", "/a", "https://b.example/a")])) == []
    home = redirect("y", "/y", "https://a.example/x", site="b.example")
    assert list(circles([there, home])) == [("x", "y")]
    assert list(circles([there, redirect("y", "/y", "https://a.example/x")])) == [("x", "y")]
