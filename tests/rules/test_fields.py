"""What fields are made of."""

from rules.fields import FILLED, filled_as


def test_a_text_says_what_it_is_filled_as() -> None:
    assert filled_as("style").extra == {FILLED: "style"}
