"""A trigger -> what is asked of a visit before the mutation's own conditions.

Nearly all triggers are conditions over attributes, written shorter; the times of a schedule and the variations of an
experiment are asked in their own ways. Those of the browser are considered there, and always here.
Counterpart: `rules.triggers` has their fields, `rules.decision` asks. Raises RulesError with the JSON path.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import re2
from msgspec import Struct

from rules import model
from rules.assignment import CompiledExperiment
from rules.errors import RulesError
from rules.model import Trigger
from rules.pages import normalised_site
from rules.schedules import compile_schedule
from rules.targeting import ALWAYS, Condition, shared_condition

K = TypeVar("K", model.Journey, model.Quiz)


class Enrolment(Struct, frozen=True):
    """Which variations of an experiment a visit must be in."""

    experiment: CompiledExperiment
    variations: frozenset[str]


class Occasion(Struct, frozen=True):
    """A trigger, compiled; one without anything is always there."""

    condition: Condition = ALWAYS
    schedule: Callable[[datetime], bool] | None = None
    enrolment: Enrolment | None = None

    @property
    def reads(self) -> frozenset[str]:
        """Attributes that it may look at."""
        return self.condition.reads | (self.enrolment.experiment.reads if self.enrolment else frozenset())

    @property
    def is_always(self) -> bool:
        """Whether there is nothing to ask."""
        return not self.condition.clauses and self.schedule is None and self.enrolment is None


class Declared(Struct, frozen=True):
    """What triggers may name."""

    segments: Mapping[str, Condition]
    experiments: Mapping[str, CompiledExperiment]
    attributes: Mapping[str, model.DeclaredAttribute]


def compile_occasion(trigger: Trigger, declared: Declared, path: str) -> Occasion:
    """The trigger at `path`; raises RulesError for what is not declared."""
    match trigger:
        case model.InSegment():
            check_known("segment", trigger.segment, declared.segments, f"{path}.segment")
            return Occasion(condition=declared.segments[trigger.segment])
        case model.OnSchedule():
            return Occasion(schedule=compile_schedule(trigger.schedule, f"{path}.schedule"))
        case model.InVariation():
            return Occasion(enrolment=_enrolment(trigger, declared.experiments, path))
    return Occasion(condition=shared_condition(condition_of(trigger, declared, path), path=path))


def check_known(kind: str, name: str, known: Mapping[str, object] | Sequence[str], path: str) -> None:
    """Raise RulesError for a name that is not among the known ones."""
    if name not in known:
        names = ", ".join(sorted(known)[:20]) or "none"
        raise RulesError(f"there is no {kind} {name!r} in this file; known: {names}", path)


def _enrolment(trigger: model.InVariation, known: Mapping[str, CompiledExperiment], path: str) -> Enrolment:
    check_known("experiment", trigger.experiment, known, f"{path}.experiment")
    experiment = known[trigger.experiment]
    for index, key in enumerate(trigger.variations):
        if key not in experiment.keys:
            problem = f"the experiment has no variation {key!r}; it has {', '.join(experiment.keys)}"
            raise RulesError(problem, f"{path}.variations[{index}]")
    return Enrolment(experiment, frozenset(trigger.variations or experiment.keys))


def condition_of(trigger: Trigger, declared: Declared, path: str) -> dict[str, Any]:
    """What a trigger asks of attributes by itself, as a condition; raises RulesError for what is not declared."""
    match trigger:
        case model.AtStep():
            return _at_step(trigger, declared, path)
        case model.Answered():
            return _answered(trigger, declared, path)
        case model.Feels():
            return {"emotion": {"$in": trigger.emotions}}
        case model.OnDevice():
            return {"device": {"$in": list(trigger.devices)}}
        case model.InRegion():
            return _in_region(trigger.regions)
        case model.InLocale():
            ranges = "|".join(sorted(re2.escape(one.lower()) for one in trigger.locales))
            return {"locale": {"$regex": f"^(?:{ranges})(?:-|$)"}}
        case model.ReferredBy():
            return _referred_by(trigger, path)
    return {}


def _at_step(trigger: model.AtStep, declared: Declared, path: str) -> dict[str, Any]:
    journeys = _of_kind(declared, model.Journey)
    check_known("journey", trigger.journey, journeys, f"{path}.journey")
    check_known("step", trigger.step, [step.id for step in journeys[trigger.journey].steps], f"{path}.step")
    if trigger.progress is model.Progress.AT:
        return {f"{trigger.journey}.step": trigger.step}
    reached = {f"{trigger.journey}.reached": {"$elemMatch": {"$eq": trigger.step}}}
    return reached if trigger.progress is model.Progress.REACHED else {"$not": reached}


def _answered(trigger: model.Answered, declared: Declared, path: str) -> dict[str, Any]:
    quizzes = _of_kind(declared, model.Quiz)
    check_known("quiz", trigger.quiz, quizzes, f"{path}.quiz")
    questions = {question.id: question for question in quizzes[trigger.quiz].questions}
    check_known("question", trigger.question, questions, f"{path}.question")
    for index, answer in enumerate(trigger.answers):
        check_known("answer", answer, questions[trigger.question].answers, f"{path}.answers[{index}]")
    return {f"{trigger.quiz}.{trigger.question}": {"$in": trigger.answers} if trigger.answers else {"$exists": True}}


def _of_kind(declared: Declared, kind: type[K]) -> dict[str, K]:
    return {name: one for name, one in declared.attributes.items() if isinstance(one, kind)}


def _in_region(regions: Sequence[str]) -> dict[str, Any]:
    countries = [one for one in regions if "-" not in one]
    parts = [one for one in regions if "-" in one]
    asked = [{name: {"$in": codes}} for name, codes in (("country", countries), ("region", parts)) if codes]
    return asked[0] if len(asked) == 1 else {"$or": asked}


def _referred_by(trigger: model.ReferredBy, path: str) -> dict[str, Any]:
    """Each field that is given, of this page's referral or of the first one."""
    host, campaign = ("firstReferral.referrer", "firstReferral") if trigger.first else ("referrer", "campaign")
    asked: dict[str, Any] = {}
    if trigger.referrers:
        sites = [normalised_site(one, f"{path}.referrers[{index}]") for index, one in enumerate(trigger.referrers)]
        hosts = "|".join(
            sorted(r".*" + re2.escape(one[1:]) if one.startswith("*.") else re2.escape(one) for one in sites)
        )
        asked[host] = {"$regex": f"^(?:{hosts})$"}
    for name, words in (("source", trigger.sources), ("medium", trigger.mediums), ("name", trigger.campaigns)):
        if words:
            asked[f"{campaign}.{name}"] = {"$ini": words}
    return asked
