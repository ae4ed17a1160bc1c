"""Import and export of a whole rules file.

Counterpart: `rules.model.RulesFile`; what export writes, import reads. Never: half an import; it is one transaction.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from control_plane import codec
from control_plane.company import MEMBERS, PATHS, beside, company, everything
from control_plane.documents import Documents
from control_plane.intent import Intent, Publication
from control_plane.publishing import Change, Publishing
from control_plane.store import Kind, Store
from rules import forward
from rules.compiler import compile_table
from rules.errors import RulesError
from rules.model import Decoded, Experiment, RulesFile


class Counts(msgspec.Struct, frozen=True, rename="camel"):
    """How many documents of one kind were written, and how many were equal already."""

    changed: int = 0
    unchanged: int = 0


NONE = Counts()


class KnownAs(msgspec.Struct, frozen=True, rename="camel"):
    """A mutation of the file, and the equal one that stands for it here."""

    id: str
    here: str


class Imported(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an import did."""

    mutations: Counts = NONE
    experiments: Counts = NONE
    modules: Counts = NONE
    segments: Counts = NONE
    attributes: Counts = NONE
    saved_groups: Counts = NONE
    toggles: Counts = NONE
    known_as: tuple[KnownAs, ...] = ()
    """Mutations that are equal to one that was there under another id; that one was brought up to date, and no copy made."""
    brought_forward: tuple[forward.Change, ...] = ()
    """What was changed in a file of an earlier schema version before it was imported."""


class RulesFiles:
    """The rules as one file."""

    def __init__(self, store: Store, publishing: Publishing, documents: Sequence[Documents[Any]]) -> None:
        """`documents` of every kind, each after those that it may refer to: what is imported is written in that order."""
        self._store = store
        self._publishing = publishing
        self._documents = documents

    async def export(self) -> RulesFile:
        """Everything that is not deleted, by id; archived mutations too."""
        return await everything(self._store)

    async def load(self, decoded: Decoded, intent: Intent) -> tuple[Imported, Publication]:
        """Create and replace by id, all or nothing; what is not in the file stays as it is.

        Raises:
            RulesError: with the path from the file.
            Refused: `may_not_publish`, `in_use`, `idempotency_key_reused`.
        """
        async with self._publishing.change(intent) as change:
            earlier = await change.earlier_answer()
            if earlier is None:
                stored = codec.decode_all(Kind.EXPERIMENT, await change.transaction.everything(Kind.EXPERIMENT))
                rules, told = with_stored_seeds(decoded, stored)
                imported = await self._write(change, rules, told)
                await change.remember(msgspec.json.encode(imported))
            else:
                imported = msgspec.json.decode(earlier, type=Imported)
        return imported, change.publication

    async def _write(self, change: Change, rules: RulesFile, told: tuple[forward.Change, ...]) -> Imported:
        await self._check(change, rules)
        known: dict[str, str] = {}
        counts = {MEMBERS[one.kind]: await self._written(change, one, rules, known) for one in self._documents}
        told_as = tuple(KnownAs(id_, here) for id_, here in known.items())
        return Imported(brought_forward=told, known_as=told_as, **counts)

    async def _written(
        self, change: Change, documents: Documents[Any], rules: RulesFile, known: dict[str, str]
    ) -> Counts:
        """Write those of a kind. `known` has, and is given, the mutations that another id stands for."""
        given, changed = getattr(rules, MEMBERS[documents.kind]), 0
        for index, in_file in enumerate(given):
            document = in_file
            if documents.kind is Kind.TOGGLE and document.mutation_id in known:
                document = msgspec.structs.replace(document, mutation_id=known[document.mutation_id])
            here = await documents.known_as(change.transaction, document)
            if here != document.id:
                known[document.id] = here
                document = msgspec.structs.replace(document, id=here)
            try:
                changed += await documents.put_imported(change, document)
            except RulesError as error:
                raise _in_file(error, documents.kind, index) from None
        return Counts(changed, len(given) - changed)

    async def _check(self, change: Change, rules: RulesFile) -> None:
        """The whole file in the company of what is stored; raises RulesError with paths from the file."""
        for kind, member in MEMBERS.items():
            for index, document in enumerate(getattr(rules, member)):
                try:
                    codec.encode(document)
                except RulesError as error:
                    raise _in_file(error, kind, index) from None
        together = beside(rules, await company(change.transaction))
        await asyncio.to_thread(compile_table, together, version=1, now=change.at)


def with_stored_seeds(decoded: Decoded, stored: Sequence[Experiment]) -> tuple[RulesFile, tuple[forward.Change, ...]]:
    """The rules, and what bringing them forward changed. An experiment whose seed no author wrote keeps the stored one."""
    rules, changes = decoded
    kept = {one.id for one in stored if one.seed not in ("", one.id)}
    places = {f"$.experiments[{index}].seed": one for index, one in enumerate(rules.experiments)}
    unwritten = {one.path for one in changes if one.path in places and places[one.path].id in kept}
    experiments = [msgspec.structs.replace(one, seed="") if path in unwritten else one for path, one in places.items()]
    told = tuple(one for one in changes if one.path not in unwritten)
    return msgspec.structs.replace(rules, experiments=experiments), told


def _in_file(error: RulesError, kind: Kind, index: int) -> RulesError:
    """The same error, with its path from the file."""
    return RulesError(error.problem, error.path.replace("$", f"$.{PATHS[kind]}[{index}]", 1))
