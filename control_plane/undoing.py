"""Undo: the inverse of one audit entry, or of all that one change did, as a change of its own.

Counterpart: `documents.py` brings versions back. Never: a later change lost; where one stands in the way, undo is refused and names it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from control_plane.documents import Documents
from control_plane.intent import Action, Intent, Publication
from control_plane.publishing import Change, Publishing
from control_plane.refusals import Refusal, Refused
from control_plane.store import Kind, Reader, Store, StoredAudit, StoredVersion

ENTRIES_AT_A_TIME = 200
NAMED_MAX = 10
PROSPECTS_MAX = 50
_KINDS = frozenset(kind.value for kind in Kind)


class UndoneDocument(msgspec.Struct, frozen=True):
    """One document that is as it was before."""

    kind: str
    id: str
    version: int
    """The new version."""


class Undone(msgspec.Struct, frozen=True, rename="camel"):
    """What an undo did."""

    number: int
    """The audit entry that was undone."""
    documents: tuple[UndoneDocument, ...]


class Prospect(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an undo would do to one document."""

    kind: str
    id: str
    present: int
    """The version that it is at; 0 where it was never there."""
    is_there: bool
    """Not deleted at present."""
    to_version: int | None
    """The version whose content it would have again; null: it would be deleted, a mutation archived."""
    problem: str = ""
    """The later change that stands in the way; empty where none does."""


class Outlook(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an undo would do, as things stand."""

    number: int
    together: int
    """Documents that were changed together with those of the entry, itself included; 0 where it changed none."""
    documents: tuple[Prospect, ...]
    """The first ones."""
    more: int = 0
    """How many are not among them."""


class Undoing:
    """Takes back what was done."""

    def __init__(self, store: Store, publishing: Publishing, documents: Sequence[Documents[Any]]) -> None:
        self._store = store
        self._publishing = publishing
        self._documents = {one.kind: one for one in documents}

    async def undo(self, number: int, intent: Intent, *, whole: bool = False) -> tuple[Undone, Publication]:
        """Undo entry `number`, or with `whole` everything that was done together with it.

        Raises:
            Refused: `not_found`, `reason_required`, `nothing_to_undo`, `changed_since`, `in_use`, `equal_exists`, …
            RulesError: what it would bring back is no longer usable in today's company.
            StoreError: nothing was saved.
        """
        if not intent.reason.strip():
            raise Refused(Refusal.REASON_REQUIRED, "say why you undo it: `reason`")
        reason = f"undo of audit entry {number}: {intent.reason}"
        async with self._publishing.change(msgspec.structs.replace(intent, reason=reason)) as change:
            earlier = await change.earlier_answer()
            if earlier is None:
                undone = await self._undo(change, number, whole=whole)
                await change.remember(msgspec.json.encode(undone))
            else:
                undone = msgspec.json.decode(earlier, type=Undone)
        return undone, change.publication

    async def outlook(self, number: int, *, whole: bool = False) -> Outlook:
        """What `undo` would do now; whether what comes back is usable, only doing it tells. Raises Refused (`not_found`), StoreError."""
        entries = await _entries(self._store, number, whole=True)
        spans = _spans(entries if whole else [one for one in entries if one.number == number])
        shown = list(reversed(spans.items()))[:PROSPECTS_MAX]
        documents = [await self._prospect(*name, *span) for name, span in shown]
        return Outlook(
            number=number,
            together=len(_spans(entries)),
            documents=tuple(documents),
            more=len(spans) - len(documents),
        )

    async def _prospect(self, kind: Kind, document_id: str, before: int | None, after: int) -> Prospect:
        present = await self._store.find(kind, document_id)
        target = None if before is None else await self._store.version(kind, document_id, before)
        fits = present is not None and present.version == after
        return Prospect(
            kind=kind.value,
            id=document_id,
            present=0 if present is None else present.version,
            is_there=present is not None and not present.deleted,
            to_version=None if target is None or target.action == Action.DELETED else target.version,
            problem="" if fits else await _conflict(self._store, kind, document_id, after),
        )

    async def _undo(self, change: Change, number: int, *, whole: bool) -> Undone:
        entries = await _entries(change.transaction, number, whole=whole)
        spans = _spans(entries)
        if not spans:
            raise Refused(
                Refusal.NOTHING_TO_UNDO, f"audit entry {number} changed no document; there is nothing to undo"
            )
        await self._check_untouched(change, spans)
        done = []
        for (kind, document_id), (before, _) in reversed(spans.items()):
            version = await self._documents[kind].put_back(change, document_id, before)
            done.append(UndoneDocument(kind.value, document_id, version))
        for kind, document_id in spans:
            await self._documents[kind].check_put_back(change, document_id)
        return Undone(number, tuple(done))

    async def _check_untouched(self, change: Change, spans: "Spans") -> None:
        """Raises Refused where a document was changed since, by whom and when; or is not at the version that was seen."""
        expected, conflicts = change.intent.expected_version, list[str]()
        for (kind, document_id), (_, after) in spans.items():
            present = await change.transaction.find(kind, document_id)
            if present is None or present.version != after:
                conflicts.append(await _conflict(change.transaction, kind, document_id, after))
            elif expected is not None and (len(spans) > 1 or present.version != expected):
                problem = f"the {kind.noun} {document_id} is at version {present.version}, you saw {expected}"
                raise Refused(
                    Refusal.VERSION_CONFLICT, f"{problem}; leave If-Match out where several documents are undone"
                )
        if conflicts:
            more = f", and {len(conflicts) - NAMED_MAX} more" if len(conflicts) > NAMED_MAX else ""
            problem = "; ".join(conflicts[:NAMED_MAX]) + more
            raise Refused(Refusal.CHANGED_SINCE, f"{problem}; undo those changes first, or roll back to a version")


Spans = dict[tuple[Kind, str], tuple[int | None, int]]
"""Document -> its version before, None where there was none, and after."""


async def _entries(reader: Reader, number: int, *, whole: bool) -> list[StoredAudit]:
    """The entry, or all of its changeset; those of one transaction have numbers in a row."""
    found = await reader.audit_page(None, None, number + 1, 1)
    if number < 1 or not found or found[0].number != number:
        raise Refused(Refusal.NOT_FOUND, f"there is no audit entry {number}")
    changeset = found[0].changeset
    if not whole or changeset is None:
        return found
    below, above = found, list[StoredAudit]()
    while page := await reader.audit_page(None, None, below[-1].number, ENTRIES_AT_A_TIME):
        below += [one for one in page if one.changeset == changeset]
        if page[-1].changeset != changeset:
            break
    top = number
    while page := await reader.audit_page(None, None, top + ENTRIES_AT_A_TIME + 1, ENTRIES_AT_A_TIME):
        fresh = [one for one in page if one.number > top and one.changeset == changeset]
        if not fresh:
            break
        above, top = [*fresh, *above], fresh[0].number
    return [*above, *below][::-1]


def _spans(entries: Sequence[StoredAudit]) -> Spans:
    spans: Spans = {}
    for entry in entries:
        if entry.kind in _KINDS and entry.version_after is not None:
            name = (Kind(entry.kind), entry.subject)
            first = spans[name][0] if name in spans else entry.version_before
            spans[name] = (first, entry.version_after)
    return spans


async def _conflict(reader: Reader, kind: Kind, document_id: str, after: int) -> str:
    later: StoredVersion | None = await reader.version(kind, document_id, after + 1)
    if later is None:
        return f"the {kind.noun} {document_id} is not at version {after}"
    done = Action(later.action).value.replace("_", " ")
    return f"the {kind.noun} {document_id} was {done} by {later.actor} since (version {later.version}, {later.at:%Y-%m-%d %H:%M} UTC)"
