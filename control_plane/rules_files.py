"""Import and export of a whole rules file.

Counterpart: `rules.model.RulesFile`; what export writes, import reads. Never: half an import; it is one transaction.
"""

import asyncio
from typing import TypeVar

import msgspec

from control_plane import codec
from control_plane.experiments import Experiments
from control_plane.intent import Intent, Publication
from control_plane.modules import Modules, Segments
from control_plane.mutations import Mutations
from control_plane.publishing import Change, Publishing
from control_plane.store import Kind, Store
from rules.compiler import compile_table
from rules.errors import RulesError
from rules.model import Experiment, Module, RulesFile, Segment

T = TypeVar("T", Experiment, Module, Segment)


class Counts(msgspec.Struct, rename="camel"):
    """How many documents of one kind were written, and how many were equal already."""

    changed: int = 0
    unchanged: int = 0


class Imported(msgspec.Struct, frozen=True, rename="camel"):
    """What an import did."""

    mutations: Counts
    experiments: Counts
    modules: Counts
    segments: Counts


class RulesFiles:
    """The rules as one file."""

    def __init__(
        self,
        store: Store,
        publishing: Publishing,
        mutations: Mutations,
        experiments: Experiments,
        modules: Modules,
        segments: Segments,
    ) -> None:
        self._store = store
        self._publishing = publishing
        self._mutations = mutations
        self._experiments = experiments
        self._modules = modules
        self._segments = segments

    async def export(self) -> RulesFile:
        """Everything that is not deleted, by id; archived mutations too."""
        return RulesFile(
            mutations=codec.decode_all(Kind.MUTATION, await self._store.everything(Kind.MUTATION)),
            experiments=codec.decode_all(Kind.EXPERIMENT, await self._store.everything(Kind.EXPERIMENT)),
            modules=codec.decode_all(Kind.MODULE, await self._store.everything(Kind.MODULE)),
            segments=codec.decode_all(Kind.SEGMENT, await self._store.everything(Kind.SEGMENT)),
        )

    async def load(self, rules: RulesFile, intent: Intent) -> tuple[Imported, Publication]:
        """Create and replace by id, all or nothing; what is not in the file stays as it is.

        Raises:
            RulesError: with the path from the file.
            Refused: `may_not_publish`, `in_use`, `idempotency_key_reused`.
        """
        async with self._publishing.change(intent) as change:
            earlier = await change.earlier_answer()
            if earlier is None:
                imported = await self._write(change, rules)
                await change.remember(msgspec.json.encode(imported))
            else:
                imported = msgspec.json.decode(earlier, type=Imported)
        return imported, change.publication

    async def _write(self, change: Change, rules: RulesFile) -> Imported:
        await self._check(change, rules)
        counts = Imported(Counts(), Counts(), Counts(), Counts())
        # References point from mutations to the rest.
        for segment in rules.segments:
            _count(counts.segments, changed=await self._segments.put_imported(change, segment))
        for module in rules.modules:
            _count(counts.modules, changed=await self._modules.put_imported(change, module))
        for index, experiment in enumerate(rules.experiments):
            try:
                _count(counts.experiments, changed=await self._experiments.put_imported(change, experiment))
            except RulesError as error:
                raise _in_file(error, "experiments", index) from None
        for mutation in rules.mutations:
            _count(counts.mutations, changed=await self._mutations.put_imported(change, mutation))
        return counts

    async def _check(self, change: Change, rules: RulesFile) -> None:
        """The whole file in the company of what is stored; raises RulesError with paths from the file."""
        for member in ("mutations", "experiments", "modules", "segments"):
            for index, document in enumerate(getattr(rules, member)):
                try:
                    codec.encode(document)
                except RulesError as error:
                    raise _in_file(error, member, index) from None
        reader = change.transaction
        # What is in the file comes first, so that its places in the lists are its places in the file.
        together = RulesFile(
            mutations=rules.mutations,
            experiments=_beside(
                rules.experiments, codec.decode_all(Kind.EXPERIMENT, await reader.everything(Kind.EXPERIMENT))
            ),
            modules=_beside(rules.modules, codec.decode_all(Kind.MODULE, await reader.everything(Kind.MODULE))),
            segments=_beside(rules.segments, codec.decode_all(Kind.SEGMENT, await reader.everything(Kind.SEGMENT))),
        )
        await asyncio.to_thread(compile_table, together, version=1, now=change.at)


def _beside(given: list[T], stored: list[T]) -> list[T]:
    """What is given, and what is stored under other ids."""
    ids = {one.id for one in given}
    return given + [one for one in stored if one.id not in ids]


def _in_file(error: RulesError, member: str, index: int) -> RulesError:
    """The same error, with its path from the file."""
    return RulesError(error.problem, error.path.replace("$", f"$.{member}[{index}]", 1))


def _count(counts: Counts, *, changed: bool) -> None:
    if changed:
        counts.changed += 1
    else:
        counts.unchanged += 1
