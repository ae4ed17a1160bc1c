"""What a mutation's operations are for a visit."""

import pytest

from rules import model
from rules.filling import Slot
from rules.group import Group, OpenGroup
from rules.templates import Blank, Position, Template

TITLE = model.SetAttribute(target=model.Target(selector="p"), name="title", value="Hi you")
OPEN = OpenGroup(
    mutation_id="greet",
    operations=(TITLE,),
    digest="of the rest",
    delivery=model.Delivery.CLIENT,
    slots=(Slot(0, ("value",), Template(("Hi ", Blank(("name",), "you", Position.TEXT)), is_markup=False)),),
)


def test_a_group_without_blanks_is_the_same_for_every_visit() -> None:
    group = Group("greet", (TITLE,))
    assert group.of_visit({"name": "Ada"}) is group


def test_a_visit_fills_the_blanks_and_changes_nothing_else() -> None:
    assert OPEN.reads == {"name"}
    filled = OPEN.of_visit({"name": "Ada"})
    assert type(filled) is Group
    assert [operation.value for operation in filled.operations if isinstance(operation, model.SetAttribute)] == [
        "Hi Ada"
    ]
    assert (filled.mutation_id, filled.delivery, filled.when) == (OPEN.mutation_id, OPEN.delivery, OPEN.when)
    assert OPEN.operations == (TITLE,)


@pytest.mark.parametrize(
    ("other", "attributes", "same"),
    [
        (OPEN, {"name": "Ada", "else": 1}, True),
        (OPEN, {"name": "Bo"}, False),
        (OPEN, {}, False),
        (OpenGroup("greet", (TITLE,), "of another rest", slots=OPEN.slots), {"name": "Ada"}, False),
    ],
)
def test_visits_share_a_page_where_all_that_is_filled_in_is_equal(
    other: OpenGroup, attributes: dict[str, object], same: bool
) -> None:
    """The digest of what a visit gets follows from the rest of the group and from what was filled in."""
    assert (other.of_visit(attributes).digest == OPEN.of_visit({"name": "Ada"}).digest) is same
