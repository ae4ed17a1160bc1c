"""A rules file apart and together; lengths that are not its own."""

import msgspec
import pytest
from msgspec import Raw

from rules import limits, pieces
from tests.rules.making import experiment, removing, rules_file, variant


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17])
def test_a_file_comes_apart_and_together(count: int) -> None:
    file = rules_file(*(removing(f"m-{number}") for number in range(count)), variant("v"), experiments=[experiment()])
    encoded, lengths = pieces.written(file)
    assert encoded == msgspec.msgpack.encode(file)
    for found in (pieces.taken_apart(memoryview(encoded), lengths), pieces.walked(Raw(encoded))):
        assert len(found) == len(file.mutations)
        assert [pieces.mutation_of(one) for one in found] == file.mutations
        assert found.rest() == msgspec.structs.replace(file, mutations=[])
        assert found.rest() is found.rest()
        assert found.whole() == file


def test_a_file_without_mutations_has_a_length_too() -> None:
    encoded, lengths = pieces.written(rules_file())
    assert pieces.taken_apart(memoryview(encoded), lengths).whole() == rules_file()


def test_a_stretch_is_equal_where_lengths_and_bytes_are() -> None:
    whole = memoryview(b"aabbb")
    one, other = pieces.Pieces(b"", whole, [2, 3]), pieces.Pieces(b"", whole, [3, 2])
    assert one.stretch(0, 100) == ([2, 3], b"aabbb")
    assert one.stretch(1, 2) == ([3], b"bbb")
    assert one.stretch(0, 2) != other.stretch(0, 2)


ENCODED, LENGTHS = pieces.written(rules_file(removing("a"), removing("b")))
HEAD, A, B = LENGTHS


@pytest.mark.parametrize(
    "lengths",
    [
        [],
        [HEAD],
        [HEAD, A],
        [HEAD, A, B, 1],
        [HEAD - 1, A + 1, B],
        [HEAD, A, len(ENCODED)],
        [HEAD, A + B, 0],
        [HEAD, A + B + 1, -1],
        [1] * (limits.ENTRIES_MAX + 2),
    ],
)
def test_lengths_of_something_else_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="length"):
        pieces.taken_apart(memoryview(ENCODED), lengths)


def test_lengths_that_cut_a_mutation_give_none() -> None:
    found = pieces.taken_apart(memoryview(ENCODED), [HEAD, A - 1, B + 1])
    with pytest.raises(msgspec.DecodeError):
        pieces.mutation_of(found[0])
    with pytest.raises(msgspec.MsgspecError):
        found.whole()
