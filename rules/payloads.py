"""What a mutation of each type carries: `mutationPayload`, by `mutationType`.

Counterpart: `rules.expansion` says which operations a payload stands for. Never: behaviour.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from rules import limits
from rules.fields import AttributePath, Identifier, Record
from rules.operations import Content, Operation, Operations, Target


class Position(StrEnum):
    """Where inserted content stands relative to the target."""

    BEFORE = "before"
    AFTER = "after"
    PREPEND = "prepend"
    APPEND = "append"


class HideMode(StrEnum):
    """How a module is hidden: by a style block, by the `hidden` attribute, or by leaving it out of the page."""

    STYLE = "style"
    ATTRIBUTE = "attribute"
    REMOVE = "remove"


class Scope(StrEnum):
    """What `replace` replaces: the element with its tags, or what is between them."""

    ELEMENT = "element"
    INNER = "inner"


class SetPayload(Record, frozen=True, kw_only=True):
    """Any operations, in order."""

    operations: Operations


class InsertPayload(Record, frozen=True, kw_only=True):
    """Content inserted relative to a target."""

    target: Target
    position: Position
    content: Content


class ReplacePayload(Record, frozen=True, kw_only=True):
    """Content in place of a target, or of what is inside it."""

    target: Target
    scope: Scope = Scope.ELEMENT
    content: Content


class HidePayload(Record, frozen=True, kw_only=True):
    """A target that visitors don't see."""

    target: Target
    mode: HideMode = HideMode.STYLE


class RemovePayload(Record, frozen=True, kw_only=True):
    """A target that is left out; with `keepContent` only its tags are."""

    target: Target
    keep_content: bool = False


class CaseOperations(Record, frozen=True, kw_only=True):
    """What one case of an emotion map changes; nothing where it is empty."""

    operations: Annotated[list[Operation], Meta(max_length=limits.OPERATIONS_MAX)] = []


class EmotionMapPayload(Record, frozen=True, kw_only=True):
    """Operations by what an attribute of the visit says; no experiment, everybody with the same value gets the same."""

    attribute: AttributePath = "emotion"
    """Whose value names the case."""
    cases: Annotated[dict[Identifier, CaseOperations], Meta(min_length=1, max_length=limits.CASES_MAX)]
    """Value -> what is changed."""
    otherwise: CaseOperations | None = None
    """For every other value, and where the visit has none; null or nothing to leave the page alone then."""


class VariationOperations(Record, frozen=True, kw_only=True):
    """What one variation changes; nothing for the control."""

    operations: Annotated[list[Operation], Meta(max_length=limits.OPERATIONS_MAX)] = []


class VariantPayload(Record, frozen=True, kw_only=True):
    """Operations for each variation of an experiment; the first key is the control."""

    experiment_id: Identifier
    variations: Annotated[dict[Identifier, VariationOperations], Meta(min_length=1, max_length=limits.VARIATIONS_MAX)]
