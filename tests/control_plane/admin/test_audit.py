"""The history: what was done, in words, found again by what it was done to; and whether it is what it was."""

from control_plane.admin.addresses import HISTORY, PREFIX, entry, mutation
from control_plane.services import Services
from control_plane.settings import ControlPlaneSettings
from tests.control_plane.admin.person import Person, Seen
from tests.control_plane.admin.writing import write
from tests.control_plane.moving.stores import execute
from tests.control_plane.plane import until


async def looked(admin: Person) -> Seen:
    """The page once nothing is under way."""
    page = await admin.open(HISTORY)

    async def is_done() -> bool:
        nonlocal page
        page = await admin.open(HISTORY)
        return "Look again" not in page.words("#chain")

    await until(is_done)
    return page


async def test_what_was_done_is_listed_and_found_again(viewer: Person, editor: Person) -> None:
    written = (await write(editor, reason="campaign of June")).id
    page = await viewer.open(HISTORY)
    (row,) = [words for words in page.all_words("tbody tr") if "created the mutation" in words]
    assert "editor created the mutation Summer headline campaign of June" in row
    assert "admin 127.0.0.0/24" in row
    assert "signed in" in page.words("tbody")
    number = row.split()[0]
    assert page.tree.css_first(f'a[href="{entry(int(number))}"]') is not None
    page = await viewer.open(f"{HISTORY}?kind=mutation&subject={written}")
    assert len(page.all_words("tbody tr")) == 1
    assert page.tree.css_first(f'tbody a[href="{mutation(written)}"]') is not None
    assert (await viewer.open(f"{HISTORY}?subject=none")).words(".empty h2") == "Nothing fits"
    assert page.tree.css_first("#verify") is None
    assert (await viewer.send(f"{HISTORY}/verify", {"csrf": await viewer.word()})).status == 403


async def test_whether_it_is_what_it_was_is_looked_at_and_told(
    admin: Person, services: Services, settings: ControlPlaneSettings
) -> None:
    page = await admin.open(HISTORY)
    await admin.submit(page, "#verify")
    page = await looked(admin)
    newest = (await services.audit.page(limit=1)).items[0].number
    assert "sound" in page.words("#chain .good")
    assert f"up to entry {newest}," in page.words("#chain")
    unguarded = "ALTER TABLE layout_mutation.audit_entries DISABLE TRIGGER USER"
    changed = "UPDATE layout_mutation.audit_entries SET reason = 'another' WHERE number = 1"
    await execute(settings.database_url, f"{unguarded}; {changed}")
    await admin.submit(page, "#verify")
    page = await looked(admin)
    assert "1 fault" in page.words("#chain .bad")
    assert "Entry 1: changed." in page.words("#chain [role=alert]")
    assert (await admin.open(PREFIX)).tree.css_first(f'.banner a[href="{HISTORY}"]') is not None
