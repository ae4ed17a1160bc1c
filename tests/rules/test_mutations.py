"""What a mutation refuses when it is written: fields that contradict each other."""

import msgspec
import pytest

from rules.errors import RulesError
from rules.model import decode_mutation
from tests.rules.making import removing

CLIENT = {"on": "client", "when": {"event": "exitIntent"}}


@pytest.mark.parametrize("delivery", ["edge", "guarded"])
def test_what_only_the_browser_knows_of_is_not_done_by_the_edge(delivery: str) -> None:
    decode_mutation(msgspec.json.encode(removing("a", trigger=CLIENT, delivery="client")))
    with pytest.raises(RulesError, match="a `client` trigger needs `delivery: client`"):
        decode_mutation(msgspec.json.encode(removing("a", trigger=CLIENT, delivery=delivery)))


@pytest.mark.parametrize(
    ("when", "path"),
    [
        ({"event": "scrollDepth", "percent": 0}, "$.trigger.when.percent"),
        ({"event": "idle", "seconds": 3601}, "$.trigger.when.seconds"),
        ({"event": "customEvent", "name": "no spaces"}, "$.trigger.when.name"),
        ({"event": "visible"}, "$.trigger.when"),
        ({"event": "hover"}, "$.trigger.when.event"),
    ],
)
def test_an_event_has_bounds(when: dict[str, object], path: str) -> None:
    with pytest.raises(RulesError) as caught:
        decode_mutation(msgspec.json.encode(removing("a", trigger={"on": "client", "when": when})))
    assert caught.value.path == path


@pytest.mark.parametrize("fields", [{"trigger": CLIENT}, {"delivery": "client"}, {"delivery": "guarded"}])
def test_a_redirect_is_no_browsers_business(fields: dict[str, object]) -> None:
    redirect = {"id": "r", "mutationType": "redirect", "mutationPayload": {"to": "/new"}}
    decode_mutation(msgspec.json.encode({**redirect, "delivery": "edge"}))
    with pytest.raises(RulesError, match="a redirect is answered by the edge"):
        decode_mutation(msgspec.json.encode({**redirect, **fields}))
