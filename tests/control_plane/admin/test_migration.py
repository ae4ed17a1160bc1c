"""The page of the migration checker: what is wrong is shown, and what is certain saved by whoever may."""

from control_plane.admin.addresses import MIGRATION, mutation
from control_plane.intent import Intent
from control_plane.services import Services
from control_plane.settings import ControlPlaneSettings
from control_plane.tokens import Actor, Role
from rules.model import Module
from tests.control_plane.admin.person import Person
from tests.control_plane.admin.writing import write
from tests.control_plane.moving.stores import execute

SOMEBODY = Intent(actor=Actor("somebody", Role.ADMIN))


async def test_all_is_well(publisher: Person) -> None:
    page = await publisher.open(MIGRATION)
    assert page.words(".empty h2") == "Nothing is wrong"
    assert "audit entries" in page.words("#sides")
    assert page.words("nav [aria-current=page]") == "Migration"


async def test_what_is_certain_is_saved_by_an_admin(
    admin: Person, publisher: Person, services: Services, settings: ControlPlaneSettings
) -> None:
    saved = await write(admin)
    await services.modules.create(Module(id="hero", selector="h1"), SOMEBODY)
    await execute(
        settings.database_url,
        f"UPDATE layout_mutation.mutations SET content = (content::jsonb - 'note')::json WHERE id = '{saved.id}'",
    )
    await execute(
        settings.database_url,
        "UPDATE layout_mutation.modules SET content = replace(content::text, '\"h1\"', '\"h1[\"')::json",
    )
    seen = await publisher.open(MIGRATION)
    assert seen.tree.css_first("#mend") is None
    page = await admin.open(MIGRATION)
    rows = page.words("tbody")
    assert "certain the defaults are written down" in rows
    assert "write another selector, or name a module" in rows
    assert page.tree.css_first(f'tbody a[href="{mutation(saved.id)}"]') is not None
    page = await admin.submit(page, "#mend", {"reason": "after the move"})
    assert page.words("[role=status]") == "What was certain is saved."
    assert "defaults" not in page.words("tbody")
    assert page.tree.css_first("#mend") is None
    [last, *_] = await services.mutations.versions(saved.id)
    assert (last.action, last.reason) == ("updated", "after the move")


async def test_who_may_not_publish_does_not_see_it(viewer: Person) -> None:
    page = await viewer.open(MIGRATION)
    assert page.status == 403
    home = await viewer.open("/admin/layout-mutations")
    assert MIGRATION not in {link.attributes.get("href") for link in home.tree.css("nav a")}
