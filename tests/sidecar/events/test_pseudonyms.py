"""Names of units: equal for equal ones, different for all others, and of no use without the key."""

import re

from hypothesis import given
from hypothesis import strategies as st

from sidecar.events.pseudonyms import Pseudonyms

KEY = "a key of at least thirty-two letters"
PAIRS = st.tuples(st.text(max_size=8).filter(lambda name: "\x00" not in name), st.text(max_size=40))


def test_a_pseudonym_stays_the_same_for_ever() -> None:
    """What is in databases was made by it: a change makes other units of all visitors."""
    assert Pseudonyms(KEY).of("lm_uid", "00000000-0000-4000-8000-000000000001") == "GNL6Mg2w_zzc7wBESHEhMg"
    assert not Pseudonyms("").enabled
    assert Pseudonyms(KEY).enabled


@given(PAIRS, PAIRS)
def test_equal_units_of_one_attribute_are_equal_and_no_others(one: tuple[str, str], other: tuple[str, str]) -> None:
    names = Pseudonyms(KEY)
    assert (names.of(*one) == names.of(*other)) == (one == other)
    assert names.of(*one) != Pseudonyms(KEY + ".").of(*one)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", names.of(*one))


def test_half_a_character_is_a_unit_too() -> None:
    assert Pseudonyms(KEY).of("cookie", "\udce9") != Pseudonyms(KEY).of("cookie", "\udcea")
