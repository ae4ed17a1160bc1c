"""What was deleted is listed by kind, and brought back as it was by whoever may."""

from control_plane.admin.addresses import DELETED, deleted
from control_plane.intent import Intent
from control_plane.services import Services
from control_plane.tokens import Actor, Role
from rules.model import Segment
from tests.control_plane.admin.person import Person

INTENT = Intent(actor=Actor("Ada", Role.ADMIN), reason="not needed")


async def test_it_is_there_again_as_it_was(publisher: Person, editor: Person, services: Services) -> None:
    assert (await editor.open(DELETED)).words(".empty h2") == "Nothing was deleted"
    await services.segments.create(Segment(id="a:b", name="Germans", conditions={"language": "de"}), INTENT)
    await services.segments.delete("a:b", INTENT)
    page = await editor.open(DELETED)
    assert "Germansa:bIts history" in page.words("tbody tr")
    assert "Ada" in page.words("tbody tr")
    assert "not needed" in page.words("tbody tr")
    assert page.tree.css_first("tbody form") is None
    page = await publisher.open(f"{DELETED}?kind=segment")
    refused = await publisher.submit(page, "tbody form")
    assert (refused.status, "say why" in refused.words("[role=alert]")) == (409, True)
    page = await publisher.submit(page, "tbody form", {"reason": "it is"})
    assert "It is there again" in page.words("[role=status]")
    assert (await services.segments.get("a:b")).name == "Germans"
    for address, status in ((deleted("segment", "none"), 404), (deleted("nothing", "a"), 404)):
        sent = await publisher.send(address, {"csrf": await publisher.word(), "reason": "x"})
        assert sent.status == status
