"""The admin's addresses lead somewhere, and every one of them but the door needs a session."""

import pytest

from control_plane.admin.addresses import PREFIX
from tests.control_plane.admin.person import Person


@pytest.mark.parametrize("address", ["/admin", "/admin/", f"{PREFIX}/"])
async def test_short_addresses_lead_to_the_list(admin: Person, address: str) -> None:
    page = await admin.open(address)
    assert (page.status, page.words("h1")) == (200, "Mutations")
    assert page.url.endswith(PREFIX)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/new",
        "/mutations/x",
        "/mutations/x/edit",
        "/toggles",
        "/migration",
        "/preview",
        "/preview/x/before",
        "/no/such/page",
    ],
)
async def test_nothing_is_shown_without_a_session(person: Person, address: str) -> None:
    page = await person.open(f"{PREFIX}{address}")
    assert (page.status, page.words("h1")) == (401, "Sign in")
