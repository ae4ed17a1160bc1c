"""Refusals carry a word for programs and a sentence for people."""

from control_plane.refusals import Refusal, Refused


def test_a_refusal_says_which_and_why() -> None:
    refused = Refused(Refusal.ARCHIVED, "roll it back first")
    assert (refused.refusal, refused.detail) == ("archived", "roll it back first")
    assert str(refused) == "archived: roll it back first"
