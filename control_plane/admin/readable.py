"""What conditions can read, one line for each: the registry's attributes and the declared ones, with their parts.

Counterpart: `templates/readable.html` lists it beside the conditions, and `static/conditions.js` offers it in its rows.
Never: a bound on what a condition reads; visits may bring attributes that nobody listed.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from control_plane.admin.suggestions import SUGGESTIONS_MAX
from control_plane.services import Services
from rules.context import ATTRIBUTES, Attribute, Privacy
from rules.model import Counter, DeclaredAttribute, Derived, Journey, Quiz

PRIVACY: dict[Privacy, str] = {
    Privacy.PAGE: "the page",
    Privacy.VISITOR: "the visitor",
    Privacy.KEPT: "the visitor’s browser",  # noqa: RUF001 - sentences for people have real apostrophes
}
"""What an attribute depends on; whatever is not the page keeps a page out of shared caches."""


class Readable(Struct, frozen=True):
    """One thing that a condition may name."""

    name: str
    type: str
    """`string`, `number`, `boolean`, `list`, or `object` for one whose parts nobody knows beforehand."""
    source: str
    privacy: Privacy
    values: tuple[str, ...] = ()
    """All words that it can be; empty where that is open, or where it is no text."""


async def readable(services: Services) -> tuple[Readable, ...]:
    """Everything that is known; raises StoreError."""
    declared = (await services.attributes.page(limit=SUGGESTIONS_MAX)).items
    return (*of_registry(ATTRIBUTES), *of_declared(sorted(declared, key=lambda one: one.id)))


def of_registry(attributes: Iterable[Attribute]) -> Iterator[Readable]:
    """The registry, an object that has known parts by those."""
    for one in attributes:
        if not one.members:
            words = tuple(value for value in one.values if isinstance(value, str))
            yield Readable(one.name, one.type, one.source, one.privacy, words)
        for member in one.members:
            yield Readable(f"{one.name}.{member.name}", member.type, member.source, one.privacy)


def of_declared(attributes: Iterable[DeclaredAttribute]) -> Iterator[Readable]:
    """What the rules declare, by the parts that conditions name."""
    for one in attributes:
        match one:
            case Journey():
                yield from _of_journey(one)
            case Quiz():
                for question in one.questions:
                    answers = tuple(question.answers)
                    yield Readable(f"{one.id}.{question.id}", "string", f"quiz {_title(one)}", Privacy.KEPT, answers)
            case Counter():
                yield Readable(one.id, "number", f"counter {_title(one)}", Privacy.KEPT)
            case Derived():
                last = [] if one.otherwise is None else [one.otherwise]
                words = tuple(dict.fromkeys([*(case.value for case in one.cases), *last]))
                # What the site says itself may be any word.
                yield Readable(one.id, "string", f"derived {_title(one)}", Privacy.VISITOR, words)


def _of_journey(journey: Journey) -> Iterator[Readable]:
    steps, title = tuple(step.id for step in journey.steps), f"journey {_title(journey)}"
    yield Readable(f"{journey.id}.step", "string", f"{title}: the step reached last", Privacy.KEPT, steps)
    yield Readable(f"{journey.id}.furthest", "string", f"{title}: the furthest step", Privacy.KEPT, steps)
    yield Readable(f"{journey.id}.reached", "list", f"{title}: all steps reached", Privacy.KEPT, steps)
    yield Readable(f"{journey.id}.completed", "boolean", f"{title}: whether all were reached", Privacy.KEPT)


def _title(attribute: DeclaredAttribute) -> str:
    return attribute.name or attribute.id
