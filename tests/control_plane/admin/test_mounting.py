"""The admin's addresses lead somewhere, and every one of them but the door needs a session."""

import pytest

from control_plane.admin.addresses import PREFIX
from control_plane.services import Services
from tests.control_plane.admin.person import Person


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("address", ["/admin", "/admin/", f"{PREFIX}/"])
async def test_short_addresses_lead_to_the_list(refused: tuple[Person, Services], address: str) -> None:
    page = await refused[0].open(address)
    assert (page.status, page.words("h1")) == (200, "Mutations")
    assert page.url.endswith(PREFIX)


@pytest.mark.asyncio(loop_scope="module")
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
async def test_nothing_is_shown_without_a_session(stranger: Person, address: str) -> None:
    page = await stranger.open(f"{PREFIX}{address}")
    assert (page.status, page.words("h1")) == (401, "Sign in")
