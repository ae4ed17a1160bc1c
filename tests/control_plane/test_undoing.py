"""What was done is taken back, unless later changes stand in the way; and undoing is itself something that was done."""

from typing import Any

import pytest

from control_plane.undoing import ENTRIES_AT_A_TIME
from rules.model import SCHEMA_VERSION
from tests.control_plane.plane import Answer, Plane, headline
from tests.control_plane.test_documents import EXAMPLES


async def newest(plane: Plane, kind: str = "") -> Any:
    return (await plane.ask("GET", f"audit?limit=1{f'&kind={kind}' if kind else ''}")).json()["items"][0]


async def undo(
    plane: Plane, number: int, role: str = "admin", headers: dict[str, str] | None = None, **more: Any
) -> Answer:
    return await plane.ask("POST", f"audit/{number}/undo", {"reason": "a mistake", **more}, role=role, headers=headers)


def problem(answer: Answer) -> str:
    return str(answer.json()["type"].rpartition(":")[2])


@pytest.mark.parametrize("kind", list(EXAMPLES))
async def test_every_kind_is_created_changed_and_deleted_and_all_of_it_undone(plane: Plane, kind: str) -> None:
    noun = kind.removesuffix("s").replace("-", "_")
    await plane.ask("POST", kind, EXAMPLES[kind])
    first = (await plane.ask("GET", f"{kind}/one")).json()
    created = (await newest(plane, noun))["number"]
    await plane.ask("PATCH", f"{kind}/one", {"name": "One"})
    changed = (await newest(plane, noun))["number"]
    await plane.ask("DELETE", f"{kind}/one?reason=gone")
    deleted = (await newest(plane, noun))["number"]
    assert problem(await undo(plane, created)) == "changed_since"

    assert (await undo(plane, deleted)).status == 200
    assert (await plane.ask("GET", f"{kind}/one")).json()["name"] == "One"
    again = (await newest(plane, noun))["number"]
    assert (await undo(plane, again)).status == 200, "an undo is undone"
    assert (await plane.ask("GET", f"{kind}/one")).status == 404
    assert (await undo(plane, (await newest(plane, noun))["number"])).status == 200
    assert problem(await undo(plane, changed)) == "changed_since"
    back = await plane.ask("POST", f"{kind}/one/rollback", {"version": 1, "reason": "back"})
    assert back.status == 200
    now = {name: value for name, value in (await plane.ask("GET", f"{kind}/one")).json().items() if name != "version"}
    assert now == {name: value for name, value in first.items() if name != "version"}
    actions = [one["action"] for one in (await plane.ask("GET", f"audit?kind={noun}")).json()["items"]]
    assert actions == ["rolled_back", "undone", "undone", "undone", "deleted", "updated", "created"]


async def test_what_was_created_is_gone_and_a_mutation_archived(plane: Plane) -> None:
    await plane.ask("POST", "segments", EXAMPLES["segments"])
    done = await undo(plane, (await newest(plane, "segment"))["number"], role="publisher")
    assert done.json()["documents"] == [{"kind": "segment", "id": "one", "version": 2}]
    assert (await plane.ask("GET", "segments/one")).status == 404
    await plane.create(id="welcome")
    assert (await undo(plane, (await newest(plane, "mutation"))["number"])).json()["publication"]["published"]
    assert (await plane.ask("GET", "mutations/welcome")).json()["status"] == "archived"
    entry = await newest(plane, "mutation")
    assert (entry["action"], entry["reason"]) == ("undone", "undo of audit entry 4: a mistake")
    assert (await undo(plane, entry["number"])).status == 200
    assert (await plane.ask("GET", "mutations/welcome")).json()["isActive"]


async def test_a_whole_import_is_undone_at_once(plane: Plane) -> None:
    await plane.ask("POST", "modules", {"id": "hero", "selector": "h1"})
    count = ENTRIES_AT_A_TIME + 20
    segments = [{"id": f"s{n}", "conditions": {"language": "de"}} for n in range(count)]
    modules = [{"id": "hero", "selector": "h2"}]
    mutations = [headline(id="m", trigger={"on": "segment", "segment": "s30"}, moduleId="hero")]
    file = {"schemaVersion": SCHEMA_VERSION, "segments": segments, "modules": modules, "mutations": mutations}
    assert (await plane.ask("POST", "import", file)).status == 200
    entries = (await plane.ask("GET", "audit?kind=segment&limit=200")).json()["items"]
    middle = entries[len(entries) // 2]["number"]
    alone = next(one["number"] for one in entries if one["subject"] == "s30")
    assert problem(await undo(plane, alone)) == "in_use"
    outlook = (await plane.ask("GET", f"audit/{middle}/undo?changeset=true")).json()
    assert (outlook["together"], len(outlook["documents"]) + outlook["more"]) == (count + 2, count + 2)
    done = await undo(plane, middle, changeset=True)
    assert done.status == 200, done.body
    assert len(done.json()["documents"]) == count + 2
    assert (await plane.ask("GET", "segments")).json()["items"] == []
    assert (await plane.ask("GET", "modules/hero")).json()["selector"] == "h1"
    assert (await plane.ask("GET", "mutations/m")).json()["status"] == "archived"


async def test_what_stands_in_the_way_is_named(plane: Plane) -> None:
    await plane.ask("POST", "modules", EXAMPLES["modules"])
    number = (await newest(plane, "module"))["number"]
    await plane.ask("PATCH", "modules/one", {"name": "Mine"}, role="editor")
    refused = await undo(plane, number)
    assert (refused.status, problem(refused)) == (409, "changed_since")
    assert "the module one was updated by the editor since (version 2, " in refused.json()["detail"]
    assert problem(await undo(plane, 1)) == "nothing_to_undo"
    assert problem(await undo(plane, 999)) == "not_found"
    assert problem(await undo(plane, 0)) == "not_found"
    outlook = (await plane.ask("GET", f"audit/{number}/undo", role="viewer")).json()
    (document,) = outlook["documents"]
    assert (document["id"], document["present"], document["toVersion"], outlook["together"]) == ("one", 2, None, 1)
    assert "was updated by the editor since" in document["problem"]
    assert (await plane.ask("GET", "audit/1/undo")).json()["documents"] == []
    assert (await plane.ask("GET", "audit/999/undo")).status == 404
    assert problem(await undo(plane, number, reason="")) == "reason_required"
    assert (await undo(plane, number, role="editor")).status == 403


async def test_what_is_no_longer_usable_is_not_brought_back(plane: Plane) -> None:
    await plane.ask("POST", "segments", EXAMPLES["segments"])
    await plane.create(headline(id="m", trigger={"on": "segment", "segment": "one"}))
    await plane.ask("DELETE", "mutations/m")
    archived = (await newest(plane, "mutation"))["number"]
    await plane.ask("DELETE", "segments/one")
    refused = await undo(plane, archived)
    assert (refused.status, problem(refused)) == (422, "rules")
    assert refused.json()["errors"][0]["path"].startswith("$.trigger")
    assert (await plane.ask("GET", "mutations/m")).json()["status"] == "archived"


async def test_a_repeated_request_is_done_once_and_a_seen_version_is_checked(plane: Plane) -> None:
    await plane.ask("POST", "modules", EXAMPLES["modules"])
    number = (await newest(plane, "module"))["number"]
    assert problem(await undo(plane, number, headers={"If-Match": '"7"'})) == "version_conflict"
    headers = {"Idempotency-Key": "k", "If-Match": '"1"'}
    first = await undo(plane, number, headers=headers)
    second = await undo(plane, number, headers=headers)
    assert (first.status, second.status) == (200, 200)
    assert first.json()["documents"] == second.json()["documents"]


@pytest.mark.parametrize("kind", list(EXAMPLES))
async def test_what_was_deleted_is_listed_and_restored(plane: Plane, kind: str) -> None:
    await plane.ask("POST", kind, {**EXAMPLES[kind], "name": "One"})
    assert problem(await plane.ask("POST", f"{kind}/one/restore", {"reason": "again"})) == "not_deleted"
    await plane.ask("DELETE", f"{kind}/one?reason=gone")
    (gone,) = (await plane.ask("GET", f"deleted/{kind}")).json()["items"]
    assert (gone["document"]["name"], gone["reason"], gone["actor"]) == ("One", "gone", "the admin")
    assert problem(await plane.ask("POST", f"{kind}/one/restore", {})) == "reason_required"
    assert problem(await plane.ask("POST", f"{kind}/none/restore", {"reason": "again"})) == "not_found"
    back = await plane.ask("POST", f"{kind}/one/restore", {"reason": "again"}, headers={"If-Match": '"2"'})
    assert (back.status, back.json()["name"], back.headers["etag"]) == (200, "One", '"3"')
    assert (await plane.ask("GET", f"deleted/{kind}")).json()["items"] == []
    assert (await plane.ask("GET", f"{kind}/one/versions/2")).json()["action"] == "deleted"


async def test_an_archived_mutation_comes_back_switched_off(plane: Plane) -> None:
    await plane.create(id="welcome")
    assert problem(await plane.ask("POST", "mutations/welcome/restore", {"reason": "again"})) == "not_deleted"
    await plane.ask("DELETE", "mutations/welcome")
    back = (await plane.ask("POST", "mutations/welcome/restore", {"reason": "again"})).json()
    assert (back["isActive"], back["status"], back["version"]) == (False, "paused", 3)
