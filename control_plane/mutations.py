"""Mutations: written, switched on and off, rolled back, archived; every version is kept.

The fields `version`, `createdBy`, `timestamp` and `rollbackPointer` belong to the server: whatever a request says about
them is ignored, so that a document that was read can be sent back. Counterpart: `publishing.py` brings what is switched
on to visitors. Never: a mutation that `rules.compiler` would refuse, not even as a draft.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

import msgspec
import uuid_utils

from control_plane import codec
from control_plane.company import company, from_mutation
from control_plane.documents import PAGE_LIMIT, Documents, checked_limit
from control_plane.gate import Gate, goes_to_visitors
from control_plane.intent import Action, Intent, Page, Saved
from control_plane.publishing import Change, Publishing
from control_plane.refusals import Refusal, Refused
from control_plane.store import Kind, Reader, Store, Stored
from control_plane.store.chroma import NEEDS_EXTRA, Index
from rules.cache_lint import cost_of
from rules.compiler import check_mutation
from rules.errors import RulesError
from rules.identity import identity_of
from rules.model import LayoutMutation, RulesFile, Status, VariantMutation
from rules.rows import company_of, compile_row

Switch = Callable[[LayoutMutation], LayoutMutation]


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which mutations a list shows; None for any."""

    active: bool | None = None
    status: Status | None = None
    """None shows all but archived ones, unless `include_archived`."""
    include_archived: bool = False
    site: str | None = None
    layout_id: str | None = None
    page_slug: str | None = None
    module_id: str | None = None
    mutation_type: str | None = None
    text: str | None = None
    """Part of the id, name or note, in any case."""

    def as_conditions(self) -> dict[str, object]:
        """What `Store.page` understands."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        archived = given.pop("include_archived")
        if self.status is not None:
            given["status"] = self.status.value
        elif not archived:
            given["not_status"] = Status.ARCHIVED.value
        return given


ALL = Filters()


def new_id() -> str:
    """A UUIDv7 (RFC 9562): unique without asking anybody, and in the order of time."""
    return str(uuid_utils.uuid7())


class Mutations(Documents[LayoutMutation]):
    """The mutations of this installation."""

    kind: ClassVar[Kind] = Kind.MUTATION

    def __init__(self, store: Store, publishing: Publishing, gate: Gate, index: Index | None = None) -> None:
        """`index` finds by meaning; None where that is not installed."""
        super().__init__(store, publishing)
        self._gate = gate
        self._index = index

    @property
    def finds_similar(self) -> bool:
        """Whether `similar` can answer here."""
        return self._index is not None

    async def page(
        self, filters: Filters = ALL, *, cursor: str | None = None, limit: int = PAGE_LIMIT
    ) -> Page[LayoutMutation]:
        """A part of a list, the last changed first; raises Refused (`bad_cursor`, `bad_parameter`)."""
        if filters.text is not None and "\0" in filters.text:
            return Page(())
        return await self._page(filters.as_conditions(), cursor, limit)

    async def close(self) -> None:
        """Let go of the index, where there is one."""
        if self._index is not None:
            await self._index.close()

    async def similar(
        self, text: str, *, include_archived: bool = False, limit: int = PAGE_LIMIT
    ) -> Page[LayoutMutation]:
        """Those that are nearest to a text by what they say, the nearest first; raises Refused (`bad_parameter`), StoreError."""
        if self._index is None:
            raise Refused(Refusal.BAD_PARAMETER, NEEDS_EXTRA)
        await self._index.follow(self._store)
        near = await self._index.near(self.kind, text, checked_limit(limit))
        found = [await self._store.find(self.kind, one.id) for one in near]
        mutations = [self._decode(one.content) for one in found if one is not None and not one.deleted]
        return Page(tuple(one for one in mutations if include_archived or one.status is not Status.ARCHIVED))

    async def check(self, mutation: LayoutMutation) -> None:
        """Raises RulesError for whatever `create` and `update` would refuse; saves nothing."""
        codec.encode(mutation)
        await self.check_in(mutation, self._store)

    async def create(self, document: LayoutMutation, intent: Intent) -> Saved[LayoutMutation]:
        """Save a new one; raises as `Documents.create`, and RulesError where a second opinion differs."""
        await self._try(document)
        return await super().create(document, intent)

    async def update(self, document: LayoutMutation, intent: Intent) -> Saved[LayoutMutation]:
        """Replace one; raises as `Documents.update`, and RulesError where a second opinion differs."""
        await self._try(document)
        return await super().update(document, intent)

    async def edit(self, document_id: str, edited: Switch, intent: Intent) -> Saved[LayoutMutation]:
        """Change one; raises as `Documents.edit`, and RulesError where a second opinion differs."""
        await self._try_edited(document_id, edited)
        return await super().edit(document_id, edited, intent)

    async def activate(self, mutation_id: str, intent: Intent) -> Saved[LayoutMutation]:
        """Switch on; raises Refused (`archived`, `not_found`, `version_conflict`, `may_not_publish`), RulesError."""

        def switched_on(mutation: LayoutMutation) -> LayoutMutation:
            if mutation.status is Status.ARCHIVED:
                raise Refused(
                    Refusal.ARCHIVED, f"the mutation {mutation_id} is archived; roll it back to a version that was not"
                )
            status = mutation.status
            if status in (Status.DRAFT, Status.PAUSED):
                status = Status.EXPERIMENTAL if isinstance(mutation, VariantMutation) else Status.ACTIVE
            return msgspec.structs.replace(mutation, is_active=True, status=status)

        return await self._switch(mutation_id, intent, Action.ACTIVATED, switched_on)

    async def deactivate(self, mutation_id: str, intent: Intent) -> Saved[LayoutMutation]:
        """Switch off; raises Refused (`not_found`, `version_conflict`, `may_not_publish`)."""

        def switched_off(mutation: LayoutMutation) -> LayoutMutation:
            running = mutation.status in (Status.ACTIVE, Status.EXPERIMENTAL)
            return msgspec.structs.replace(
                mutation, is_active=False, status=Status.PAUSED if running else mutation.status
            )

        return await self._switch(mutation_id, intent, Action.DEACTIVATED, switched_off)

    async def archive(self, mutation_id: str, intent: Intent) -> Saved[LayoutMutation]:
        """Switch off and put away; raises Refused as `deactivate`."""

        def archived(mutation: LayoutMutation) -> LayoutMutation:
            return msgspec.structs.replace(mutation, is_active=False, status=Status.ARCHIVED)

        return await self._switch(mutation_id, intent, Action.ARCHIVED, archived)

    async def delete(self, document_id: str, intent: Intent) -> Saved[LayoutMutation]:
        """Mutations are archived and never removed."""
        return await self.archive(document_id, intent)

    async def rollback(self, document_id: str, to_version: int, intent: Intent) -> Saved[LayoutMutation]:
        """A new version with the content of an older one; raises as `Documents.rollback`."""
        with suppress(Refused):  # whatever is wrong is said when it is saved
            await self._try((await self.version(document_id, to_version)).document)
        return await super().rollback(document_id, to_version, intent)

    async def put_back(self, change: Change, document_id: str, version: int | None) -> int:
        """As `Documents.put_back`; a mutation that was not there is archived, as none is ever removed."""
        if version is not None:
            return await super().put_back(change, document_id, version)
        before = await self._find(change.transaction, document_id)
        archived = msgspec.structs.replace(self._decode(before.content), is_active=False, status=Status.ARCHIVED)
        return (await self._put(change, archived, before, Action.UNDONE, check=False))[1]

    async def check_put_back(self, change: Change, document_id: str) -> None:
        """As `Documents.check_put_back`; what is switched on again passes the gate like every other."""
        document = self._decode((await self._find(change.transaction, document_id)).content)
        if document.is_active or is_live(document):
            await self.check_in(document, change.transaction)
            await self._admit(change, document)

    async def _restorable(self, reader: Reader, present: Stored) -> LayoutMutation:
        """What an archived mutation was before, switched off: a person switches it on when it is wanted."""
        if is_live(self._decode(present.content)):
            raise Refused(Refusal.NOT_DELETED, f"the mutation {present.id} is not archived; roll it back to change it")
        for stored in await reader.versions(self.kind, present.id):
            document = self._decode(stored.content)
            if is_live(document):
                running = document.status in (Status.ACTIVE, Status.EXPERIMENTAL)
                status = Status.PAUSED if running else document.status
                return msgspec.structs.replace(document, is_active=False, status=status)
        return msgspec.structs.replace(self._decode(present.content), is_active=False, status=Status.DRAFT)

    async def known_as(self, reader: Reader, document: LayoutMutation) -> str:
        """The id of a live one that is equal, where this one isn't stored under its own id; else its own."""
        if await reader.find(self.kind, document.id) is not None:
            return document.id
        equal = await self._equal(reader, document)
        return document.id if equal is None else equal.id

    async def check_in(self, document: LayoutMutation, reader: Reader) -> None:
        """Every check of the compiler, in the company of all other documents; raises RulesError."""
        rules = await company(reader, document)
        try:
            await asyncio.to_thread(check_mutation, document, rules)
        except RulesError as error:
            raise from_mutation(error, rules) from None

    async def _switch(
        self, mutation_id: str, intent: Intent, action: Action, switched: Switch
    ) -> Saved[LayoutMutation]:
        """Save what `switched` makes of the mutation; nothing where that is what it is already."""
        await self._try_edited(mutation_id, switched)

        async def work(change: Change) -> tuple[str, int]:
            before = await self._find(change.transaction, mutation_id)
            self._check_version(before, intent)
            mutation = self._decode(before.content)
            changed = switched(mutation)
            if changed == mutation:
                return mutation_id, before.version
            # What is switched off needs no check: a mutation that became unusable must still be possible to stop.
            return await self._put(change, changed, before, action, check=changed.is_active)

        return await self._write(intent, work)

    async def _put(
        self, change: Change, document: LayoutMutation, before: Stored | None, action: Action, *, check: bool = True
    ) -> tuple[str, int]:
        await self._check_one_of_each(change.transaction, document, before)
        saved = await super()._put(change, document, before, action, check=check)
        if check:
            await self._admit(change, document)
        return saved

    async def _admit(self, change: Change, document: LayoutMutation) -> None:
        """What goes to visitors passes the gate; the author hears what was found, and what it costs caches."""
        if goes_to_visitors(document):
            # Tried before the transaction, where that could be foreseen: then this waits for nothing.
            among = await company(change.transaction, document)
            change.second_opinion = await self._gate.admit(document, among)
            change.caching = await asyncio.to_thread(_cost, document, among)

    async def _equal(self, reader: Reader, document: LayoutMutation) -> Stored | None:
        """The live mutation that does the same; None for one that is archived, or that is there under this very id."""
        if document.status is Status.ARCHIVED:
            return None
        present = await reader.find(self.kind, document.id)
        identity = identity_of(document)
        if present is not None and not present.deleted:
            stored = self._decode(present.content)
            return present if is_live(stored) and identity_of(stored) == identity else None
        return await reader.same_mutation(identity, document.id)

    async def _check_one_of_each(self, reader: Reader, document: LayoutMutation, before: Stored | None) -> None:
        """Raises Refused (`equal_exists`) where this change makes a live mutation equal to another one. Copies from before
        there was one of each stay what they are, so that they can still be switched off."""
        if not is_live(document):
            return
        identity = identity_of(document)
        if before is not None and not before.deleted:
            stored = self._decode(before.content)
            if is_live(stored) and identity_of(stored) == identity:
                return
        equal = await reader.same_mutation(identity, document.id)
        if equal is not None:
            raise Refused(
                Refusal.EQUAL_EXISTS,
                f"the mutation {equal.id} does the same on the same pages, and there is one of each; change that one, or archive it first",
            )

    async def cost(self, document: LayoutMutation) -> str:
        """What it costs shared caches while it is switched on, as a sentence without a subject; empty for nothing, and for
        one that is no longer usable. Raises StoreError."""
        among = await company(self._store, document)
        try:
            return await asyncio.to_thread(_cost, document, among)
        except RulesError:
            return ""

    async def _try(self, document: LayoutMutation) -> None:
        """Have the gate try what is going to be saved, while no writer waits; what it finds is asked for in `_put`."""
        if goes_to_visitors(document):
            await self._gate.finding(document, await company(self._store, document))

    async def _try_edited(self, document_id: str, edited: Switch) -> None:
        with suppress(Refused, RulesError):  # whatever is wrong is said when it is saved
            await self._try(edited(await self.get(document_id)))

    def _stamped(self, document: LayoutMutation, change: Change, version: int, before: Stored | None) -> LayoutMutation:
        return msgspec.structs.replace(
            document,
            version=version,
            created_by=change.intent.actor.subject,
            timestamp=change.at,
            rollback_pointer=None if before is None else before.version,
        )

    def _reaches(self, document: LayoutMutation, before: Stored | None) -> bool:
        earlier = None if before is None else self._decode(before.content)
        return goes_to_visitors(document) or (earlier is not None and goes_to_visitors(earlier))

    def _is_same(self, document: LayoutMutation, stored: LayoutMutation) -> bool:
        return _without_stamp(document) == _without_stamp(stored)


def is_live(mutation: LayoutMutation) -> bool:
    """Whether there may be no other one that is equal: all but archived ones."""
    return mutation.status is not Status.ARCHIVED


def _cost(mutation: LayoutMutation, among: RulesFile) -> str:
    """What the mutation costs shared caches; `among` is what it may refer to."""
    return cost_of(compile_row(mutation, company_of(among), "$"))


def _without_stamp(mutation: LayoutMutation) -> LayoutMutation:
    return msgspec.structs.replace(mutation, version=1, created_by="", timestamp=None, rollback_pointer=None)
