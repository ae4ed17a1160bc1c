"""Attributes that a rules file declares: what a visit remembers of earlier pages, and what follows from other attributes.

Each has a kind. Journeys, quizzes and counters live in the visitor's browser and grow with the pages that are visited;
a derived attribute is worked out for each decision. Conditions, triggers and placeholders read them by their id, like those
of the registry (`rules.context`).
Counterpart: `rules.derivation` compiles what is derived.
Never: behaviour.
"""

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

from rules import limits
from rules.fields import AttributeId, AttributePath, Name, ParameterName, Pattern, Record, WordId


class Within(StrEnum):
    """How long something is remembered: while pages follow each other, or as long as the browser keeps it."""

    SESSION = "session"
    VISITOR = "visitor"


class Step(Record, frozen=True, kw_only=True):
    """One step of a journey: reached with the first page that matches."""

    id: WordId
    site: Pattern = "*"
    """Host it belongs to, as in a mutation."""
    page_slug: Pattern
    """Path pattern of the pages that reach it, as in a mutation."""
    conditions: dict[str, Any] = {}
    """What else must be true of the visit."""


class Journey(Record, tag_field="kind", tag="journey", frozen=True, kw_only=True):
    """Pages that visitors are expected to pass, and how far a visitor got.

    Its value is an object: `step` (the one that was reached last), `furthest` (the last one by the order here that was
    reached), `reached` (a list, in the order here) and `completed` (whether all were reached).
    """

    id: AttributeId
    name: Name = ""
    within: Within = Within.SESSION
    steps: Annotated[list[Step], Meta(min_length=1, max_length=limits.STEPS_MAX)]

    def __post_init__(self) -> None:
        _check_unique("steps", self.steps)


class Question(Record, frozen=True, kw_only=True):
    """One question of a quiz, and the answers that count."""

    id: WordId
    parameter: ParameterName | None = None
    """Query parameter that brings the answer; the question's id where it is left out."""
    answers: Annotated[list[WordId], Meta(min_length=1, max_length=limits.ANSWERS_MAX)]
    """What may be answered; anything else is no answer."""


class Quiz(Record, tag_field="kind", tag="quiz", frozen=True, kw_only=True):
    """Questions that visitors answer on the site. Its value is an object: question -> answer, the last one given."""

    id: AttributeId
    name: Name = ""
    within: Within = Within.VISITOR
    site: Pattern = "*"
    """Host whose pages bring answers."""
    page_slug: Pattern = "*"
    """Path pattern of the pages whose query brings answers."""
    questions: Annotated[list[Question], Meta(min_length=1, max_length=limits.QUESTIONS_MAX)]

    def __post_init__(self) -> None:
        _check_unique("questions", self.questions)


class Counter(Record, tag_field="kind", tag="counter", frozen=True, kw_only=True):
    """How many pages of a kind were visited. Its value is a number, 0 before the first."""

    id: AttributeId
    name: Name = ""
    within: Within = Within.VISITOR
    site: Pattern = "*"
    page_slug: Pattern = "*"
    """Path pattern of the pages that count."""
    conditions: dict[str, Any] = {}
    """What else must be true of the visit."""
    max: Annotated[int, Meta(ge=1, le=limits.COUNT_MAX)] = 100
    """It counts no further: what is remembered stays small, and stays the same."""


class Case(Record, frozen=True, kw_only=True):
    """A value, and the visits that have it."""

    value: WordId
    conditions: dict[str, Any]


class Derived(Record, tag_field="kind", tag="derived", frozen=True, kw_only=True):
    """A word that follows from other attributes, for example an archetype or an emotion: what the site says itself, else the
    first case whose conditions hold, else `otherwise`."""

    id: AttributeId
    name: Name = ""
    given_by: AttributePath | None = None
    """An attribute that says it where the visit has it, for example `page.emotion`, which the origin hands over."""
    cases: Annotated[list[Case], Meta(max_length=limits.CASES_MAX)] = []
    """The first whose conditions hold; they may read other derived attributes, but not in a circle."""
    otherwise: WordId | None = None
    """For all other visits; null for no value."""

    def __post_init__(self) -> None:
        if self.given_by is None and not self.cases and self.otherwise is None:
            raise ValueError("say where it comes from: `givenBy`, `cases` or `otherwise`")


DeclaredAttribute = Journey | Quiz | Counter | Derived


def _check_unique(field: str, named: list[Step] | list[Question]) -> None:
    ids = [one.id for one in named]
    if len(set(ids)) != len(ids):
        raise ValueError(f"the ids of `{field}` must differ")
