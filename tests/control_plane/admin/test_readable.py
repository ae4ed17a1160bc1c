"""What conditions can read, line by line."""

from control_plane.admin.addresses import PREFIX
from control_plane.admin.readable import PRIVACY, of_declared, of_registry
from control_plane.intent import Intent
from control_plane.services import Services
from control_plane.tokens import Actor, Role
from rules.context import ATTRIBUTES, Privacy
from rules.model import Case, Counter, Derived, Journey, Question, Quiz, SavedGroup, Step
from tests.control_plane.admin.person import Person


def test_the_registry_is_listed_by_the_parts_that_are_known() -> None:
    found = {one.name: one for one in of_registry(ATTRIBUTES)}
    assert found["language"].type == "string"
    assert found["query"].type == "object"
    assert "campaign" not in found
    assert found["campaign.source"].privacy is Privacy.PAGE
    assert "mobile" in found["device"].values
    assert set(PRIVACY) == set(Privacy)


def test_declared_attributes_are_listed_by_what_conditions_name() -> None:
    journey = Journey(id="buy", steps=[Step(id="a", page_slug="/a"), Step(id="b", page_slug="/b")])
    quiz = Quiz(id="taste", name="Taste", questions=[Question(id="sweet", answers=["yes", "no"])])
    derived = Derived(id="mood", cases=[Case(value="joy", conditions={})], otherwise="calm")
    found = {one.name: one for one in of_declared([journey, quiz, Counter(id="views"), derived])}
    assert {name: (one.type, one.values) for name, one in found.items()} == {
        "buy.step": ("string", ("a", "b")),
        "buy.furthest": ("string", ("a", "b")),
        "buy.reached": ("list", ("a", "b")),
        "buy.completed": ("boolean", ()),
        "taste.sweet": ("string", ("yes", "no")),
        "views": ("number", ()),
        "mood": ("string", ("joy", "calm")),
    }
    assert found["taste.sweet"].source == "quiz Taste"


async def test_the_form_lists_them_beside_the_conditions(admin: Person, services: Services) -> None:
    intent = Intent(actor=Actor("me", Role.ADMIN))
    await services.attributes.create(Counter(id="views"), intent)
    await services.saved_groups.create(SavedGroup(id="staff", name="Colleagues", members=["ada"]), intent)
    page = await admin.open(f"{PREFIX}/new")
    rows = {node.attributes["data-name"]: node.attributes for node in page.tree.css("#readable [data-name]")}
    assert {"language", "query", "views"} <= set(rows)
    assert rows["views"]["data-type"] == "number"
    assert page.tree.css_first('#readable-groups option[value="staff"]') is not None
    names = [node.attributes["value"] for node in page.tree.css("#readable-names option")]
    assert "query." in names, "an object is only the beginning of a name"
