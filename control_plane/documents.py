"""What all kinds of documents have in common: create, read, replace, delete, history.

Counterpart: `mutations.py`, `experiments.py`, `modules.py` and `attributes.py` say what is particular about each kind;
`publishing.py` makes the transaction. Never: SQL, or HTTP.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import ClassVar, Generic, TypeVar

import msgspec

from control_plane import codec
from control_plane.company import among, company, from_document
from control_plane.intent import Action, Intent, Page, Saved, Version
from control_plane.publishing import Change, Publishing
from control_plane.refusals import Refusal, Refused
from control_plane.store import Kind, Reader, Store, Stored, StoredVersion
from control_plane.usage import user_of
from rules.errors import RulesError
from rules.model import DeclaredAttribute, Experiment, LayoutMutation, Module, SavedGroup, Segment, Toggle
from rules.rows import company_of

T = TypeVar("T", LayoutMutation, Experiment, Module, Segment, DeclaredAttribute, SavedGroup, Toggle)

PAGE_LIMIT = 50
PAGE_LIMIT_MAX = 200


Work = tuple[str, int] | tuple[str, int, bool]
"""Id and version of what was saved; and whether it was there already, and nothing was."""


class _Answer(msgspec.Struct, frozen=True):
    """What an idempotency key remembers of a write."""

    id: str
    version: int
    existing: bool = False
    """An equal one was there, and nothing was saved."""


class Documents(Generic[T]):
    """The documents of one kind."""

    kind: ClassVar[Kind]

    def __init__(self, store: Store, publishing: Publishing) -> None:
        self._store = store
        self._publishing = publishing

    # ---------------------------------------------------------------- reading

    async def get(self, document_id: str) -> T:
        """The present version; raises Refused (`not_found`)."""
        return (await self.head(document_id)).document

    async def head(self, document_id: str) -> "Head[T]":
        """The present version with its number; raises Refused (`not_found`)."""
        stored = await self._find(self._store, document_id)
        return Head(self._decode(stored.content), stored.version)

    async def page(self, *, cursor: str | None = None, limit: int = PAGE_LIMIT) -> Page[T]:
        """A part of all documents, the last changed first; raises Refused (`bad_cursor`, `bad_parameter`)."""
        return await self._page({}, cursor, limit)

    async def names(self, *, limit: int = PAGE_LIMIT) -> list[tuple[str, str]]:
        """Id and name, the last changed first, however large the documents are; raises Refused (`bad_parameter`)."""
        return await self._store.names(self.kind, checked_limit(limit))

    async def versions(self, document_id: str) -> tuple[Version[T], ...]:
        """The history, newest first; raises Refused (`not_found`)."""
        found = await self._store.versions(self.kind, document_id)
        if not found:
            raise self._not_found(document_id)
        return tuple(self._as_version(one) for one in found)

    async def version(self, document_id: str, version: int) -> Version[T]:
        """One version of the history; raises Refused (`not_found`)."""
        return self._as_version(await self._version(self._store, document_id, version))

    # ---------------------------------------------------------------- writing

    async def create(self, document: T, intent: Intent) -> Saved[T]:
        """Save a new document; raises Refused (`already_exists`), RulesError, StoreError.

        Where an equal one must not be there twice, and is there, that one is given back (`Saved.existing`).
        """

        async def work(change: Change) -> Work:
            equal = await self._equal(change.transaction, document)
            if equal is not None:
                return equal.id, equal.version, True
            before = await change.transaction.find(self.kind, document.id)
            if before is not None and not before.deleted:
                raise Refused(
                    Refusal.ALREADY_EXISTS, f"the {self.kind.noun} {document.id} is there already; save it with PUT"
                )
            return await self._put(change, document, before, Action.CREATED)

        return await self._write(intent, work)

    async def update(self, document: T, intent: Intent) -> Saved[T]:
        """Replace the document with this id; raises Refused (`not_found`, `version_conflict`), RulesError, StoreError."""

        async def work(change: Change) -> tuple[str, int]:
            before = await self._find(change.transaction, document.id)
            self._check_version(before, intent)
            return await self._put(change, document, before, Action.UPDATED)

        return await self._write(intent, work)

    async def edit(self, document_id: str, edited: Callable[[T], T], intent: Intent) -> Saved[T]:
        """Replace a document by what `edited` makes of it, with nobody in between; raises as `update` and `edited` do."""

        async def work(change: Change) -> tuple[str, int]:
            before = await self._find(change.transaction, document_id)
            self._check_version(before, intent)
            return await self._put(change, edited(self._decode(before.content)), before, Action.UPDATED)

        return await self._write(intent, work)

    async def delete(self, document_id: str, intent: Intent) -> Saved[T]:
        """Remove a document that no other one needs; its history stays. Raises Refused (`in_use`, …), StoreError."""

        async def work(change: Change) -> tuple[str, int]:
            before = await self._find(change.transaction, document_id)
            self._check_version(before, intent)
            await self.check_unused(document_id, change.transaction)
            document = self._decode(before.content)
            await change.put(
                self.kind, document_id, codec.encode(document), Action.DELETED, before=before.version, deleted=True
            )
            return document_id, before.version + 1

        return await self._write(intent, work)

    async def rollback(self, document_id: str, to_version: int, intent: Intent) -> Saved[T]:
        """A new version with the content of an older one; raises Refused (`reason_required`, `not_found`, …), RulesError."""
        check_reason(intent, "roll back")

        async def work(change: Change) -> Work:
            before = await self._find(change.transaction, document_id)
            self._check_version(before, intent)
            target = await self._version(change.transaction, document_id, to_version)
            return await self._put(change, self._decode(target.content), before, Action.ROLLED_BACK)

        return await self._write(intent, work)

    async def restore(self, document_id: str, intent: Intent) -> Saved[T]:
        """Bring back what was deleted, as it was last; raises Refused (`reason_required`, `not_found`, `not_deleted`), RulesError."""
        check_reason(intent, "restore it")

        async def work(change: Change) -> Work:
            before = await change.transaction.find(self.kind, document_id) if "\0" not in document_id else None
            if before is None:
                raise self._not_found(document_id)
            document = await self._restorable(change.transaction, before)
            self._check_version(before, intent)
            return await self._put(change, document, before, Action.RESTORED)

        return await self._write(intent, work)

    async def deleted(self, *, cursor: str | None = None, limit: int = PAGE_LIMIT) -> Page[Version[T]]:
        """Deleted documents as they were last, with who deleted them and why, the last deleted first."""
        before, limit = decode_cursor(cursor), checked_limit(limit)
        found = await self._store.deleted(self.kind, before, limit + 1)
        items = [self._as_version(await self._version(self._store, one.id, one.version)) for one in found[:limit]]
        return Page(tuple(items), encode_cursor(found[limit - 1].change) if len(found) > limit else None)

    async def put_back(self, change: Change, document_id: str, version: int | None) -> int:
        """As part of an undo: the content of a version again, or none where there was none; the new version's number.

        Nothing is checked before all of the undo is written; `check_put_back` does it then.
        """
        before = await change.transaction.find(self.kind, document_id)
        if before is None:
            raise self._not_found(document_id)
        target = None if version is None else await self._version(change.transaction, document_id, version)
        if target is None or target.action == Action.DELETED:
            await change.put(
                self.kind,
                document_id,
                before.content,
                Action.DELETED,
                before=before.version,
                deleted=True,
                noted=Action.UNDONE,
            )
            return before.version + 1
        return (await self._put(change, self._decode(target.content), before, Action.UNDONE, check=False))[1]

    async def check_put_back(self, change: Change, document_id: str) -> None:
        """Everything that is wrong with what `put_back` or `put_again` left; raises Refused (`in_use`), RulesError."""
        present = await change.transaction.find(self.kind, document_id)
        if present is None or present.deleted:
            await self.check_unused(document_id, change.transaction)
        else:
            await self.check_in(self._decode(present.content), change.transaction)

    async def known_as(self, reader: Reader, document: T) -> str:
        """The id under which an import saves a document: its own, or that of an equal one where there is one of each."""
        return document.id

    async def put_imported(self, change: Change, document: T) -> bool:
        """As part of an import that was checked: create or replace; False where the document is equal already."""
        before = await change.transaction.find(self.kind, document.id)
        if before is not None and not before.deleted and self._is_same(document, self._decode(before.content)):
            return False
        await self._put(change, document, before, Action.IMPORTED, check=False)
        return True

    async def put_mended(self, change: Change, before: Stored, content: bytes) -> None:
        """As part of a repair: save the document in place of what is there, also where it means the same."""
        await self._put(change, self._decode(content), before, Action.UPDATED, check=False)

    async def put_again(self, change: Change, document_id: str, content: bytes, *, deleted: bool) -> None:
        """As part of a change: save what was written elsewhere as the next version; raises Refused (`equal_exists`), RulesError.

        What is put again together may need each other: `check_put_back` checks each when all of it is written.
        """
        before = await change.transaction.find(self.kind, document_id)
        document = self._decode(content)
        if not deleted:
            await self._put(change, document, before, Action.UPDATED, check=False)
        elif before is not None and not before.deleted:
            content = codec.encode(self._decode(before.content))
            await change.put(self.kind, document_id, content, Action.DELETED, before=before.version, deleted=True)

    async def check_in(self, document: T, reader: Reader) -> None:
        """Everything that is wrong with the document, in the company of all others; raises RulesError with paths from it."""
        rules = among(self.kind, document, await company(reader, document))
        try:
            await asyncio.to_thread(company_of, rules)
        except RulesError as error:
            raise from_document(error, self.kind, rules) from None

    async def check_unused(self, document_id: str, reader: Reader) -> None:
        """Raises Refused (`in_use`) where another document needs this one."""
        found = await user_of(self.kind, document_id, reader)
        if found is not None:
            kind, user = found
            away = "archive" if kind is Kind.MUTATION else "delete"
            problem = f"the {kind.noun} {user} needs this {self.kind.noun}; change or {away} it first"
            raise Refused(Refusal.IN_USE, problem)

    # ---------------------------------------------------------------- inside

    def _stamped(self, document: T, change: Change, version: int, before: Stored | None) -> T:
        """The document with the fields that the server owns."""
        return document

    def _is_same(self, document: T, stored: T) -> bool:
        """Whether nothing but the fields that the server owns differs."""
        return document == stored

    def _reaches(self, document: T, before: Stored | None) -> bool:
        """Whether visitors may get something of the document, or got something of it before."""
        return True

    async def _equal(self, reader: Reader, document: T) -> Stored | None:
        """One that is equal, where there is to be one of each; None of most kinds."""
        return None

    async def _restorable(self, reader: Reader, present: Stored) -> T:
        """What a deleted document was last; raises Refused (`not_deleted`)."""
        if not present.deleted:
            raise Refused(Refusal.NOT_DELETED, f"the {self.kind.noun} {present.id} is there; roll it back to change it")
        return self._decode(present.content)

    async def _put(
        self, change: Change, document: T, before: Stored | None, action: Action, *, check: bool = True
    ) -> tuple[str, int]:
        version = 1 if before is None else before.version + 1
        content = codec.encode(self._stamped(document, change, version, before))
        if check:
            await self.check_in(document, change.transaction)
        await change.put(
            self.kind,
            document.id,
            content,
            action,
            before=None if before is None else before.version,
            reaches=self._reaches(document, before),
        )
        return document.id, version

    async def _write(self, intent: Intent, work: Callable[[Change], Awaitable[Work]]) -> Saved[T]:
        """Run `work` in a change, once for each idempotency key, and give back what it saved."""
        async with self._publishing.change(intent) as change:
            earlier = await change.earlier_answer()
            if earlier is None:
                answer = _Answer(*await work(change))
                await change.remember(msgspec.json.encode(answer))
            else:
                answer = msgspec.json.decode(earlier, type=_Answer)
            saved = await self._version(change.transaction, answer.id, answer.version)
        return Saved(
            self._decode(saved.content),
            saved.version,
            change.publication,
            replayed=earlier is not None,
            existing=answer.existing,
            second_opinion=change.second_opinion,
            caching=change.caching,
        )

    async def _page(self, filters: dict[str, object], cursor: str | None, limit: int) -> Page[T]:
        before, limit = decode_cursor(cursor), checked_limit(limit)
        found = await self._store.page(self.kind, filters, before, limit + 1)
        items = tuple(self._decode(one.content) for one in found[:limit])
        return Page(items, encode_cursor(found[limit - 1].change) if len(found) > limit else None)

    async def _find(self, reader: Reader, document_id: str) -> Stored:
        stored = await reader.find(self.kind, document_id) if "\0" not in document_id else None
        if stored is None or stored.deleted:
            raise self._not_found(document_id)
        return stored

    async def _version(self, reader: Reader, document_id: str, version: int) -> StoredVersion:
        known = 0 < version <= VERSION_MAX and "\0" not in document_id
        found = await reader.version(self.kind, document_id, version) if known else None
        if found is None:
            raise Refused(Refusal.NOT_FOUND, f"the {self.kind.noun} {document_id[:80]} has no version {version}")
        return found

    def _check_version(self, before: Stored, intent: Intent) -> None:
        if intent.expected_version is not None and intent.expected_version != before.version:
            raise Refused(
                Refusal.VERSION_CONFLICT,
                f"the {self.kind.noun} {before.id} is at version {before.version}, you saw {intent.expected_version}; "
                "read it again and repeat your change",
            )

    def _not_found(self, document_id: str) -> Refused:
        return Refused(Refusal.NOT_FOUND, f"there is no {self.kind.noun} {document_id[:80]}")

    def _decode(self, content: bytes) -> T:
        document: T = codec.decode(self.kind, content)
        return document

    def _as_version(self, stored: StoredVersion) -> Version[T]:
        return Version(
            document=self._decode(stored.content),
            version=stored.version,
            action=Action(stored.action),
            actor=stored.actor,
            reason=stored.reason,
            at=stored.at,
        )


class Head(msgspec.Struct, Generic[T], frozen=True):
    """A document and the number of its present version, which not every kind carries itself."""

    document: T
    version: int


def check_reason(intent: Intent, what: str) -> None:
    """Raises Refused (`reason_required`) without a reason."""
    if not intent.reason.strip():
        raise Refused(Refusal.REASON_REQUIRED, f"say why you {what}: `reason`")


VERSION_MAX = 2**31 - 1  # what an integer column holds


def encode_cursor(number: int) -> str:
    """A place in a list, as text that clients hand back unread."""
    return base64.urlsafe_b64encode(number.to_bytes(8, "big")).rstrip(b"=").decode()


def decode_cursor(cursor: str | None) -> int | None:
    """The place; raises Refused (`bad_cursor`) for anything that no list gave out."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=", altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    number = int.from_bytes(raw, "big")
    if len(raw) != 8 or number >= 2**63:
        raise Refused(
            Refusal.BAD_CURSOR, "`cursor` is not one that a list gave as nextCursor; leave it out to begin anew"
        )
    return number


def checked_limit(limit: int) -> int:
    """The length of a part of a list; raises Refused (`bad_parameter`) outside 1 to PAGE_LIMIT_MAX."""
    if not 1 <= limit <= PAGE_LIMIT_MAX:
        raise Refused(Refusal.BAD_PARAMETER, f"`limit` is 1 to {PAGE_LIMIT_MAX} (got {limit})")
    return limit
