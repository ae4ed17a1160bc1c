"""A visit's texts put into operations that have blanks.

Counterpart: `rules.html.slots` finds the blanks when a rule is written, `rules.group` asks for a visit's texts.
Never: a check; what a template makes fits where it goes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from rules.templates import Template

T = TypeVar("T")


class Slot(Struct, frozen=True):
    """One text of an operation that is filled for each visit."""

    operation: int
    """Which one of its group."""
    steps: tuple[str, ...]
    """Fields, and keys of mappings, from the operation down to the text."""
    template: Template


def put(holder: T, steps: Sequence[str], text: str) -> T:
    """A struct or mapping with `text` at `steps` inside."""
    step, below = steps[0], steps[1:]
    if isinstance(holder, dict):
        return {**holder, step: put(holder[step], below, text) if below else text}  # type: ignore[return-value]
    value = put(getattr(holder, step), below, text) if below else text
    return msgspec.structs.replace(holder, **{step: value})  # type: ignore[type-var]


def filled(operations: Sequence[T], slots: Sequence[Slot], values: Sequence[Sequence[str]]) -> tuple[T, ...]:
    """The operations with values in their slots; `values` has a list for each slot, one value for each blank."""
    done = [*operations]
    for slot, texts in zip(slots, values, strict=True):
        done[slot.operation] = put(done[slot.operation], slot.steps, slot.template.filled(texts))
    return tuple(done)


def values_of(slots: Sequence[Slot], attributes: Mapping[str, Any]) -> list[list[str]]:
    """What each slot's blanks become for a visit."""
    return [slot.template.values(attributes) for slot in slots]
