"""Changes made while the database was away: provisional meanwhile, brought back, and settled where they met others."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from control_plane.settings import ControlPlaneSettings
from control_plane.store import Kind, Shelf
from control_plane.store.mirror.conflicts import CONFLICTS, Conflict, ConflictDocument, Side
from tests.control_plane.plane import Plane, headline, running, until
from tests.control_plane.store.outages import NOW, Wire

PROVISIONAL = "x-layout-mutation-provisional"


@pytest.fixture
async def wire(settings: ControlPlaneSettings) -> AsyncIterator[Wire]:
    made = Wire(settings.database_url)
    await made.mend()
    yield made
    await made.cut()


@pytest.fixture
async def cut_off(settings: ControlPlaneSettings, wire: Wire) -> AsyncIterator[Plane]:
    """An instance whose wire to the database can be cut."""
    async with running(msgspec.structs.replace(settings, database_url=wire.url)) as plane:
        yield plane


async def in_use(plane: Plane) -> None:
    async def is_in_use() -> bool:
        return bool((await plane.ask("GET", "health")).json()["mirror"]["state"] == "primary")

    await until(is_in_use)


def text_of(mutation: Any) -> str:
    return str(mutation["mutationPayload"]["operations"][0]["content"]["text"])


async def rename(plane: Plane, text: str, **headers: str) -> Any:
    given = {"If-Match": "1", **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = await plane.ask("PUT", "mutations/title", headline(text, id="title"), headers=given)
    assert answer.status == 200, answer.body
    return answer


async def test_an_outage_is_seen_on_answers_health_and_metrics_and_ends_by_itself(cut_off: Plane, wire: Wire) -> None:
    await cut_off.create(id="title")
    await wire.cut()
    answer = await rename(cut_off, "Meanwhile", Idempotency_Key="once")
    assert answer.headers[PROVISIONAL] == "1"
    assert answer.json()["publication"]["published"], "visitors get it at once"
    ready = await cut_off.ask("GET", "/readyz", role=None)
    assert (ready.status, ready.json()["degraded"]) == (200, True)
    health = (await cut_off.ask("GET", "health")).json()
    assert not health["database"]["up"]
    assert health["mirror"]["state"] == "mirror"
    assert health["mirror"]["outbox"] >= 1
    metrics = (await cut_off.ask("GET", "/metrics", role=None)).body.decode()
    assert 'control_plane_store{state="mirror"} 1.0' in metrics
    assert "control_plane_outbox 0.0" not in metrics
    await wire.mend()
    await in_use(cut_off)
    again = await rename(cut_off, "Meanwhile", Idempotency_Key="once")
    assert again.headers["idempotency-replayed"] == "true"
    assert PROVISIONAL not in again.headers
    assert again.json()["version"] == answer.json()["version"] == 2


@pytest.mark.parametrize(("choice", "text", "version"), [("ours", "Mine", 3), ("theirs", "Theirs", 2)])
async def test_a_conflict_is_listed_with_both_sides_and_settled_by_a_person(
    settings: ControlPlaneSettings,
    cut_off: Plane,
    wire: Wire,
    tmp_path: Path,
    choice: str,
    text: str,
    version: int,
) -> None:
    await cut_off.create(id="title")
    await wire.cut()
    await rename(cut_off, "Mine")
    async with running(msgspec.structs.replace(settings, data_dir=str(tmp_path / "other"))) as other:
        await rename(other, "Theirs")
        await wire.mend()
        await in_use(cut_off)
        (conflict,) = (await other.ask("GET", "conflicts")).json()["items"]
        (document,) = conflict["documents"]
        assert (document["kind"], document["id"]) == ("mutation", "title")
        assert (text_of(document["ours"]["content"]), text_of(document["theirs"]["content"])) == ("Mine", "Theirs")
        assert document["present"] == document["theirs"], "nobody touched it since"
        assert "at version 2" in conflict["problem"]
        path = f"conflicts/{conflict['id']}"
        assert (await other.ask("POST", path, {"choice": choice, "reason": "r"}, role="editor")).status == 403
        assert (await other.ask("POST", path, {"choice": choice, "reason": ""})).status == 422
        assert (await other.ask("POST", path, {"choice": "both", "reason": "r"})).status == 422
        blind = await other.ask("POST", path, {"choice": choice, "reason": "r", "seen": [1]})
        assert (blind.status, "is at version 2 now, you saw 1" in blind.json()["detail"]) == (412, True)
        assert CONFLICTS in {alert.id for alert in cut_off.services.alerts.open()}
        settled = await other.ask("POST", path, {"choice": choice, "reason": "as agreed", "seen": [2]})
        assert (settled.status, settled.json()["choice"]) == (200, choice)
        assert (await other.ask("POST", path, {"choice": choice, "reason": "again"})).status == 404
        assert (await other.ask("GET", "conflicts")).json()["items"] == []
        title = (await other.ask("GET", "mutations/title")).json()
        assert (text_of(title), title["version"]) == (text, version)
        entries = (await other.ask("GET", "audit")).json()["items"]
        assert {"conflict_kept", "conflict_settled"} <= {entry["action"] for entry in entries}

        async def is_over() -> bool:
            told = [*cut_off.services.alerts.open(), *other.services.alerts.open()]
            return CONFLICTS not in {alert.id for alert in told}

        await until(is_over)  # also on the instance that found it


async def test_a_change_that_no_longer_fits_the_others_is_a_conflict(
    settings: ControlPlaneSettings, cut_off: Plane, wire: Wire, tmp_path: Path
) -> None:
    segment = {"id": "de", "conditions": {"country": "DE"}}
    assert (await cut_off.ask("POST", "segments", segment)).status == 201
    await wire.cut()
    trigger = {"on": "segment", "segment": "de"}
    await cut_off.create(headline("Mine", id="title", trigger=trigger))
    async with running(msgspec.structs.replace(settings, data_dir=str(tmp_path / "other"))) as other:
        assert (await other.ask("DELETE", "segments/de")).status == 200
        await wire.mend()
        await in_use(cut_off)
        (conflict,) = (await other.ask("GET", "conflicts")).json()["items"]
        assert "no longer fits the others" in conflict["problem"]
        assert await other.services.store.find(Kind.MUTATION, "title") is None
        refused = await other.ask("POST", f"conflicts/{conflict['id']}", {"choice": "ours", "reason": "r"})
        assert refused.status == 422, "it does not fit yet"
        assert (await other.ask("GET", "conflicts")).json()["items"], "and stays"


async def test_documents_of_a_conflict_that_need_each_other_are_settled_together(plane: Plane) -> None:
    """In whatever order the change wrote them."""
    trigger = {"on": "segment", "segment": "new"}
    written = [
        (Kind.MUTATION, "title", headline("Mine", id="title", trigger=trigger)),
        (Kind.SEGMENT, "new", {"id": "new", "conditions": {"country": "DE"}}),
    ]
    documents = []
    for kind, document_id, content in written:
        raw = msgspec.Raw(msgspec.json.encode(content))
        ours = Side(version=1, content=raw, deleted=False, action="imported", actor="me", reason="", at=NOW)
        documents.append(ConflictDocument(kind=kind, id=document_id, ours=ours, theirs=None))
    conflict = Conflict(
        id="018f0000-0000-7000-8000-00000000000c",
        at=NOW,
        found_at=NOW,
        actor="me",
        reason="",
        problem="in the way",
        documents=tuple(documents),
        records=(),
    )
    async with plane.services.store.transaction() as transaction:
        await transaction.keep(Shelf.CONFLICT, conflict.id, msgspec.json.encode(conflict), NOW)
    settled = await plane.ask("POST", f"conflicts/{conflict.id}", {"choice": "ours", "reason": "as agreed"})
    assert settled.status == 200, settled.body
    assert (await plane.ask("GET", "mutations/title")).json()["trigger"] == trigger
    deletion = await plane.ask("DELETE", "segments/new")
    assert deletion.status == 409, "it is needed"
