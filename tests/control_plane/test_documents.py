"""What all kinds of documents but mutations have in common."""

from typing import Any

import pytest

from control_plane.documents import Documents, checked_limit, decode_cursor, encode_cursor
from control_plane.refusals import Refusal, Refused
from tests.control_plane.plane import Plane, headline

EXAMPLES: dict[str, dict[str, Any]] = {
    "experiments": {"id": "one", "variations": [{"key": "a"}, {"key": "b"}]},
    "modules": {"id": "one", "selector": "h1"},
    "segments": {"id": "one", "conditions": {"language": "de"}},
    "attributes": {"id": "one", "kind": "derived", "otherwise": "calm"},
    "saved-groups": {"id": "one", "members": ["a", 2]},
    "toggles": {"id": "one", "layer": "page", "isActive": False},
}
PUBLISHERS = {"attributes"}
"""Kinds that always take the role."""


@pytest.mark.parametrize("kind", list(EXAMPLES))
async def test_a_life(plane: Plane, kind: str) -> None:
    made = await plane.ask("POST", kind, EXAMPLES[kind], role="publisher" if kind in PUBLISHERS else "editor")
    assert (made.status, made.headers["etag"]) == (201, '"1"')
    assert (await plane.ask("POST", kind, EXAMPLES[kind])).status == 409
    put = await plane.ask("PUT", f"{kind}/one", {**EXAMPLES[kind], "name": "One"}, headers={"If-Match": '"1"'})
    assert (put.status, put.headers["etag"]) == (200, '"2"')
    assert (await plane.ask("PATCH", f"{kind}/one", {"name": "Uno"}, headers={"If-Match": '"1"'})).status == 412
    assert (await plane.ask("PUT", f"{kind}/two", EXAMPLES[kind])).json()["errors"][0]["path"] == "$.id"
    assert (await plane.ask("PUT", f"{kind}/two", {**EXAMPLES[kind], "id": "two"})).status == 404
    listed = (await plane.ask("GET", kind)).json()["items"]
    assert [one["name"] for one in listed] == ["One"]
    service: Documents[Any] = getattr(plane.services, kind.replace("-", "_"))
    assert await service.names() == [("one", "One")]
    gone = await plane.ask("DELETE", f"{kind}/one?reason=done")
    assert gone.status == 200
    assert await service.names() == []
    assert (await plane.ask("GET", f"{kind}/one")).status == 404
    history = (await plane.ask("GET", f"{kind}/one/versions")).json()["items"]
    assert [(one["version"], one["action"]) for one in history] == [(3, "deleted"), (2, "updated"), (1, "created")]
    again = await plane.ask("POST", kind, EXAMPLES[kind])
    assert (again.status, again.headers["etag"]) == (201, '"4"')


async def test_what_a_mutation_needs_is_not_deleted_nor_broken(plane: Plane) -> None:
    await plane.ask("POST", "segments", EXAMPLES["segments"])
    await plane.create(headline(id="m", trigger={"on": "segment", "segment": "one"}))
    refused = await plane.ask("DELETE", "segments/one")
    assert (refused.status, refused.json()["type"].rpartition(":")[2]) == (409, "in_use")
    assert refused.json()["detail"] == "the mutation m needs this segment; change or archive it first"
    await plane.ask("DELETE", "mutations/m")
    assert (await plane.ask("DELETE", "segments/one")).status == 200


async def test_a_change_that_would_break_a_served_mutation_is_refused(plane: Plane) -> None:
    await plane.ask("POST", "experiments", EXAMPLES["experiments"])
    payload = {"experimentId": "one", "variations": {"a": {}, "b": {}}}
    made = await plane.ask("POST", "mutations", {"id": "m", "mutationType": "variant", "mutationPayload": payload})
    assert made.status == 201
    answer = await plane.ask("PATCH", "experiments/one", {"variations": [{"key": "x"}, {"key": "y"}]})
    assert (answer.status, answer.json()["type"].rpartition(":")[2]) == (409, "in_use")
    assert "the mutation m would no longer be usable" in answer.json()["detail"]


async def test_a_bad_document_is_refused_at_its_own_path(plane: Plane) -> None:
    answer = await plane.ask("POST", "segments", {"id": "one", "conditions": {"a": {"$no": 1}}})
    assert answer.status == 422
    assert answer.json()["errors"][0]["path"].startswith("$.conditions")
    answer = await plane.ask("POST", "modules", {"id": "one", "selector": "h1["})
    assert answer.json()["errors"][0]["path"].startswith("$.selector")


def test_cursors_come_back_as_they_went() -> None:
    assert [decode_cursor(encode_cursor(number)) for number in (0, 1, 2**40)] == [0, 1, 2**40]
    assert decode_cursor(None) is None
    for wrong in ("", "x", "////////////", encode_cursor(1) + "A", "é"):
        with pytest.raises(Refused) as caught:
            decode_cursor(wrong)
        assert caught.value.refusal is Refusal.BAD_CURSOR


def test_a_list_has_a_length_within_reason() -> None:
    assert checked_limit(200) == 200
    for wrong in (0, -1, 201):
        with pytest.raises(Refused):
            checked_limit(wrong)
