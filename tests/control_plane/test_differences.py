"""What differs, as paths, short enough for a list."""

from control_plane.differences import FIELDS_MAX, VALUE_CHARACTERS_MAX, FieldDifference, compact


def test_each_field_that_differs_has_its_path() -> None:
    before = {"id": "a", "version": 1, "trigger": {"on": "pageLoad"}, "list": [1, {"x": 2}], "gone": True}
    after = {"id": "a", "version": 2, "trigger": {"on": "idle"}, "list": [1, {"x": 3}], "new": "n"}
    assert compact(before, after) == (
        FieldDifference("$.trigger.on", '"pageLoad"', '"idle"'),
        FieldDifference("$.list[1].x", "2", "3"),
        FieldDifference("$.gone", "true", None),
        FieldDifference("$.new", None, '"n"'),
    )
    assert compact(before, before) == ()


def test_what_was_not_there_and_lists_of_other_lengths_are_whole() -> None:
    assert compact(None, {"id": "a"}) == (FieldDifference("$", None, '{"id":"a"}'),)
    assert compact({"l": [1]}, {"l": [1, 2]}) == (FieldDifference("$.l", "[1]", "[1,2]"),)


def test_it_is_bounded() -> None:
    many = compact({str(n): n for n in range(500)}, {str(n): n + 1 for n in range(500)})
    assert len(many) == FIELDS_MAX
    (long,) = compact({"t": "a"}, {"t": "b" * 10_000})
    assert len(long.after or "") == VALUE_CHARACTERS_MAX + 1
