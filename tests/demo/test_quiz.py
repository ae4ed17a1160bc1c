"""Answers to skies."""

from demo.quiz import OUTCOMES, QUESTIONS, outcome_of


def test_every_sky_can_be_reached() -> None:
    for weather, outcome in OUTCOMES.items():
        answers = {q.name: option.value for q in QUESTIONS for option in q.options if option.weather == weather}
        assert outcome_of(answers) is outcome


def test_an_even_vote_goes_to_the_earlier_question() -> None:
    outcome = outcome_of({"window": "fog", "walk": "ridge"})
    assert outcome is not None
    assert outcome.weather == "mist"
    assert outcome_of({"window": "none of these", "sky": "blue"}) is None
