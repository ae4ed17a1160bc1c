"""What is particular about modules: switched off, they keep the origin's form."""

from tests.control_plane.plane import Plane, headline


async def test_a_module_that_is_switched_off_takes_its_mutations_out(plane: Plane) -> None:
    await plane.ask("POST", "modules", {"id": "hero", "selector": "h1"})
    await plane.create(headline(moduleId="hero"))
    page = {"url": "/", "html": "<h1>Old</h1>"}
    assert (await plane.ask("POST", "apply", page)).json()["html"] == "<h1>New</h1>"
    off = await plane.ask("PATCH", "modules/hero", {"isActive": False}, role="publisher")
    assert off.json()["publication"]["tableVersion"] == 3
    applied = (await plane.ask("POST", "apply", page)).json()
    assert (applied["html"], applied["outcomes"][0]["reason"]) == ("<h1>Old</h1>", "switched_off")
    assert (await plane.ask("PATCH", "modules/hero", {"isActive": True}, role="editor")).status == 403
