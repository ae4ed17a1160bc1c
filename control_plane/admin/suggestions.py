"""What the form offers while somebody types: the names of what there is.

Counterpart: `templates/fields.html` puts them into lists beside the fields; `mutation_form` asks.
Never: a bound on what may be typed; the rules decide that.
"""

from collections.abc import Iterable
from typing import Any

from control_plane.services import Services
from rules.context import ATTRIBUTES
from rules.model import DeclaredAttribute, Derived, Experiment, Journey, Quiz

SUGGESTIONS_MAX = 200

Suggestions = dict[str, list[tuple[str, str]]]
"""The last step of a field's name -> (value, what it is) of what there is."""

EMOTION = "emotion"
"""The attribute that the trigger of this name asks."""


async def suggestions(services: Services) -> Suggestions:
    """The newest of each kind, at most SUGGESTIONS_MAX; raises StoreError."""
    experiments = (await services.experiments.page(limit=SUGGESTIONS_MAX)).items
    attributes = (await services.attributes.page(limit=SUGGESTIONS_MAX)).items
    return {
        "moduleId": await services.modules.names(limit=SUGGESTIONS_MAX),
        "experimentId": _named(experiments),
        "mutationId": await services.mutations.names(limit=SUGGESTIONS_MAX),
        "savedGroup": await services.saved_groups.names(limit=SUGGESTIONS_MAX),
        "experiment": _named(experiments),
        "segment": await services.segments.names(limit=SUGGESTIONS_MAX),
        "site": [(site, "") for site in services.preview.sites() if site != "*"],
        **_of_experiments(experiments),
        **of_attributes(attributes),
    }


def of_attributes(declared: Iterable[DeclaredAttribute]) -> Suggestions:
    """Journeys, quizzes, their parts, emotions, and all attributes there are."""
    declared = list(declared)
    journeys = [one for one in declared if isinstance(one, Journey)]
    quizzes = [one for one in declared if isinstance(one, Quiz)]
    questions = [(quiz, question) for quiz in quizzes for question in quiz.questions]
    return {
        "journey": _named(journeys),
        "step": [(step.id, f"of {journey.id}") for journey in journeys for step in journey.steps],
        "quiz": _named(quizzes),
        "question": [(question.id, f"of {quiz.id}") for quiz, question in questions],
        "answers": [(answer, f"of {question.id}") for _, question in questions for answer in question.answers],
        "emotions": [(word, "") for one in declared if one.id == EMOTION for word in _words(one)],
        "attribute": [(one.name, one.source) for one in ATTRIBUTES] + _named(declared),
    }


def _of_experiments(experiments: Iterable[Experiment]) -> Suggestions:
    return {"variations": [(arm.key, f"of {one.id}") for one in experiments for arm in one.variations]}


def _words(attribute: DeclaredAttribute) -> list[str]:
    """The values that a derived attribute has by the rules themselves."""
    if not isinstance(attribute, Derived):
        return []
    otherwise = [] if attribute.otherwise is None else [attribute.otherwise]
    return list(dict.fromkeys([*(case.value for case in attribute.cases), *otherwise]))


def _named(documents: Iterable[Any]) -> list[tuple[str, str]]:
    return [(document.id, document.name) for document in documents]
