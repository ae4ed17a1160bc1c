"""The weather quiz: which sky are you, and what should be in the pot? Pure.

Counterpart: `pages` shows the questions and the result. Never remembers an answer: they live in the address alone.
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple


class Option(NamedTuple):
    """One answer and the sky that it speaks for."""

    value: str
    label: str
    weather: str


class Question(NamedTuple):
    """One question; `name` is its key in the query."""

    name: str
    text: str
    hint: str
    options: tuple[Option, ...]


class Outcome(NamedTuple):
    """What a sky says about a person, and the products that suit it."""

    weather: str
    title: str
    text: str
    products: list[str]


QUESTIONS = (
    Question(
        "window",
        "You look out of the window. What would please you most?",
        "Not what is there. What you would order, if there were a menu.",
        (
            Option("downpour", "A proper downpour, and nowhere to be", "rain"),
            Option("lightning", "Something dramatic over the hills", "storm"),
            Option("fog", "Fog to the garden wall and not a sound", "mist"),
            Option("blue", "Blue from one side to the other", "sun"),
        ),
    ),
    Question(
        "hour",
        "Which hour of the day is really yours?",
        "The one you would keep if you had to give back the others.",
        (
            Option("dawn", "Six in the morning, before anybody else", "mist"),
            Option("noon", "Noon, with the door open", "sun"),
            Option("four", "Four o'clock, lamps still off", "storm"),
            Option("night", "The last hour, in socks", "rain"),
        ),
    ),
    Question(
        "shelf",
        "You may steal one thing from a friend's kitchen. You take…",
        "They will not notice. Biscuit will not tell.",
        (
            Option("toast", "The end of the loaf, and the butter", "rain"),
            Option("cheese", "A smoked cheese of great age", "storm"),
            Option("herbs", "A handful of herbs from the sill", "mist"),
            Option("jam", "Honey, straight from the spoon", "sun"),
        ),
    ),
    Question(
        "walk",
        "A free afternoon and dry boots. Where do you go?",
        "The boots need not stay dry.",
        (
            Option("ridge", "Up, until there is no more up", "storm"),
            Option("lane", "Along the lane to see who is about", "rain"),
            Option("shore", "To the shore, for the horizon", "mist"),
            Option("meadow", "As far as the first warm wall", "sun"),
        ),
    ),
    Question(
        "cup",
        "And how do you take it?",
        "There are no wrong answers, though there are some brave ones.",
        (
            Option("milk", "Strong, with milk", "rain"),
            Option("black", "Black, and hot enough to notice", "storm"),
            Option("plain", "Pale and plain, in a small cup", "mist"),
            Option("sweet", "Sweet, or cold, or both", "sun"),
        ),
    ),
)

OUTCOMES = {
    outcome.weather: outcome
    for outcome in (
        Outcome(
            "rain",
            "You are steady rain",
            "Dependable, good for the garden, and far better company than people who talk about sunshine will admit. "
            "You want a tea with a backbone and a pot that empties slowly.",
            ["moorland-breakfast", "nettle-and-rain", "wren-teapot"],
        ),
        Outcome(
            "storm",
            "You are weather over the ridge",
            "You like things to have an edge: smoke, salt, an argument about maps. Mild is a word for cheese that you do "
            "not buy. Your tea should arrive like a door blowing open.",
            ["thunder-ridge", "blackthorn", "tarn-kettle"],
        ),
        Outcome(
            "mist",
            "You are a quiet sea fret",
            "You notice small things, you leave parties early, and you own at least one cup that nobody else may use. "
            "Pale leaves, cool water and a little patience will repay you.",
            ["sea-fret", "first-frost", "drystone-cups"],
        ),
        Outcome(
            "sun",
            "You are a long bright spell",
            "Doors open, sleeves up, somebody's dog on your feet. You are generous with honey and with chairs. You need "
            "something that shares well and is as good cold as hot.",
            ["heather-honey", "barley-sun", "green-gale"],
        ),
    )
}


def outcome_of(answers: Mapping[str, str]) -> Outcome | None:
    """The sky that most answers speak for, the earlier answer winning a tie; None where no answer is one of ours."""
    skies = Counter(
        option.weather
        for question in QUESTIONS
        for option in question.options
        if answers.get(question.name) == option.value
    )
    return OUTCOMES[skies.most_common(1)[0][0]] if skies else None
