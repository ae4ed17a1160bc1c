"""The rules of one version: which of them are for a page, and what they read."""

import pytest

from rules.rows import Row
from rules.sealing import seal, unseal
from rules.table import DecisionTable, Stamp, compiled
from tests.rules.making import NOW, removing, table


def candidates(found: DecisionTable, path: str) -> list[str]:
    rows = found.candidates("shop.example", path)
    return [row.mutation.id for row in rows if isinstance(row, Row)]


def test_equal_rules_have_equal_digests() -> None:
    first, second = table(removing("m")), table(removing("m"), version=2)
    assert first.digest == second.digest != table(removing("n")).digest
    assert len(first.digest) == 64
    assert first != second
    assert hash(first) == hash(second)
    assert "version=1" in repr(first)


def test_candidates_are_those_of_the_page_in_order() -> None:
    found = table(
        removing("blog", pageSlug="/blog/**"),
        removing("any", priority=1),
        removing("home", pageSlug="/"),
        removing("star", pageSlug="/*/x", priority=-1),
        removing("elsewhere", pageSlug="/", site="other.example"),
    )
    assert candidates(found, "/blog/x") == ["blog", "star", "any"]
    assert candidates(found, "/blog/a") == ["blog", "any"]
    assert candidates(found, "/") == ["home", "any"]
    assert candidates(found, "/other") == ["any"]


def test_what_a_page_reads_is_known_without_a_visit() -> None:
    made = table(
        removing("everywhere", conditions={"country": "DE", "query.from": "news"}),
        removing("later", pageSlug="/a", conditions={"language": "de"}, schedule={"startsAt": "2030-01-01T00:00:00Z"}),
        removing("off", pageSlug="/a", conditions={"mobile": True}, isActive=False),
        removing("elsewhere", pageSlug="/b", conditions={"referrer": "x"}),
        removing("switched", pageSlug="/a", moduleId="m", conditions={"userAgent": "x"}),
        modules=[{"id": "m", "isActive": False}],
    )
    assert made.reads("shop.example", "/a") == {"country", "query", "language"}
    assert made.reads("shop.example", "/c") == {"country", "query"}
    assert table().reads("shop.example", "/a") == frozenset()


def test_rules_of_a_page_are_found_once_and_whatever_was_asked_between() -> None:
    made = table(removing("a", pageSlug="/a/*", conditions={"country": "DE"}), removing("b", pageSlug="/b"))
    first = made.candidates("shop.example", "/a/1")
    assert made.candidates("shop.example", "/a/2") is first
    assert candidates(made, "/b") == ["b"]
    assert made.candidates("other.example", "/a/1") is first
    own = table(removing("own", site="shop.example"), removing("other", site="other.example"))
    assert candidates(own, "/") == ["own"]
    assert [row.mutation.id for row in own.rows if row in own.candidates("other.example", "/")] == ["other"]
    assert candidates(made, "") == []
    assert candidates(table(removing("any")), "") == ["any"]


def test_what_must_be_known_of_a_visit_is_also_what_is_remembered() -> None:
    counter = {"kind": "counter", "id": "looks", "pageSlug": "/a", "conditions": {"device": "tv"}}
    made = table(removing("m", conditions={"looks": {"$gt": 1}, "language": "de"}), attributes=[counter])
    assert made.asks("shop.example", "/a") == {"looks", "language", "device"}
    assert made.asks("shop.example", "/b") == made.reads("shop.example", "/b") == {"looks", "language"}
    first = table(removing("m", conditions={"firstReferral.source": "news"}))
    assert first.asks("shop.example", "/") == {"firstReferral", "referrer", "campaign"}


def test_what_is_known_of_pages_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rules.table._PAGES_MAX", 2)
    made = table(*(removing(name, pageSlug=f"/{name}") for name in "abc"))
    for path in ("/a", "/b", "/a", "/c", "/a", "/b"):
        assert candidates(made, path) == [path[1:]]
        assert len(made._pages) <= 2
    first, second = made.candidates("shop.example", "/a"), made.candidates("shop.example", "/b")
    assert made.candidates("shop.example", "/a") is first, "two are known"
    assert made.candidates("shop.example", "/b") is second


def test_a_table_late_or_early_says_what_it_was_written_of() -> None:
    modules = [{"id": "hero", "selector": "h1"}]
    early = table(removing("b"), removing("a"), modules=modules)
    checked = compiled(early.rules, Stamp(1, NOW, "this engine"))
    data = seal(checked, key_id="key", sign=lambda _: b"s")
    late = unseal(data, verify=lambda *_: True, engine="this engine")
    assert late.order == early.order == [1, 0]
    assert late.others == early.others
    assert [module.id for module in late.others.modules] == ["hero"]
    assert late.others.mutations == []
    assert late.pieces is not None
    assert early.pieces is None
    assert late.digest is late.digest
    assert early.digest is early.digest
    assert early.versions() is early.versions()
