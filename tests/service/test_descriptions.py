"""A visit that is described: what follows from it, and what its page says."""

from typing import Any

from rules.context import Context
from rules.decision import decide
from service.descriptions import described
from tests.rules.making import NOW, removing, table

PAGE = b'<meta name="layout-mutation:emotion" content="joy"><p>x'


def visit(**attributes: Any) -> Context:
    return Context(site="shop.example", path="/a", now=NOW, attributes=attributes)


def test_what_rules_read_follows_from_what_is_given() -> None:
    rules = table(removing("a", conditions={"device": "bot", "campaign.source": "news", "slug": "a"}))
    given = {"userAgent": "Googlebot/2.1", "url": "https://shop.example/a?utm_source=news", "path": "/a"}
    assert decide(rules, described(visit(**given), rules)).applies
    assert not decide(rules, described(visit(**given | {"device": "tv"}), rules)).applies
    assert "hour" not in described(visit(**given), rules).attributes


def test_a_visit_of_a_page_whose_rules_read_nothing_stays_as_it_is() -> None:
    given = visit(userAgent="x")
    assert described(given, table(removing("a")), page=PAGE) is given


def test_the_page_is_read_where_rules_ask_and_nobody_has_said() -> None:
    rules = table(removing("a", conditions={"page.emotion": "joy"}))
    assert described(visit(), rules, page=PAGE).attributes == {"page": {"emotion": "joy"}}
    header = ('{"emotion": "awe"}',)
    assert described(visit(), rules, page=PAGE, header=header).attributes == {"page": {"emotion": "awe"}}
    assert described(visit(page={"a": 1}), rules, page=PAGE).attributes == {"page": {"a": 1}}
    assert described(visit(), rules, page=b"<p>").attributes == {}
    assert described(visit(), rules).attributes == {}
