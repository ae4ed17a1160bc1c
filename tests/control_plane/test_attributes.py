"""What is particular about attributes, saved groups and toggles: when they go to visitors, and what then must fit."""

from datetime import UTC, datetime

from redis.asyncio import Redis

from control_plane import codec
from control_plane.schema import address
from control_plane.settings import ControlPlaneSettings
from control_plane.store import Kind, StoredVersion
from control_plane.store.postgres import PostgresStore
from rules.model import Derived
from service.keys import Keys
from tests.control_plane.plane import CHAIN, Answer, Plane, headline
from tests.control_plane.test_publishing import table_in

STAFF = {"id": "staff", "members": ["ada"]}
PURCHASE = {
    "kind": "journey",
    "id": "purchase",
    "steps": [{"id": "basket", "pageSlug": "/basket"}, {"id": "paid", "pageSlug": "/thanks"}],
}


def word(answer: Answer) -> str:
    """What kind of problem it is."""
    return str(answer.json()["type"].rpartition(":")[2])


async def test_an_attribute_goes_to_visitors_at_once_and_takes_who_may_publish(
    plane: Plane, redis: Redis, keys: Keys, settings: ControlPlaneSettings
) -> None:
    refused = await plane.ask("POST", "attributes", PURCHASE, role="editor")
    assert (refused.status, word(refused)) == (403, "may_not_publish")
    made = await plane.ask("POST", "attributes", PURCHASE, role="publisher")
    assert (made.status, made.json()["publication"]["tableVersion"]) == (201, 2)
    assert [one.id for one in (await table_in(redis, keys, settings)).rules.attributes] == ["purchase"]
    entry = (await plane.ask("GET", "audit?kind=attribute")).json()["items"][0]
    assert (entry["action"], entry["subject"], entry["tableVersion"]) == ("created", "purchase", 2)


async def test_a_saved_group_goes_to_visitors_where_it_is_named(
    plane: Plane, redis: Redis, keys: Keys, settings: ControlPlaneSettings
) -> None:
    made = await plane.ask("POST", "saved-groups", STAFF, role="editor")
    assert (made.status, made.json()["publication"]["reason"]) == (201, "unchanged")
    segment = {"id": "colleagues", "conditions": {"account": {"$inGroup": "staff"}}}
    assert (await plane.ask("POST", "segments", segment, role="editor")).status == 201
    await plane.create(id="m", trigger={"on": "segment", "segment": "colleagues"})
    assert [one.id for one in (await table_in(redis, keys, settings)).rules.saved_groups] == ["staff"]
    refused = await plane.ask("PATCH", "saved-groups/staff", {"members": ["ada", "bob"]}, role="editor")
    assert word(refused) == "may_not_publish"
    changed = await plane.ask("PATCH", "saved-groups/staff", {"members": ["ada", "bob"]}, role="publisher")
    assert changed.json()["publication"] == {"published": True, "tableVersion": 3, "reason": ""}
    refused = await plane.ask("DELETE", "saved-groups/staff")
    assert (word(refused), refused.json()["detail"]) == (
        "in_use",
        "the segment colleagues needs this saved group; change or delete it first",
    )


async def test_a_toggle_is_prepared_by_writers_and_switched_by_publishers(
    plane: Plane, redis: Redis, keys: Keys, settings: ControlPlaneSettings
) -> None:
    await plane.create(id="m")
    toggle = {"id": "no-m", "mutationId": "m", "isActive": False, "note": "In case the shop breaks."}
    made = await plane.ask("POST", "toggles", toggle, role="editor")
    assert (made.status, made.json()["publication"]["reason"]) == (201, "unchanged")
    refused = await plane.ask("PATCH", "toggles/no-m", {"isActive": True}, role="editor")
    assert (refused.status, word(refused)) == (403, "may_not_publish")
    await plane.ask("PATCH", "toggles/no-m", {"isActive": True}, role="publisher")
    assert [one.id for one in (await table_in(redis, keys, settings)).rules.toggles] == ["no-m"]
    assert (await plane.ask("DELETE", "toggles/no-m", role="publisher")).status == 200
    assert (await table_in(redis, keys, settings)).rules.toggles == []


async def test_a_step_that_a_live_trigger_names_stays(plane: Plane) -> None:
    await plane.ask("POST", "attributes", PURCHASE)
    await plane.create(id="m", trigger={"on": "journey", "journey": "purchase", "step": "paid"})
    fewer = {**PURCHASE, "steps": [{"id": "basket", "pageSlug": "/basket"}]}
    refused = await plane.ask("PUT", "attributes/purchase", fewer)
    assert (refused.status, word(refused)) == (409, "in_use")
    assert "the mutation m would no longer be usable: there is no step 'paid'" in refused.json()["detail"]
    renamed = {**PURCHASE, "steps": [{"id": "cart", "pageSlug": "/cart"}, PURCHASE["steps"][1]]}
    assert (await plane.ask("PUT", "attributes/purchase", renamed)).status == 200, "what nothing names is free"
    refused = await plane.ask("DELETE", "attributes/purchase")
    assert refused.json()["detail"] == "the mutation m needs this attribute; change or archive it first"


async def test_an_attribute_is_checked_among_the_others(plane: Plane) -> None:
    def derived(name: str, reads: str) -> dict[str, object]:
        cases = [{"value": "x", "conditions": {reads: "x"}}]
        return {"kind": "derived", "id": name, "cases": cases}

    assert (await plane.ask("POST", "attributes", derived("one", "two"))).status == 201
    refused = await plane.ask("POST", "attributes", derived("two", "one"))
    assert (refused.status, refused.json()["errors"][0]["path"]) == (422, "$")
    assert "in a circle" in refused.json()["detail"]
    refused = await plane.ask("POST", "attributes", derived("path", "one"))
    assert refused.json()["errors"][0]["path"] == "$.id"
    cases = [{"value": "x", "conditions": {"account": {"$inGroup": "nobody"}}}]
    refused = await plane.ask("POST", "attributes", {"kind": "derived", "id": "three", "cases": cases})
    assert refused.json()["errors"][0]["path"].startswith("$.cases[0].conditions")
    condition = {"account": {"$inGroup": "nobody"}}
    refused = await plane.ask("POST", "attributes", {"kind": "counter", "id": "views", "conditions": condition})
    assert refused.json()["errors"][0]["path"].startswith("$.conditions")
    steps = [{"id": "basket", "pageSlug": "/basket", "conditions": condition}]
    refused = await plane.ask("POST", "attributes", {"kind": "journey", "id": "way", "steps": steps})
    assert refused.json()["errors"][0]["path"].startswith("$.steps[0].conditions")


async def test_preview_knows_them(plane: Plane) -> None:
    await plane.ask("POST", "saved-groups", STAFF)
    mood = {
        "kind": "derived",
        "id": "mood",
        "cases": [{"value": "ours", "conditions": {"account": {"$inGroup": "staff"}}}],
    }
    await plane.ask("POST", "attributes", mood)
    await plane.create(headline("Hello", conditions={"mood": "ours"}))
    page = {"url": "/", "html": "<h1>Old</h1>", "context": {"attributes": {"account": "ada"}}}
    assert (await plane.ask("POST", "apply", page)).json()["html"] == "<h1>Hello</h1>"


async def test_an_attribute_whose_name_is_taken_meanwhile_is_named_and_can_be_deleted(plane: Plane) -> None:
    await plane.create(headline(id="m"))
    store = PostgresStore(address.parse(plane.services.settings.database_url), connections_max=1, chain=CHAIN)
    await store.open()
    content = codec.encode(Derived(id="language", otherwise="x"))
    saved = StoredVersion(version=1, content=content, action="created", actor="me", reason="", at=datetime.now(UTC))
    async with store.transaction() as transaction:
        await transaction.put(Kind.ATTRIBUTE, "language", saved)
    await store.close()
    for kind, document in (("mutations", headline(id="n")), ("segments", {"id": "s", "conditions": {}})):
        refused = await plane.ask("POST", kind, document)
        assert (refused.status, refused.json()["errors"][0]["path"]) == (422, "$")
        assert "the attribute language: there is an attribute 'language' already" in refused.json()["detail"]
    assert (await plane.ask("DELETE", "attributes/language")).status == 200
    assert (await plane.ask("POST", "mutations", headline(id="n"))).status == 201
