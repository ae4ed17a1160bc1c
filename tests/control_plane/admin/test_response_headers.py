"""What a browser may do with these pages: next to nothing."""

import pytest

from control_plane.admin.addresses import PREFIX
from control_plane.services import Services
from tests.control_plane.admin.person import Person


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("address", ["", "/new", "/preview", "/sign-in", "/static/admin.css", "/nothing"])
async def test_every_answer_has_the_headers(refused: tuple[Person, Services], address: str) -> None:
    page = await refused[0].open(f"{PREFIX}{address}")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["X-Frame-Options"] == "DENY"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("address", ["", "/new", "/new?type=set", "/new?type=variant", "/preview", "/sign-in?token=x"])
async def test_no_page_has_anything_inline(refused: tuple[Person, Services], address: str) -> None:
    page = await refused[0].open(f"{PREFIX}{address}")
    for node in page.tree.css("*"):
        assert "style" not in node.attributes
        assert not [name for name in node.attributes if name.startswith("on")]
    assert all(node.attributes.get("src") for node in page.tree.css("script"))
    assert not page.tree.css("style")
