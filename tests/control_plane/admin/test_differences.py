"""What changed is told field by field; what every version changes is not told at all."""

from hypothesis import given
from hypothesis import strategies as st

from control_plane.admin.differences import Piece, differences


def test_words_that_changed_are_marked() -> None:
    (found,) = differences({"name": "Summer is here"}, {"name": "Winter is here"})
    assert found.path == "name"
    assert found.before == (Piece("Summer", True), Piece(" is here", False))
    assert found.after == (Piece("Winter", True), Piece(" is here", False))


def test_bookkeeping_is_left_out_and_nesting_is_a_path() -> None:
    before = {"version": 1, "createdBy": "ada", "mutationPayload": {"target": {"selector": "h1", "required": False}}}
    after = {"version": 2, "createdBy": "bob", "mutationPayload": {"target": {"selector": "h1", "required": True}}}
    (found,) = differences(before, after)
    assert found.path == "mutationPayload.target.required"
    assert [piece.text for piece in (*found.before, *found.after)] == ["no", "yes"]


def test_operations_are_compared_one_by_one() -> None:
    one, two = {"verb": "remove", "target": {"selector": "a"}}, {"verb": "remove", "target": {"selector": "b"}}
    (found,) = differences({"operations": [one]}, {"operations": [one, two]})
    assert found.path == "operations[1]"
    assert found.before == ()


def test_long_texts_are_shown_whole() -> None:
    (found,) = differences({"note": "a " * 5_000}, {"note": "b " * 5_000})
    assert len(found.before) == len(found.after) == 1


@given(st.text(), st.text())
def test_the_pieces_are_the_texts(old: str, new: str) -> None:
    for found in differences({"note": old}, {"note": new}):
        assert "".join(piece.text for piece in found.before) == old
        assert "".join(piece.text for piece in found.after) == new
