"""Changes made while the database was away that met others: listed, and settled by a person for one side.

Counterpart: `control_plane.store.mirror.replay` keeps them. Never: a choice that nobody made; until it is settled, what the
database has is in force and both sides are kept.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
import structlog

from control_plane import codec
from control_plane.alerts import Alerts
from control_plane.documents import Documents
from control_plane.intent import Action, Intent, Publication
from control_plane.publishing import Publishing
from control_plane.refusals import Refusal, Refused
from control_plane.store import Installation, Kind, Reader, Shelf, Store, StoreError, Transaction
from control_plane.store.mirror.conflicts import Conflict, ConflictDocument, Met, Side, side, tell
from rules.errors import RulesError

INTERVAL_S = 2.0

log = structlog.get_logger("conflicts")


class Choice(StrEnum):
    """Which side is in force from now on."""

    OURS = "ours"
    """What was written while the database was away; it becomes a new version."""
    THEIRS = "theirs"
    """What the database has; nothing changes."""


class ConflictView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A conflict as people see it."""

    id: str
    at: datetime
    """When the change was made, while the database was away."""
    found_at: datetime
    actor: str
    reason: str
    problem: str
    """What is in the way."""
    documents: tuple[Met, ...]


class Settled(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What came of settling a conflict."""

    id: str
    choice: Choice
    publication: Publication


class Conflicts:
    """The conflicts of this installation."""

    def __init__(
        self, store: Store, publishing: Publishing, documents: Sequence[Documents[Any]], alerts: Alerts
    ) -> None:
        self._store = store
        self._publishing = publishing
        self._documents: dict[Kind, Documents[Any]] = {one.kind: one for one in documents}
        self._alerts = alerts
        self._looked: tuple[Installation | None, int] | None = None
        """Whose shelf was counted last, and after which change."""

    async def list(self) -> tuple[ConflictView, ...]:
        """Those that nobody has settled, in the order in which the changes were made; raises StoreError."""
        found = [_decode(one.content) for one in await self._store.shelf(Shelf.CONFLICT)]
        ordered = sorted(found, key=lambda one: (one.at, one.id))
        return tuple([await _view(self._store, one) for one in ordered])

    async def settle(
        self, conflict_id: str, choice: Choice, intent: Intent, *, seen: Sequence[int] | None = None
    ) -> Settled:
        """Choose a side; raises Refused (`not_found`, `reason_required`, `version_conflict`, …), RulesError, StoreError.

        `seen`: present versions of its documents, in their order and 0 for none, as whoever chooses saw them.
        """
        if not intent.reason:
            raise Refused(Refusal.REASON_REQUIRED, "say in `reason` why this side counts")
        async with self._publishing.change(intent) as change:
            kept = await change.transaction.kept(Shelf.CONFLICT, conflict_id) if "\0" not in conflict_id else None
            if kept is None:
                raise Refused(Refusal.NOT_FOUND, f"there is no conflict {conflict_id[:80]}; it may be settled already")
            documents = _decode(kept.content).documents
            if seen is not None:
                await _check_seen(change.transaction, documents, seen)
            if choice is Choice.OURS:
                for one in documents:
                    await self._documents[one.kind].put_again(
                        change, one.id, bytes(one.ours.content), deleted=one.ours.deleted
                    )
                for one in documents:
                    await self._documents[one.kind].check_put_back(change, one.id)
            await change.transaction.discard(Shelf.CONFLICT, conflict_id, change.at)
            change.note(Action.CONFLICT_SETTLED, "conflict", conflict_id)
            left = await change.transaction.shelf(Shelf.CONFLICT)
        tell(self._alerts, len(left))
        return Settled(id=conflict_id, choice=choice, publication=change.publication)

    async def keep(self) -> None:
        """Until cancelled: people are told as long as any are open, whichever instance found or settled them."""
        while True:
            try:
                await self.look()
            except StoreError:
                pass  # `conditions.py` says that the store is away
            except Exception as error:  # a loop that an unforeseen error can end would tell nobody any more
                log.exception("conflicts_not_counted", error=type(error).__name__)
            await asyncio.sleep(INTERVAL_S)

    async def look(self) -> None:
        """Count them, if anything was written since the last time; raises StoreError."""
        position = await self._store.position()
        at = (position.installation, position.change)
        if at != self._looked:
            tell(self._alerts, len(await self._store.shelf(Shelf.CONFLICT)))
            self._looked = at

    async def approve(
        self, transaction: Transaction, kind: Kind, document_id: str, content: bytes, deleted: bool
    ) -> str:
        """What is wrong with a document of a change that is replayed; empty if nothing is."""
        try:
            if deleted:
                await self._documents[kind].check_unused(document_id, transaction)
            else:
                await self._documents[kind].check_in(codec.decode(kind, content), transaction)
        except Refused as error:
            return error.detail
        except RulesError as error:
            return str(error)
        return ""


def _decode(content: bytes) -> Conflict:
    try:
        return msgspec.json.decode(content, type=Conflict)
    except msgspec.MsgspecError as error:
        raise StoreError(f"a stored conflict can't be read: {error}") from error


async def _view(reader: Reader, conflict: Conflict) -> ConflictView:
    return ConflictView(
        id=conflict.id,
        at=conflict.at,
        found_at=conflict.found_at,
        actor=conflict.actor,
        reason=conflict.reason,
        problem=conflict.problem,
        documents=tuple([await _met(reader, one) for one in conflict.documents]),
    )


async def _met(reader: Reader, one: ConflictDocument) -> Met:
    there = await reader.find(one.kind, one.id)
    version = None if there is None else await reader.version(one.kind, one.id, there.version)
    present: Side | None = None if there is None or version is None else side(version, deleted=there.deleted)
    return Met(kind=one.kind, id=one.id, ours=one.ours, theirs=one.theirs, present=present)


async def _check_seen(reader: Reader, documents: Sequence[ConflictDocument], seen: Sequence[int]) -> None:
    for place, one in enumerate(documents):
        there = await reader.find(one.kind, one.id)
        version = 0 if there is None else there.version
        if place >= len(seen) or seen[place] != version:
            saw = seen[place] if place < len(seen) else "none"
            problem = f"the {one.kind.noun} {one.id} is at version {version} now, you saw {saw}"
            raise Refused(Refusal.VERSION_CONFLICT, f"{problem}; look at both sides again, and choose then")
