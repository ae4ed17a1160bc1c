"""Splices change what they name and nothing else."""

from rules.splices import Splice, spliced


def test_a_text_with_splices() -> None:
    assert spliced("abc", ()) == "abc"
    assert spliced("abc", [Splice(0, 1, "x"), Splice(1, 1, "y"), Splice(2, 3, "")]) == "xyb"
    assert spliced("", [Splice(0, 0, "x")]) == "x"
