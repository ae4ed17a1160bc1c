"""Changes from the admin pages say so."""

from control_plane.services import Services
from tests.control_plane.admin.person import Person
from tests.control_plane.admin.writing import write


async def test_the_audit_says_that_it_was_the_admin(admin: Person, services: Services) -> None:
    saved = await write(admin)
    (entry,) = (await services.audit.page(subject=saved.id)).items
    assert entry.origin == "admin 127.0.0.0/24"
    signed_in = (await services.audit.page(kind="session")).items[-1]
    assert signed_in.origin == "admin 127.0.0.0/24"
