"""A sign-in returns to a page of the admin, whatever it was asked to return to."""

import pytest

from control_plane.admin.addresses import PREFIX, mutation, own


@pytest.mark.parametrize(
    "address",
    [
        PREFIX,
        f"{PREFIX}/new?type=hide",
        f"{PREFIX}/mutations/a%2Fb",
        f"{PREFIX}?text=%C3%A4&cursor=abc",
        f"{PREFIX}/preview",
    ],
)
def test_own_addresses_are_kept(address: str) -> None:
    assert own(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        f"{PREFIX}.evil.example",
        f"{PREFIX}@evil.example",
        f"{PREFIX}//evil.example",
        f"{PREFIX}/../../x",
        f"{PREFIX}/\r\nSet-Cookie: a=b",
        f"{PREFIX}/\t//evil.example",
        f"https://evil.example{PREFIX}",
        "javascript:alert(1)",
        "",
        f"{PREFIX}?{'a' * 5_000}",
    ],
)
def test_every_other_address_is_the_list(address: str) -> None:
    assert own(address) == PREFIX


def test_an_id_stays_one_step_of_the_path() -> None:
    assert mutation("a/../b?c#d", "edit") == f"{PREFIX}/mutations/a%2F..%2Fb%3Fc%23d/edit"
