"""Rules files of earlier schema versions, brought forward one step at a time.

A file says in `schemaVersion` what it is written in; one that says nothing is of version 1. A step takes the JSON of one
version, makes it that of the next, and says in words what it changed. What a file decides never changes by a step: old
names become new ones, and what was understood without saying is written down.
Counterpart: `rules.model` decodes what comes out. Single documents in the database are no files: migrations of the database
and defaults of the structs bring those forward.
Never: a check of what is in a file; what a step does not recognise it leaves, and decoding says what is wrong with it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from rules import limits
from rules.errors import RulesError


class Change(Struct, frozen=True, rename="camel"):
    """One thing that a step changed."""

    path: str
    """JSON path in the file."""
    change: str
    """In words, for its author."""


Step = Callable[[dict[str, Any]], list[Change]]
"""Brings the JSON of a file one version further, in place."""


def _to_2(file: dict[str, Any]) -> list[Change]:
    """Experiments without a seed were bucketed by their id: written down, so that another id assigns nobody anew."""
    changes: list[Change] = []
    experiments = file.get("experiments")
    for index, one in enumerate(experiments if isinstance(experiments, list) else []):
        if isinstance(one, dict) and isinstance(one.get("id"), str) and one.get("seed", "") == "":
            one["seed"] = one["id"]
            told = f"is `{one['id']}`, the id, by which units were bucketed so far"
            changes.append(Change(f"$.experiments[{index}].seed", told))
    return changes


STEPS: Mapping[int, Step] = {1: _to_2}
"""Version -> the step from it to the next."""
FIRST_VERSION = min(STEPS)
SCHEMA_VERSION = max(STEPS) + 1
"""What export writes."""


class _Head(Struct):
    schemaVersion: Any = FIRST_VERSION  # noqa: N815  as it is in the file; all else is skipped


def brought_forward(data: bytes) -> tuple[bytes, tuple[Change, ...]]:
    """The JSON of a rules file in the present version, and what was changed for it.

    Comes back as it is where it is of this version, or is no rules file at all. Raises RulesError for a version that this
    program does not read.
    """
    if len(data) > limits.RULES_FILE_BYTES_MAX:
        return data, ()
    version = _version_of(data)
    if version is None or version == SCHEMA_VERSION:
        return data, ()
    if not FIRST_VERSION <= version < SCHEMA_VERSION:
        raise RulesError(
            f"the file says version {_short(version)}; this program reads {FIRST_VERSION} to {SCHEMA_VERSION}: "
            + ("use a newer version of it, or export the file anew" if version > SCHEMA_VERSION else "leave it out"),
            "$.schemaVersion",
        )
    try:
        file: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return data, ()
    changes: list[Change] = []
    for step in range(version, SCHEMA_VERSION):
        changes += STEPS[step](file)
    changes.insert(0, Change("$.schemaVersion", f"is {SCHEMA_VERSION} now; the file was of version {version}"))
    file["schemaVersion"] = SCHEMA_VERSION
    return msgspec.json.encode(file), tuple(changes)


def _version_of(data: bytes) -> int | None:
    """What a file says; None where decoding will say what is wrong with it."""
    try:
        said = msgspec.json.decode(data, type=_Head).schemaVersion
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return said if isinstance(said, int) and not isinstance(said, bool) else None


def _short(version: int) -> str:
    """A number as it is, if a person could have written it."""
    return str(version) if abs(version) < 10**9 else "a number of many digits"
