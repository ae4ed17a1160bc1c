"""A mutation's life over HTTP: written, listed, changed, switched, rolled back, archived."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from control_plane.mutations import Filters, new_id
from rules.model import Status
from tests.control_plane.plane import Plane, headline
from tests.servers import execute


def test_a_new_id_is_a_uuid_of_version_7_and_grows() -> None:
    ids = [new_id() for _ in range(100)]
    assert {UUID(one).version for one in ids} == {7}
    assert ids == sorted(ids)


def test_filters_hide_what_is_archived_unless_asked() -> None:
    assert Filters().as_conditions() == {"not_status": "archived"}
    assert Filters(include_archived=True).as_conditions() == {}
    assert Filters(status=Status.ARCHIVED, active=False).as_conditions() == {"status": "archived", "active": False}


async def test_a_mutation_without_an_id_gets_one_and_the_server_fills_in_its_own_fields(plane: Plane) -> None:
    before = datetime.now(UTC)
    sent = headline(version=77, createdBy="somebody else", timestamp="1999-01-01T00:00:00Z", rollbackPointer=4)
    answer = await plane.ask("POST", "mutations", sent)
    made = answer.json()
    assert answer.status == 201
    assert UUID(made["id"]).version == 7
    assert answer.headers["location"].endswith(f"/mutations/{made['id']}")
    assert answer.headers["etag"] == '"1"'
    assert (made["version"], made["createdBy"], made["rollbackPointer"]) == (1, "the admin", None)
    assert datetime.fromisoformat(made["timestamp"]) >= before
    assert made["publication"] == {"published": True, "tableVersion": 2, "reason": ""}


async def test_what_was_answered_can_be_sent_back(plane: Plane) -> None:
    made = await plane.create(id="welcome")
    answer = await plane.ask("PUT", "mutations/welcome", {**made, "name": "Welcome"})
    assert answer.status == 200
    assert (answer.json()["name"], answer.json()["version"], answer.json()["rollbackPointer"]) == ("Welcome", 2, 1)
    read = await plane.ask("GET", "mutations/welcome")
    assert read.json() == {key: value for key, value in answer.json().items() if key != "publication"}


async def test_an_id_is_taken_once(plane: Plane) -> None:
    await plane.create(id="welcome")
    answer = await plane.ask("POST", "mutations", headline("Another", id="welcome"))
    assert (answer.status, answer.json()["type"]) == (409, "urn:layout-mutation:problem:already_exists")


async def test_a_merge_patch_changes_what_it_names(plane: Plane) -> None:
    await plane.create(id="welcome", note="old", priority=3)
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = await plane.ask("PATCH", "mutations/welcome", {"note": None, "priority": 5}, headers=headers)
    assert (answer.json()["note"], answer.json()["priority"], answer.json()["version"]) == ("", 5, 2)


async def test_patches_at_the_same_time_do_not_lose_each_other(plane: Plane) -> None:
    await plane.create(id="welcome", isActive=False)
    patches = [{"name": "N"}, {"note": "T"}, {"priority": 9}, {"pageSlug": "/x"}]
    await asyncio.gather(*(plane.ask("PATCH", "mutations/welcome", patch) for patch in patches))
    made = (await plane.ask("GET", "mutations/welcome")).json()
    assert made["version"] == 5
    assert [made["name"], made["note"], made["priority"], made["pageSlug"]] == ["N", "T", 9, "/x"]


async def test_a_version_that_somebody_else_saved_over_is_refused(plane: Plane) -> None:
    made = await plane.create(id="welcome", isActive=False)
    mine, theirs = {**made, "name": "mine"}, {**made, "name": "theirs"}
    answers = await asyncio.gather(
        *(plane.ask("PUT", "mutations/welcome", one, headers={"If-Match": '"1"'}) for one in (mine, theirs))
    )
    assert sorted(answer.status for answer in answers) == [200, 412]
    assert "read it again" in next(answer for answer in answers if answer.status == 412).json()["detail"]
    assert (await plane.ask("GET", "mutations/welcome")).json()["version"] == 2


async def test_the_entity_tag_spares_a_reader_the_body(plane: Plane) -> None:
    await plane.create(id="welcome")
    answer = await plane.ask("GET", "mutations/welcome", headers={"If-None-Match": '"1"'})
    assert (answer.status, answer.body) == (304, b"")


async def test_switching_off_and_on(plane: Plane) -> None:
    await plane.create(id="welcome")
    off = (await plane.ask("POST", "mutations/welcome/deactivate", {"reason": "too loud"})).json()
    assert (off["isActive"], off["status"], off["version"]) == (False, "paused", 2)
    again = (await plane.ask("POST", "mutations/welcome/deactivate")).json()
    assert again["version"] == 2, "what is off already gets no new version"
    on = (await plane.ask("POST", "mutations/welcome/activate")).json()
    assert (on["isActive"], on["status"], on["version"]) == (True, "active", 3)
    assert on["publication"]["published"]


async def test_rolling_back_makes_a_new_version_of_the_old_content(plane: Plane) -> None:
    await plane.create(id="welcome")
    await plane.ask("PUT", "mutations/welcome", headline("Newer", isActive=True))
    refused = await plane.ask("POST", "mutations/welcome/rollback", {"version": 1, "reason": "  "})
    assert (refused.status, refused.json()["errors"][0]["path"]) == (422, "$.reason")
    back = (await plane.ask("POST", "mutations/welcome/rollback", {"version": 1, "reason": "sales fell"})).json()
    assert (back["version"], back["rollbackPointer"]) == (3, 2)
    assert back["mutationPayload"]["operations"][0]["content"]["text"] == "New"
    versions = (await plane.ask("GET", "mutations/welcome/versions")).json()["items"]
    assert [(one["version"], one["action"], one["reason"]) for one in versions] == [
        (3, "rolled_back", "sales fell"),
        (2, "updated", ""),
        (1, "created", ""),
    ]
    missing = await plane.ask("POST", "mutations/welcome/rollback", {"version": 9, "reason": "r"})
    assert missing.status == 404
    one = (await plane.ask("GET", "mutations/welcome/versions/2")).json()
    assert one["document"]["mutationPayload"]["operations"][0]["content"]["text"] == "Newer"


async def test_a_reason_may_come_by_header_or_in_the_address(plane: Plane) -> None:
    await plane.create(id="welcome")
    first = await plane.ask("POST", "mutations/welcome/rollback", {"version": 1}, headers={"X-Reason": "Grüße"})
    second = await plane.ask("POST", "mutations/welcome/rollback?reason=why%20not", {"version": 1})
    assert (first.status, second.status) == (200, 200)
    versions = (await plane.ask("GET", "mutations/welcome/versions")).json()["items"]
    assert [one["reason"] for one in versions] == ["why not", "Grüße", ""]


async def test_an_archived_mutation_stays_readable_and_off(plane: Plane) -> None:
    await plane.create(id="welcome")
    gone = (await plane.ask("DELETE", "mutations/welcome")).json()
    assert (gone["status"], gone["isActive"]) == ("archived", False)
    assert (await plane.ask("GET", "mutations")).json()["items"] == []
    assert len((await plane.ask("GET", "mutations?includeArchived=true")).json()["items"]) == 1
    refused = await plane.ask("POST", "mutations/welcome/activate")
    assert (refused.status, refused.json()["type"].rpartition(":")[2]) == (409, "archived")
    back = await plane.ask("POST", "mutations/welcome/rollback", {"version": 1, "reason": "missed it"})
    assert back.json()["isActive"]


async def test_lists_are_filtered_and_turned_page_by_page(plane: Plane) -> None:
    for number in range(7):
        await plane.create(id=f"m{number}", isActive=number % 2 == 0, site="shop.example", name=f"Offer {number}%")
    await plane.create(id="other", site="blog.example", moduleId="hero")
    seen: list[str] = []
    path = "mutations?site=shop.example&limit=3"
    while path:
        page = (await plane.ask("GET", path)).json()
        seen += [one["id"] for one in page["items"]]
        path = f"mutations?site=shop.example&limit=3&cursor={page['nextCursor']}" if page["nextCursor"] else ""
    assert seen == [f"m{number}" for number in reversed(range(7))]

    async def ids(query: str) -> list[str]:
        return [one["id"] for one in (await plane.ask("GET", f"mutations?{query}")).json()["items"]]

    assert await ids("active=false") == ["m5", "m3", "m1"]
    assert await ids("moduleId=hero") == ["other"]
    assert await ids("text=OFFER%203") == ["m3"]
    assert await ids("text=%25&limit=2") == ["m6", "m5"], "a percent sign is a character, not a pattern"
    assert await ids("mutationType=hide") == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("mutation", "path", "words"),
    [
        (headline(site=""), "$.site", ""),
        (headline(colour="red"), "$", "colour"),
        (headline(conditions={"locale": {"$roughly": "de"}}), "$.conditions", "$roughly"),
        (headline(trigger={"on": "segment", "segment": "nobody"}), "$.trigger.segment", "nobody"),
        (headline(note="a\x00b"), "$.note", "U+0000"),
        ({"mutationType": "hide", "mutationPayload": {"target": {"selector": "h1["}}}, "$.mutationPayload.target", ""),
        ({"mutationType": "fly", "mutationPayload": {}}, "$", "hide"),
    ],
)
async def test_a_bad_mutation_dies_when_it_is_written(
    refusing: Plane, mutation: dict[str, Any], path: str, words: str
) -> None:
    answer = await refusing.ask("POST", "mutations", {"id": "bad", **mutation})
    assert answer.status == 422
    problem = answer.json()["errors"][0]
    assert problem["path"].startswith(path)
    assert words in problem["problem"]
    assert (await refusing.ask("GET", "mutations/bad")).status == 404


async def test_a_draft_is_checked_without_being_saved(plane: Plane) -> None:
    from rules.errors import RulesError
    from rules.model import decode_mutation

    with pytest.raises(RulesError, match="nobody"):
        await plane.services.mutations.check(
            decode_mutation(
                b'{"id":"a","mutationType":"hide","mutationPayload":{"target":{"selector":"p"}},'
                b'"trigger":{"on":"segment","segment":"nobody"}}'
            )
        )


async def test_the_order_of_variations_survives_the_database(plane: Plane) -> None:
    variations = [{"key": "the-control"}, {"key": "b"}, {"key": "aa"}]
    await plane.ask("POST", "experiments", {"id": "headline", "variations": variations})
    operations = headline()["mutationPayload"]["operations"]
    payload = {
        "experimentId": "headline",
        "variations": {"the-control": {}, "b": {"operations": operations}, "aa": {"operations": operations}},
    }
    made = await plane.create({"id": "test", "mutationType": "variant", "mutationPayload": payload})
    assert list(made["mutationPayload"]["variations"]) == ["the-control", "b", "aa"]
    assert made["publication"]["published"]
    paused = await plane.ask("POST", "mutations/test/deactivate")
    again = await plane.ask("POST", "mutations/test/activate")
    assert (paused.json()["status"], again.json()["status"]) == ("paused", "experimental")


async def test_an_author_is_told_what_a_mutation_costs_caches(plane: Plane) -> None:
    made = await plane.create(
        headline("New", id="m", isActive=True, status="active", pageSlug="/offers", conditions={"returning": True})
    )
    cost = "reads `returning`: no shared cache keeps /offers, whoever comes, changed or not"
    assert made["caching"] == cost
    off = await plane.ask("POST", "mutations/m/deactivate", {"reason": "stop"})
    assert "caching" not in off.json()
    assert "caching" not in (await plane.ask("GET", "mutations/m")).json()
    on = await plane.ask("POST", "mutations/m/activate", {"reason": "again"})
    assert on.json()["caching"] == cost
    assert "caching" not in await plane.create(headline("New", id="n", isActive=True, status="active"))
    sent_back = await plane.ask("PUT", "mutations/m", made | {"conditions": {}})
    assert (sent_back.status, "caching" in sent_back.json()) == (200, False)


async def test_a_draft_is_saved_without_a_look_at_what_visitors_get(plane: Plane, database_url: str) -> None:
    await plane.create(id="served")
    draft = headline(id="draft", isActive=False, status="draft")
    await plane.create(draft)
    broken = 'UPDATE layout_mutation.mutations SET content = \'{"id":"served","isActive":true,"status":"active"}\''
    await execute(database_url, f"{broken} WHERE id = 'served'")
    saved = await plane.ask("PUT", "mutations/draft", {**draft, "name": "Still a draft"})
    assert (saved.status, saved.json()["publication"]["reason"]) == (200, "unchanged")
    assert (await plane.ask("POST", "mutations/draft/activate")).status == 503, "that one has to look"


async def test_switching_on_and_off_reaches_visitors_each_time(plane: Plane) -> None:
    await plane.create(id="m", isActive=False, status="draft")
    answers = [await plane.ask("POST", f"mutations/m/{path}") for path in ("activate", "deactivate", "activate")]
    versions = [answer.json()["publication"]["tableVersion"] for answer in answers]
    assert versions == sorted(set(versions))
