"""The migration checker as a service: a report when asked, and what it is certain of saved as new versions, in one change.

Counterpart: `checker.py` says what is wrong; `documents.py` saves. Never: what a person has to decide; nor half of it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from msgspec import Struct

from control_plane.documents import Documents
from control_plane.intent import Intent, Publication
from control_plane.moving.checker import Report, check, looked, modules_of
from control_plane.moving.flaws import Flaw
from control_plane.moving.places import Place
from control_plane.moving.settling import Source
from control_plane.publishing import Publishing
from control_plane.store import Kind, Store, StoreError
from rules.model import Module

WHY = "migration checker: what is certain"


class Mended(Struct, frozen=True, rename="camel"):
    """What was saved, and how it is now."""

    mended: Sequence[Flaw]
    report: Report


class MigrationChecker:
    """Looks at the store of the service, beside the one that its data came from or lies in too; once at a time."""

    def __init__(
        self,
        store: Store,
        place: Place,
        publishing: Publishing,
        documents: Sequence[Documents[Any]],
        source: Source | None = None,
    ) -> None:
        self._store = store
        self._place = place
        self._publishing = publishing
        self._documents = {one.kind: one for one in documents}
        self._source = source
        self._one_at_a_time = asyncio.Lock()

    async def report(self) -> Report:
        """Source and target side by side; as much work as reading both whole. Raises StoreError."""
        async with self._one_at_a_time:
            return await self._report()

    async def mend(self, intent: Intent) -> tuple[Mended, Publication]:
        """Save what is certain, all or nothing.

        Raises:
            Refused: what would be published does not compile, or the role may not publish.
            StoreError: nothing was saved.
        """
        async with self._one_at_a_time:
            known = await self._known()
            reason = intent.reason or WHY
            async with self._publishing.change(msgspec.structs.replace(intent, reason=reason)) as change:
                found = await looked(change.transaction, known)
                for kind in Kind:
                    for _, stored, content in (one for one in found.mended if one[0] is kind):
                        await self._documents[kind].put_mended(change, stored, content)
            mended = [flaw for flaw in found.flaws if flaw.mechanical]
            return Mended(mended, await self._report()), change.publication

    async def _report(self) -> Report:
        async with self._other() as (source, problem):
            place = None if source is None or self._source is None else self._source.place
            report = await check(self._store, self._place, source, place)
        return msgspec.structs.replace(report, source_problem=report.source_problem or problem)

    async def _known(self) -> dict[str, Module]:
        """The source's modules; none where it is away."""
        async with self._other() as (source, _):
            try:
                return {} if source is None else await modules_of(source)
            except StoreError:
                return {}

    @asynccontextmanager
    async def _other(self) -> AsyncIterator[tuple[Store | None, str]]:
        """The other store, or why it can't be asked."""
        if self._source is None or self._source.place == self._place:
            yield None, ""
            return
        opening = self._source.opened()
        try:
            source = await opening.__aenter__()
        except StoreError as error:
            yield None, str(error)
            return
        try:
            yield source, ""
        finally:
            await opening.__aexit__(None, None, None)
