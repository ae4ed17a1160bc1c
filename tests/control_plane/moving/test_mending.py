"""The migration checker as a service, asked over HTTP."""

from typing import Any

import msgspec

from control_plane.settings import ControlPlaneSettings
from tests.control_plane.moving.stores import execute
from tests.control_plane.plane import Plane, headline, running


async def report_of(plane: Plane) -> Any:
    answer = await plane.ask("GET", "health/migration", role="publisher")
    assert answer.status == 200, answer.body
    return answer.json()


async def by_hand(settings: ControlPlaneSettings, table: str, document_id: str, change: str) -> None:
    """A document changed by somebody with the database's password."""
    await execute(
        settings.database_url,
        f"UPDATE layout_mutation.{table} SET content = {change} WHERE id = '{document_id}'",
    )


async def test_what_is_certain_is_saved_as_new_versions(settings: ControlPlaneSettings, plane: Plane) -> None:
    for name, selector in (("hero", "main > h1"), ("headline", "main>h1")):
        assert (await plane.ask("POST", "modules", {"id": name, "selector": selector})).status == 201
    made = await plane.create(headline(id="linked", moduleId="hero", isActive=True))
    old = await plane.create(headline(id="old"))
    bad = await plane.create(headline(id="bad", isActive=False))
    assert (await report_of(plane))["fine"]
    await execute(settings.database_url, "UPDATE layout_mutation.modules SET deleted = true WHERE id = 'hero'")
    await by_hand(settings, "mutations", old["id"], "(content::jsonb - 'note')::json")
    await by_hand(settings, "mutations", bad["id"], "replace(content::text, 'h1:not', 'h1[:not')::json")
    report = await report_of(plane)
    told = {(flaw["id"], flaw["sort"], flaw["mechanical"]) for flaw in report["flaws"]}
    assert told == {("linked", "dangling_module", True), ("old", "old_form", True), ("bad", "unusable_selector", False)}
    assert (await plane.ask("POST", "health/migration", role="publisher")).status == 403
    answer = await plane.ask("POST", "health/migration")
    assert answer.status == 200, answer.body
    mended = answer.json()
    assert {flaw["id"] for flaw in mended["mended"]} == {"linked", "old"}
    assert [flaw["id"] for flaw in mended["report"]["flaws"]] == ["bad"]
    assert mended["publication"]["published"]
    linked = (await plane.ask("GET", "mutations/linked")).json()
    assert (linked["moduleId"], linked["version"]) == ("headline", made["version"] + 1)
    [entry, *_] = (await plane.ask("GET", "audit?subject=linked")).json()["items"]
    assert entry["reason"] == "migration checker: what is certain"
    again = (await plane.ask("POST", "health/migration")).json()
    assert again["mended"] == []
    assert (await plane.ask("GET", "mutations/linked")).json()["version"] == linked["version"]


async def test_the_source_stands_beside_it(settings: ControlPlaneSettings, other_url: str, plane: Plane) -> None:
    await plane.create(headline(id="one"))
    there = msgspec.structs.replace(settings, database_url=other_url, move_from=settings.database_url)
    async with running(there) as moved:
        report = await report_of(moved)
        assert (report["fine"], report["sourceProblem"]) == (True, "")
        assert report["standing"] in ("same", "ahead")
        counts = {row["entity"]: (row["source"]["count"], row["target"]["count"]) for row in report["entities"]}
        assert counts["mutations"] == (1, 1)
        await plane.create(headline(id="late"))
        late = await report_of(moved)
        assert [(flaw["id"], flaw["sort"]) for flaw in late["flaws"]] == [("late", "missing")]
