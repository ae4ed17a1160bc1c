"""Edits that stand beside each other, and those that don't."""

from rules.html.edits import STAYS, Edit, EditSet, Placed, Side, splice, woven


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


def test_a_part_is_spliced_alone() -> None:
    assert splice(b"abcdef", (Edit(2, 3, b"-"), Edit(4, 4, b"+")), 1, 5) == b"b-d+e"


def test_moved_ranges_lie_beside_or_inside_each_other_and_hold_edits() -> None:
    edits = EditSet()
    assert edits.allows_move(10, 30)
    edits.move(10, 30)
    assert edits.allows_move(12, 20)
    edits.move(12, 20)
    assert accept(edits, 14, 16)
    assert accept(edits, 10, 12)
    assert accept(edits, 20, 30)


def test_nothing_is_moved_out_of_what_is_replaced() -> None:
    edits = EditSet()
    assert accept(edits, 10, 20)
    assert not edits.allows_move(10, 20)
    assert not edits.allows_move(12, 15)
    assert not edits.allows_move(5, 15)
    assert not edits.allows_move(15, 25)
    assert edits.allows_move(0, 10)
    assert edits.allows_move(5, 30)
    assert edits.allows_move(10, 30)


def test_nothing_replaces_what_something_was_moved_out_of() -> None:
    edits = EditSet()
    edits.move(10, 20)
    assert not edits.allows(5, 30)
    assert not edits.allows(10, 30)
    assert not edits.allows(10, 20)
    assert edits.allows(10, 20, is_whole=True)
    edits.move(12, 15)
    assert not edits.allows(10, 20, is_whole=True)
    mark = edits.mark()
    edits.move(40, 50)
    assert not edits.allows(35, 60)
    edits.rollback(mark)
    assert edits.allows(35, 60)


def test_what_is_moved_takes_its_edits_along() -> None:
    cut = Placed(2, Side.CUT, (), 4, b"")
    placed = [
        (STAYS, cut),
        (STAYS, Placed(0, Side.BEFORE, (), 0, b"<", brings=2)),
        (2, Placed(2, Side.BEFORE, (), 2, b"(")),
        (STAYS, Placed(2, Side.CLOSING, (), 2, b"=")),
        (2, Placed(3, Side.CUT, (), 4, b"")),
        (3, Placed(4, Side.CLOSING, (), 4, b"!")),
        (STAYS, Placed(6, Side.CLOSING, (), 6, b"", brings=3)),
    ]
    edits = woven(b"abcdef", placed, {2: 4, 3: 4})
    assert edits == (Edit(0, 0, b"<(c"), Edit(2, 2, b"="), Edit(2, 4, b""), Edit(6, 6, b"d!"))
    assert splice(b"abcdef", edits) == b"<(cab=efd!"
