"""Why backups were made, in words and in names."""

import pytest

from control_plane.backups.occasions import (
    BEFORE_MIGRATION,
    BEFORE_REPLACING,
    BY_HAND,
    SCHEDULED,
    is_apart,
    occasion_of,
    word_of,
)


@pytest.mark.parametrize("occasion", [BY_HAND, BEFORE_MIGRATION, BEFORE_REPLACING, "of_a_newer_program"])
def test_what_is_made_for_an_occasion_is_kept_apart_and_named_for_it(occasion: str) -> None:
    assert is_apart(occasion)
    assert occasion_of(word_of(occasion)) == occasion


@pytest.mark.parametrize("occasion", [SCHEDULED, ""])
def test_what_is_made_regularly_rotates_under_the_name_it_always_had(occasion: str) -> None:
    assert not is_apart(occasion)
    assert word_of(occasion) == ""


def test_the_words_that_shelves_have_from_before_are_understood() -> None:
    assert occasion_of("by hand") == BY_HAND
