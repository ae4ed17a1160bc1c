"""Edits that stand beside each other, and those that don't."""

from rules.html.edits import Edit, EditSet, Placed, Side, splice


def accept(edits: EditSet, start: int, end: int) -> bool:
    if not edits.allows(start, end):
        return False
    edits.add(Placed(start, Side.RANGE, (), end, b""))
    return True


def test_a_splice_keeps_every_other_byte() -> None:
    edits = (Edit(0, 0, b">"), Edit(2, 4, b""), Edit(4, 4, b"+"), Edit(6, 6, b"<"))
    assert splice(b"abcdef", edits) == b">ab+ef<"
    assert splice(b"abc", ()) == b"abc"


def test_ranges_may_touch_and_not_overlap() -> None:
    edits = EditSet()
    assert accept(edits, 10, 20)
    assert accept(edits, 20, 30)
    assert accept(edits, 0, 10)
    assert not accept(edits, 9, 11)
    assert not accept(edits, 15, 16)
    assert not accept(edits, 5, 40)


def test_an_insertion_stands_at_the_edge_of_a_range_and_not_inside() -> None:
    edits = EditSet()
    assert accept(edits, 10, 20)
    assert not accept(edits, 15, 15)
    assert accept(edits, 10, 10)
    assert accept(edits, 20, 20)


def test_a_range_does_not_swallow_an_insertion_or_a_pin() -> None:
    edits = EditSet()
    assert accept(edits, 15, 15)
    edits.pin(40)
    assert not accept(edits, 10, 20)
    assert not accept(edits, 39, 41)
    assert accept(edits, 15, 20)
    assert accept(edits, 40, 41)


def test_coming_back_forgets_everything_since() -> None:
    edits = EditSet()
    assert accept(edits, 0, 5)
    mark = edits.mark()
    assert accept(edits, 10, 20)
    assert accept(edits, 30, 30)
    edits.rollback(mark)
    assert len(edits.placed) == 1
    assert accept(edits, 5, 40)
    assert not accept(edits, 0, 1)
