"""A visit's texts put into operations."""

from rules import model
from rules.filling import Slot, filled, put, values_of
from rules.templates import Blank, Position, Template

TARGET = model.Target(selector="p")
TEMPLATE = Template(("Hi ", Blank(("name",), "you", Position.TEXT)), is_markup=False)


def test_a_text_is_put_where_it_belongs_and_nothing_else_changes() -> None:
    operation = model.SetText(target=TARGET, content=model.Content(text="a"))
    assert put(operation, ("content", "text"), "b") == model.SetText(target=TARGET, content=model.Content(text="b"))
    assert operation.content.text == "a"
    assert put({"a": "1", "b": "2"}, ("b",), "3") == {"a": "1", "b": "3"}


def test_operations_are_filled_in_their_slots() -> None:
    operations = [model.Remove(target=TARGET), model.SetAttribute(target=TARGET, name="title", value="")]
    slots = [Slot(1, ("value",), TEMPLATE)]
    assert filled(operations, slots, values_of(slots, {"name": "Ada"})) == (
        operations[0],
        model.SetAttribute(target=TARGET, name="title", value="Hi Ada"),
    )
