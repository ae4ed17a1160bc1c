"""Style and scripts: only what was there at the start, kept by browsers as long as it is the same."""

from pathlib import Path

import pytest

from control_plane.admin.addresses import PREFIX
from control_plane.admin.static_files import StaticFiles
from tests.control_plane.admin.person import Person


@pytest.mark.asyncio(loop_scope="module")
async def test_a_file_may_be_kept_only_under_its_own_address(stranger: Person) -> None:
    address = StaticFiles.load().address("admin.css")
    assert address is not None
    kept = await stranger.open(address)
    assert (kept.status, kept.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in kept.headers["Cache-Control"]
    for query in ("", "?v=000000000000"):
        assert (await stranger.open(f"{PREFIX}/static/admin.css{query}")).headers["Cache-Control"] == "no-cache"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "name", ["../rendering.py", "%2e%2e/rendering.py", "..%2frendering.py", "vendor", "", "admin.css/"]
)
async def test_nothing_else_is_served(stranger: Person, name: str) -> None:
    assert (await stranger.open(f"{PREFIX}/static/{name}")).status in (401, 404)


def test_what_set_up_did_not_fetch_has_no_address(tmp_path: Path) -> None:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "LICENSE.txt").write_text("not ours to serve")
    (tmp_path / "a.css").write_text("a {}")
    files = StaticFiles.load(tmp_path)
    assert files.address("vendor/htmx.min.js") is None
    assert files.get("vendor/LICENSE.txt") is None
    assert (files.address("a.css") or "").startswith(f"{PREFIX}/static/a.css?v=")
