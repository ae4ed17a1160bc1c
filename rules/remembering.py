"""What a page adds to what is remembered of a visitor, and the attributes that follow from it.

A page is remembered first and decided then, so that the page with the answer of a quiz already knows it. Conditions of steps
and counters see the visit as it comes, with what was remembered *before* this page: all steps and counters of a page see the
same, whatever their order. What the file declares no longer is dropped.
Counterparts: `rules.attributes` has the fields, `rules.state` what is kept, `sidecar.remembering` asks. Raises RulesError with
the JSON path where conditions or pages make no sense.
Never: a clock, a store, or a value in place of one that the visit brings.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from rules import limits
from rules.assignment import CompiledExperiment
from rules.attributes import Within
from rules.context import Context
from rules.derivation import NOTHING_DERIVED, Derivation
from rules.model import Counter, DeclaredAttribute, Derived, Journey, Quiz
from rules.pages import Matcher, compile_page, compile_site
from rules.state import Referral, State, bounded, minute_of, short
from rules.targeting import Condition, Groups, shared_condition

VISIT_ATTRIBUTES = frozenset({"firstReferral", "visits", "pagesSeen"})
"""Attributes of the registry that are remembered, where rules read them."""
_SIGNS = (b"firstReferral", b"visits", b"pagesSeen", b"\xa5first\xc3")
"""What the MessagePack of a mutation has in it that reads one of them; the last is `first: true` of a referral."""


class _Place(Struct, frozen=True):
    """Pages of some kind, and what else must be true of a visit there."""

    site: Matcher
    page: Matcher
    condition: Condition

    def holds_page(self, context: Context) -> bool:
        return self.holds(context.site, context.path)

    def holds(self, site: str, path: str) -> bool:
        return self.page(path) and self.site(site)


class _Journey(Struct, frozen=True):
    within: Within
    steps: tuple[tuple[str, _Place], ...]
    names: frozenset[str]
    """Of the steps."""


class _Quiz(Struct, frozen=True):
    within: Within
    place: _Place
    questions: tuple[tuple[str, str, frozenset[str]], ...]
    """Question, parameter, answers that count."""
    allowed: Mapping[str, frozenset[str]]
    """Question -> answers that count."""

    def answers(self, context: Context) -> dict[str, str]:
        """Question -> answer, for those that this page brings."""
        query = context.attributes.get("query")
        if not query or not isinstance(query, Mapping) or not self.place.holds_page(context):
            return {}
        given = ((question, query.get(parameter), answers) for question, parameter, answers in self.questions)
        return {
            question: answer for question, answer, answers in given if isinstance(answer, str) and answer in answers
        }


class _Counter(Struct, frozen=True):
    within: Within
    place: _Place
    max: int


class Memory(Struct, frozen=True):
    """What a rules file wants to be remembered, compiled."""

    journeys: Mapping[str, _Journey] = {}
    quizzes: Mapping[str, _Quiz] = {}
    counters: Mapping[str, _Counter] = {}
    names: tuple[str, ...] = ()
    """Of all of these, in the file's order."""
    sticky: frozenset[str] = frozenset()
    """Experiments whose assignments stick."""
    derivation: Derivation = NOTHING_DERIVED
    reads: frozenset[str] = frozenset()
    """Attributes that conditions of steps and counters look at, and those behind them."""
    has_sessions: bool = False
    """Whether it matters when a session ends."""
    of_visits: frozenset[str] = frozenset()
    """Which of `VISIT_ATTRIBUTES` rules of this table read."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be remembered of anybody."""
        return not (self.names or self.sticky or self.of_visits)

    def asks(self, site: str, path: str) -> frozenset[str]:
        """Attributes of a visit that it may look at on this page, beside those that it has itself."""
        asked: set[str] = {"referrer", "campaign"} if "firstReferral" in self.of_visits else set()
        for quiz in self.quizzes.values():
            if quiz.place.holds(site, path):
                asked.add("query")
        if self.reads and any(place.condition.reads and place.holds(site, path) for place in self._conditional):
            asked |= self.reads
        return frozenset(asked)

    @property
    def _conditional(self) -> Iterator[_Place]:
        """Where conditions are asked."""
        for journey in self.journeys.values():
            yield from (place for _, place in journey.steps)
        yield from (counter.place for counter in self.counters.values())

    def reading(self, attributes: frozenset[str]) -> "Memory":
        """The same for a table whose rules read these attributes."""
        read = VISIT_ATTRIBUTES & (attributes | self.reads)
        return structs.replace(self, of_visits=read, has_sessions=self.has_sessions or bool(read - {"firstReferral"}))

    def adds(self, context: Context) -> bool:
        """Whether this page could add something, whoever visits it: then it is for one visitor only."""
        if self.of_visits:
            return True
        if any(place.holds_page(context) for one in self.journeys.values() for _, place in one.steps):
            return True
        if any(one.place.holds_page(context) for one in self.counters.values()):
            return True
        return any(one.answers(context) for one in self.quizzes.values())


def mentions_visits(written: bytes) -> bool:
    """Whether a mutation's bytes may read one of `VISIT_ATTRIBUTES`; a no is certain."""
    return any(sign in written for sign in _SIGNS)


# ---------------------------------------------------------------- compiling


def compile_memory(
    declared: Sequence[DeclaredAttribute],
    experiments: Mapping[str, CompiledExperiment],
    *,
    derivation: Derivation,
    groups: Groups,
    path: str,
) -> Memory:
    """What the attributes at `path` and the experiments want to be remembered; raises RulesError."""
    journeys: dict[str, _Journey] = {}
    quizzes: dict[str, _Quiz] = {}
    counters: dict[str, _Counter] = {}
    places: list[_Place] = []
    for index, one in enumerate(declared):
        at = f"{path}[{index}]"
        match one:
            case Journey():
                steps = tuple(
                    (step.id, _place(step.site, step.page_slug, step.conditions, groups, f"{at}.steps[{number}]"))
                    for number, step in enumerate(one.steps)
                )
                places += (place for _, place in steps)
                journeys[one.id] = _Journey(one.within, steps, frozenset(name for name, _ in steps))
            case Quiz():
                quizzes[one.id] = _quiz(one, groups, at)
            case Counter():
                place = _place(one.site, one.page_slug, one.conditions, groups, at)
                places.append(place)
                counters[one.id] = _Counter(one.within, place, one.max)
    kept: tuple[_Journey | _Quiz | _Counter, ...] = (*journeys.values(), *quizzes.values(), *counters.values())
    return Memory(
        has_sessions=any(one.within is Within.SESSION for one in kept),
        journeys=journeys,
        quizzes=quizzes,
        counters=counters,
        names=tuple(one.id for one in declared if not isinstance(one, Derived)),
        sticky=frozenset(name for name, one in experiments.items() if one.sticky_key is not None),
        derivation=derivation,
        reads=derivation.behind(frozenset().union(*(place.condition.reads for place in places))),
    )


def _quiz(quiz: Quiz, groups: Groups, at: str) -> _Quiz:
    questions = tuple((one.id, one.parameter or one.id, frozenset(one.answers)) for one in quiz.questions)
    allowed = {question: answers for question, _, answers in questions}
    return _Quiz(quiz.within, _place(quiz.site, quiz.page_slug, {}, groups, at), questions, allowed)


def _place(site: str, page: str, conditions: Mapping[str, Any], groups: Groups, at: str) -> _Place:
    return _Place(
        compile_site(site, f"{at}.site"),
        compile_page(page, f"{at}.pageSlug"),
        shared_condition(conditions, path=f"{at}.conditions", groups=groups),
    )


# ---------------------------------------------------------------- remembering


def recalled(state: State, context: Context, memory: Memory) -> State:
    """What still counts of a state at this moment: what is declared, and of a session that is over nothing."""
    over = _is_new_session(state, context)
    journeys = {
        name: tuple(step for step in state.journeys[name] if step in one.names)
        for name, one in memory.journeys.items()
        if name in state.journeys and _lasts(one.within, over)
    }
    quizzes = {
        name: {key: answer for key, answer in state.quizzes[name].items() if answer in one.allowed.get(key, ())}
        for name, one in memory.quizzes.items()
        if name in state.quizzes and _lasts(one.within, over)
    }
    counters = {
        name: min(state.counters[name], one.max)
        for name, one in memory.counters.items()
        if name in state.counters and _lasts(one.within, over)
    }
    return structs.replace(
        state,
        pages=0 if over else state.pages,
        journeys={name: reached for name, reached in journeys.items() if reached},
        quizzes={name: answers for name, answers in quizzes.items() if answers},
        counters=counters,
    )


def remember(state: State, context: Context, memory: Memory) -> State:
    """The state after this page; the same for the same arguments, and within its bound."""
    before = recalled(state, context, memory)
    attributes = _attributes(before, context, memory) if memory.reads else context.attributes
    minute = minute_of(context.now)
    sessions = before.sessions + (1 if _is_new_session(state, context) or not before.sessions else 0)
    after = State(
        day=state.day if state.minute else minute // (24 * 60),
        minute=minute,
        sessions=min(sessions, limits.COUNT_MAX) if "visits" in memory.of_visits else before.sessions,
        pages=min(before.pages + 1, limits.COUNT_MAX) if "pagesSeen" in memory.of_visits else before.pages,
        referral=_referral(before.referral, context) if "firstReferral" in memory.of_visits else before.referral,
        journeys=before.journeys | _reached(before, context, attributes, memory),
        quizzes=before.quizzes | _answered(before, context, memory),
        counters=before.counters | _counted(before, context, attributes, memory),
        assigned=state.assigned,
    )
    return _tidy(after, memory)


def assigned(state: State, remembers: Mapping[str, str], memory: Memory) -> State:
    """The state with what a decision wants to be remembered (`Decision.remember`)."""
    if not remembers:
        return state
    return _tidy(structs.replace(state, assigned=state.assigned | dict(remembers)), memory)


def is_news(before: State, after: State, memory: Memory) -> bool:
    """Whether the browser must be told: something changed, or the last page it knows of is too long ago."""
    if structs.replace(after, minute=before.minute) != before:
        return not (before.is_empty and after.is_empty)
    age = after.minute - before.minute
    stale = limits.STATE_MINUTES_STALE if memory.has_sessions else 24 * 60
    return not after.is_empty and not 0 <= age < stale


def attributes_of(state: State, memory: Memory) -> dict[str, Any]:
    """What rules see of a state: each declared attribute, and those of `VISIT_ATTRIBUTES` that they read."""
    found: dict[str, Any] = {
        name: _progress(one, state.journeys.get(name, ())) for name, one in memory.journeys.items()
    }
    found |= {name: state.quizzes.get(name, {}) for name in memory.quizzes}
    found |= {name: state.counters.get(name, 0) for name in memory.counters}
    if "visits" in memory.of_visits:
        found["visits"] = state.sessions
    if "pagesSeen" in memory.of_visits:
        found["pagesSeen"] = state.pages
    if "firstReferral" in memory.of_visits and (first := state.referral) is not None:
        said = {"source": first.source, "medium": first.medium, "name": first.name, "landing": first.landing}
        found["firstReferral"] = {"referrer": first.referrer} | {name: text for name, text in said.items() if text}
    return found


def _lasts(within: Within, session_over: bool) -> bool:
    return within is Within.VISITOR or not session_over


def _is_new_session(state: State, context: Context) -> bool:
    return not state.minute or minute_of(context.now) - state.minute >= limits.SESSION_MINUTES


def _attributes(before: State, context: Context, memory: Memory) -> Mapping[str, Any]:
    """The visit as it comes, with what was remembered before this page."""
    return memory.derivation.completed({**attributes_of(before, memory), **context.attributes}, memory.reads)


def _progress(journey: _Journey, reached: Collection[str]) -> dict[str, Any]:
    in_order = [step for step, _ in journey.steps if step in reached]
    progress: dict[str, Any] = {"reached": in_order, "completed": len(in_order) == len(journey.steps)}
    return progress | {"step": list(reached)[-1], "furthest": in_order[-1]} if in_order else progress


def _reached(
    before: State, context: Context, attributes: Mapping[str, Any], memory: Memory
) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, journey in memory.journeys.items():
        already = before.journeys.get(name, ())
        fresh = tuple(
            step for step, place in journey.steps if step not in already and _matches(place, context, attributes)
        )
        if fresh:
            found[name] = already + fresh
    return found


def _answered(before: State, context: Context, memory: Memory) -> dict[str, dict[str, str]]:
    given = {name: quiz.answers(context) for name, quiz in memory.quizzes.items()}
    return {name: before.quizzes.get(name, {}) | answers for name, answers in given.items() if answers}


def _counted(before: State, context: Context, attributes: Mapping[str, Any], memory: Memory) -> dict[str, int]:
    return {
        name: min(before.counters.get(name, 0) + 1, counter.max)
        for name, counter in memory.counters.items()
        if _matches(counter.place, context, attributes)
    }


def _matches(place: _Place, context: Context, attributes: Mapping[str, Any]) -> bool:
    return place.holds_page(context) and place.condition.failing(attributes) is None


def _referral(known: Referral | None, context: Context) -> Referral:
    """The first referral: the known one, else that of this page. A link of the site itself is none."""
    if known is not None:
        return known
    referrer, campaign = context.attributes.get("referrer"), context.attributes.get("campaign")
    said = campaign if isinstance(campaign, Mapping) else {}
    return Referral(
        referrer="" if referrer == context.site else short(referrer),
        source=short(said.get("source")),
        medium=short(said.get("medium")),
        name=short(said.get("name")),
        landing=short(context.path),
    )


def _tidy(state: State, memory: Memory) -> State:
    return bounded(state, experiments=memory.sticky, declared=memory.names)
