"""A rules file apart and together, its digests; lengths that are not its own."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest

from rules import limits, pieces
from rules.pieces import STRETCH
from tests.rules.making import experiment, removing, rules_file, variant


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17])
def test_a_file_comes_apart_and_together(count: int) -> None:
    file = rules_file(*(removing(f"m-{number}") for number in range(count)), variant("v"), experiments=[experiment()])
    encoded, lengths = pieces.written(file)
    assert encoded == msgspec.msgpack.encode(file)
    for found in (pieces.taken_apart(memoryview(encoded), lengths), pieces.of(file)):
        assert len(found) == len(file.mutations)
        assert [pieces.mutation_of(one) for one in found] == file.mutations
        assert found.rest() == msgspec.structs.replace(file, mutations=[])
        assert found.rest() is found.rest()
        assert found.whole() == file


def test_a_file_without_mutations_has_a_length_too() -> None:
    encoded, lengths = pieces.written(rules_file())
    assert pieces.taken_apart(memoryview(encoded), lengths).whole() == rules_file()


def numbered(count: int, first: int = 0) -> pieces.Pieces:
    return pieces.of(rules_file(*(removing(f"m-{number:03}") for number in range(first, first + count))))


@pytest.mark.parametrize("count", [0, 1, STRETCH - 1, STRETCH, STRETCH + 1, 2 * STRETCH])
def test_stretches_are_all_mutations_one_after_the_other(count: int) -> None:
    found = numbered(count)
    stretches = [found.stretch(number) for number in range(-(-count // STRETCH))]
    assert [place for places in stretches for place in places] == [*range(count)]
    assert not found.stretch(len(stretches))
    assert not found.stretch(len(stretches) + 1)
    assert b"".join(map(found.bytes_of, stretches)) == b"".join(found)
    assert [length for places in stretches for length in found.lengths_of(places)] == [*map(len, found)]
    assert found.digests() == (
        sha256(found.others).digest(),
        *(sha256(found.bytes_of(places)).digest() for places in stretches),
    )


def test_what_is_the_same_bytes_before_is_not_digested_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before, digested = numbered(2 * STRETCH), list[bytes]()
    before.digests()

    def noting(content: bytes) -> Any:
        digested.append(content)
        return sha256(content)

    monkeypatch.setattr(pieces, "sha256", noting)
    same = numbered(2 * STRETCH)
    assert same.digests(before=before) == before.digests()
    assert digested == [same.others]
    changed = pieces.of(rules_file(*(removing(f"m-{number:03}") for number in range(199)), removing("another")))
    assert changed.digests(before=before)[:2] == before.digests()[:2]
    assert digested[1:] == [changed.others, changed.bytes_of(changed.stretch(1))]


@pytest.mark.parametrize(("before", "now"), [(STRETCH, 50), (50, STRETCH), (STRETCH + 1, STRETCH), (0, 1), (1, 0)])
def test_a_part_of_a_stretch_has_a_digest_of_its_own(before: int, now: int) -> None:
    assert numbered(now).digests(before=numbered(before)) == numbered(now).digests()


def test_equal_files_have_equal_digests() -> None:
    assert pieces.digest_of(numbered(3)) == pieces.digest_of(numbered(3)) != pieces.digest_of(numbered(3, first=1))
    assert len(pieces.digest_of(numbered(0))) == 64


def test_it_pauses_before_each_stretch() -> None:
    paused = list[None]()
    numbered(3 * STRETCH).digests(lambda: paused.append(None))
    assert len(paused) == 3


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
