"""Experiments: tests with weighted variations, versioned like mutations.

Counterpart: a mutation of type `variant` names one. Never: bucketing; `rules.bucketing` does that at the edge.
"""

from typing import ClassVar

import msgspec

from control_plane.documents import Documents
from control_plane.publishing import Change
from control_plane.store import Kind, Stored
from rules.model import Experiment, RulesFile


class Experiments(Documents[Experiment]):
    """The experiments of this installation. `version` belongs to the server; an empty `seed` is fixed at creation."""

    kind: ClassVar[Kind] = Kind.EXPERIMENT

    def alone(self, document: Experiment) -> RulesFile:
        """A rules file of nothing but the experiment."""
        return RulesFile(experiments=[document])

    def _stamped(self, document: Experiment, change: Change, version: int, before: Stored | None) -> Experiment:
        seed = document.seed or (self._decode(before.content).seed if before is not None else document.id)
        return msgspec.structs.replace(document, version=version, seed=seed)

    def _is_same(self, document: Experiment, stored: Experiment) -> bool:
        seed = document.seed or stored.seed
        return msgspec.structs.replace(document, version=1, seed=seed) == msgspec.structs.replace(stored, version=1)
