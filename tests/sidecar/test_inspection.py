"""What a worker answers about itself."""

from sidecar.inspection import Inspection
from sidecar.kill_switch import KillSwitch
from sidecar.rewriting.quarantine import Held, HeldMutation, Why
from sidecar.telemetry import Telemetry
from tests.sidecar.wire import NOON, FixedTable, InlineRewriter, guarding, headline, table, telling, unverified


def inspection(source: FixedTable) -> Inspection:
    verification = unverified(source)
    parts = (InlineRewriter(), Telemetry(), verification, telling(), KillSwitch(""))
    upstream: dict[str, object] = {"sites": [], "origins": []}
    return Inspection(source, *parts, lambda: NOON, lambda: upstream, guard=guarding(source, verification))


def test_without_a_table() -> None:
    empty = inspection(FixedTable())
    assert empty.status()["table"] == {"version": None, "state": "none"}
    assert empty.mutations() == []
    assert empty.explain("https://a/", {})["reason"] == "no_table"


def test_the_mutations_in_force_without_what_they_write() -> None:
    [mutation] = inspection(FixedTable(table(headline()))).mutations()
    assert (mutation["id"], mutation["mutationType"], mutation["isActive"]) == ("headline", "set", True)
    assert "mutationPayload" not in mutation


def test_why_an_address_gets_what_it_gets() -> None:
    source = FixedTable(table(headline(conditions={"mobile": True}, pageSlug="/a")))
    explained = inspection(source).explain("https://shop.example/a", {"mobile": False})
    assert explained["applies"] == []
    assert explained["private"] is True
    assert [(outcome["mutationId"], outcome["reason"]) for outcome in explained["outcomes"]] == [
        ("headline", "conditions")
    ]
    assert inspection(source).explain("https://shop.example/a", {"mobile": True})["applies"] == ["headline"]
    assert inspection(source).explain("https://shop.example/b", {"mobile": True})["outcomes"] == []


def test_a_redirect_is_told() -> None:
    mutation = {"id": "r", "mutationType": "redirect", "mutationPayload": {"to": "/b", "status": 301}}
    explained = inspection(FixedTable(table(mutation))).explain("https://shop.example/a", {})
    assert explained["redirect"] == {"mutationId": "r", "location": "/b", "status": 301, "lasts": True}
    assert inspection(FixedTable(table(mutation))).explain("https://shop.example/b", {})["redirect"] is None


def of_version(version: int) -> Held:
    return Held((HeldMutation("headline", version, Why.DIFFERS, 1, 600.0),))


async def test_what_is_in_quarantine_here_is_said() -> None:
    """Another worker's second opinion differed: this one holds the mutation too, in the version that was judged."""
    source = FixedTable(table(headline(version=3)))
    inspected = inspection(source)
    inspected.hold(of_version(2))
    assert [mutation["quarantined"] for mutation in inspected.mutations()] == [False]
    inspected.hold(of_version(3))
    assert [mutation["quarantined"] for mutation in inspected.mutations()] == [True]
    explained = inspected.explain("https://shop.example/", {})
    assert (explained["applies"], explained["outcomes"][0]["reason"]) == ([], "quarantined")
    assert inspected.status()["verification"]["waiting"] == 0  # type: ignore[index]


def test_attributes_that_follow_from_what_is_given_are_made() -> None:
    source = FixedTable(table(headline(conditions={"device": "bot", "query.a": "b", "slug": "tea"})))
    explained = inspection(source).explain("https://shop.example/tea?a=b", {"userAgent": "Googlebot/2.1"})
    assert explained["applies"] == ["headline"]
    assert inspection(source).explain("https://shop.example/tea?a=b", {"userAgent": "curl/8"})["applies"] == []
