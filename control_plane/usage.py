"""Who needs a document, so that it is not deleted.

Counterpart: `documents.py` asks before it deletes; what would break visitors' rules, `publishing.py` refuses on top of that.
Never: an archived mutation; nobody gets it, and it can be written anew.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

import msgspec

from control_plane import codec
from control_plane.codec import AnyDocument
from control_plane.company import MEMBERS, everything
from control_plane.store import Kind, Reader
from rules.errors import RulesError
from rules.model import Counter, DeclaredAttribute, Derived, Journey, LayoutMutation, RulesFile, Status
from rules.rows import Company, company_of, compile_row
from rules.targeting import shared_condition

User = tuple[Kind, str]
"""Kind and id of a document that needs another."""


MUTATIONS_AT_ONCE = 500


async def user_of(kind: Kind, document_id: str, reader: Reader) -> User | None:
    """A document that needs this one, None if none does; raises StoreError.

    Of the mutations only those are read that have its id somewhere in them, and no more than are needed at a time. Who needs it
    through another document is not looked for: that one needs it too.
    """
    others = await everything(reader, but=Kind.MUTATION)
    found = await asyncio.to_thread(lambda: next(users(kind, document_id, others), None))
    for text in _texts(kind, document_id, others):
        after = ""
        while found is None and (stored := await reader.containing(text, after, MUTATIONS_AT_ONCE)):
            after = stored[-1].id
            some = msgspec.structs.replace(others, mutations=codec.decode_all(Kind.MUTATION, stored))
            found = await asyncio.to_thread(lambda rules: next(users(kind, document_id, rules), None), some)
    return found


def _texts(kind: Kind, document_id: str, others: RulesFile) -> Iterator[str]:
    """One of these is in the JSON of every mutation that needs the document, though not in those alone."""
    if kind is not Kind.ATTRIBUTE:
        yield f'"{document_id}"'
        return
    yield document_id  # it may be a part of a text, as in {{mood|calm}}
    for module in others.modules:
        if document_id in module.template:  # what is made of it is filled from the visit
            yield f'"{module.id}"'


def users(kind: Kind, document_id: str, rules: RulesFile) -> Iterator[User]:
    """All that need a document. What can't be compiled needs no attribute: nobody gets it."""
    match kind:
        case Kind.ATTRIBUTE:
            with suppress(RulesError):
                yield from _readers(document_id, rules, company_of(rules))
        case Kind.SAVED_GROUP:
            yield from ((other, one.id) for other, one in _all(rules) if document_id in codec.groups_of(one))
        case _:
            yield from _naming(kind, document_id, rules)


def _naming(kind: Kind, document_id: str, rules: RulesFile) -> Iterator[User]:
    for mutation in _kept(rules):
        if codec.mentions(mutation, document_id):
            yield Kind.MUTATION, mutation.id
    if kind is Kind.EXPERIMENT:
        for experiment in rules.experiments:
            if any(one.experiment_id == document_id for one in experiment.prerequisites):
                yield Kind.EXPERIMENT, experiment.id
    for toggle in rules.toggles:
        if document_id == {Kind.MODULE: toggle.module_id, Kind.EXPERIMENT: toggle.experiment_id}.get(kind):
            yield Kind.TOGGLE, toggle.id


def _readers(attribute: str, rules: RulesFile, company: Company) -> Iterator[User]:
    """Documents that read an attribute, those first through which others do."""
    for declared in rules.attributes:
        if declared.id != attribute and attribute in _reads(declared, company):
            yield Kind.ATTRIBUTE, declared.id
    for name, condition in company.declared.segments.items():
        if attribute in condition.reads:
            yield Kind.SEGMENT, name
    for name, experiment in company.declared.experiments.items():
        if attribute in experiment.reads:
            yield Kind.EXPERIMENT, name
    for mutation in _kept(rules):
        with suppress(RulesError):
            if attribute in compile_row(mutation, company, "$").reads:
                yield Kind.MUTATION, mutation.id


def _reads(declared: DeclaredAttribute, company: Company) -> frozenset[str]:
    """Attributes that a declared one asks for itself."""
    if isinstance(declared, Derived):
        return company.derivation.rules[declared.id].reads
    conditions = [declared.conditions] if isinstance(declared, Counter) else []
    if isinstance(declared, Journey):
        conditions = [step.conditions for step in declared.steps]
    compiled = (shared_condition(one, path="$", groups=company.groups) for one in conditions)
    return frozenset().union(*(condition.reads for condition in compiled))


def _all(rules: RulesFile) -> Iterator[tuple[Kind, AnyDocument]]:
    others = ((kind, one) for kind in Kind if kind is not Kind.MUTATION for one in getattr(rules, MEMBERS[kind]))
    return chain(((Kind.MUTATION, mutation) for mutation in _kept(rules)), others)


def _kept(rules: RulesFile) -> Iterator[LayoutMutation]:
    return (mutation for mutation in rules.mutations if mutation.status is not Status.ARCHIVED)
