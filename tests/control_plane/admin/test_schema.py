"""The page of the schema: what differs is shown with its remedy, and an admin repairs."""

from control_plane.admin.addresses import SCHEMA
from control_plane.settings import ControlPlaneSettings
from tests.control_plane.admin.person import Person
from tests.control_plane.moving.stores import execute


async def test_what_differs_is_shown_and_repaired_by_an_admin(
    admin: Person, publisher: Person, settings: ControlPlaneSettings
) -> None:
    seen = await publisher.open(SCHEMA)
    assert seen.words(".empty h2") == "Nothing differs"
    assert seen.tree.css_first("#heal") is None
    await execute(settings.database_url, "ALTER TABLE layout_mutation.mutations ADD COLUMN note text")
    await execute(settings.database_url, "DROP INDEX layout_mutation.mutations_served")
    page = await admin.submit(await admin.open(SCHEMA), "#heal", {})
    assert page.words("[role=status]") == "Looked at, and repaired what nothing can be lost by."
    rows = page.words("tbody")
    assert 'ALTER TABLE layout_mutation.mutations DROP COLUMN "note";' in rows
    assert "mutations_served" not in rows


async def test_who_may_not_publish_does_not_see_it(viewer: Person) -> None:
    assert (await viewer.open(SCHEMA)).status == 403
