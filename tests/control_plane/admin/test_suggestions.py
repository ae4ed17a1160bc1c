"""What the form offers: the names of what there is."""

from control_plane.admin.addresses import PREFIX
from control_plane.admin.suggestions import of_attributes
from control_plane.intent import Intent
from control_plane.services import Services
from control_plane.tokens import Actor, Role
from rules.model import Answered, Case, Counter, Derived, Experiment, Journey, Question, Quiz, Step, Variation
from tests.control_plane.admin.person import Person

PURCHASE = Journey(
    id="purchase", name="Purchase", steps=[Step(id="basket", page_slug="/basket"), Step(id="paid", page_slug="/thanks")]
)
TASTE = Quiz(id="taste", questions=[Question(id="sweet", answers=["yes", "no"])])
EMOTION = Derived(
    id="emotion", cases=[Case(value="joy", conditions={}), Case(value="calm", conditions={})], otherwise="joy"
)


def test_attributes_are_offered_by_their_kind() -> None:
    found = of_attributes([PURCHASE, TASTE, EMOTION, Counter(id="views")])
    assert found["journey"] == [("purchase", "Purchase")]
    assert found["step"] == [("basket", "of purchase"), ("paid", "of purchase")]
    assert found["quiz"] == [("taste", "")]
    assert found["question"] == [("sweet", "of taste")]
    assert found["answers"] == [("yes", "of sweet"), ("no", "of sweet")]
    assert [word for word, _ in found["emotions"]] == ["joy", "calm"]
    assert [name for name, _ in found["attribute"][-4:]] == ["purchase", "taste", "emotion", "views"]
    assert "path" in [name for name, _ in found["attribute"]]


def test_parts_are_offered_for_the_fields_of_triggers() -> None:
    assert {"quiz", "question", "answers"} == set(Answered.__struct_fields__)


async def test_the_form_offers_what_is_saved(admin: Person, services: Services) -> None:
    intent = Intent(actor=Actor("me", Role.ADMIN))
    await services.attributes.create(PURCHASE, intent)
    arms = [Variation(key="now"), Variation(key="later")]
    await services.experiments.create(Experiment(id="checkout", name="Checkout", variations=arms), intent)
    page = await admin.open(f"{PREFIX}/new")

    def offered(field: str) -> list[str]:
        assert page.tree.css_first(f'[id="{field}"][list="list-{field}"]') is not None
        return [node.attributes["value"] or "" for node in page.tree.css(f'[id="list-{field}"] option')]

    assert offered("trigger.journey") == ["purchase"]
    assert offered("trigger.step") == ["basket", "paid"]
    assert offered("trigger.experiment") == ["checkout"]
    assert "There are: now of checkout, later of checkout" in page.words("#section-whom")
