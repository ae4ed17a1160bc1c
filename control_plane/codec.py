"""Documents <-> the bytes that are stored, and which of them a document names.

Counterpart: `store` keeps the bytes; `rules.model` says what they mean. Never: a check; `rules.compiler` makes those.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec

from control_plane.store import Kind, Stored, StoreError
from rules.errors import RulesError
from rules.model import (
    DeclaredAttribute,
    Experiment,
    LayoutMutation,
    Module,
    RulesFile,
    SavedGroup,
    Segment,
    Toggle,
)

AnyDocument = LayoutMutation | Experiment | Module | Segment | DeclaredAttribute | SavedGroup | Toggle

TYPES: dict[Kind, Any] = {
    Kind.MUTATION: LayoutMutation,
    Kind.EXPERIMENT: Experiment,
    Kind.MODULE: Module,
    Kind.SEGMENT: Segment,
    Kind.ATTRIBUTE: DeclaredAttribute,
    Kind.SAVED_GROUP: SavedGroup,
    Kind.TOGGLE: Toggle,
}
_DECODERS: dict[Kind, msgspec.json.Decoder[Any]] = {kind: msgspec.json.Decoder(type_) for kind, type_ in TYPES.items()}
_NUL = "\x00"
_GROUP_OPERATORS = frozenset({"$inGroup", "$notInGroup"})


def encode(document: AnyDocument) -> bytes:
    """The bytes to store; raises RulesError for text that PostgreSQL can't hold."""
    encoded = msgspec.json.encode(document)
    try:
        msgspec.msgpack.encode(document)
    except OverflowError:
        raise RulesError("numbers must fit into 64 bits") from None
    if b"\\u0000" in encoded and (path := _path_of_nul(msgspec.to_builtins(document), "$")):
        raise RulesError("text may not contain the character U+0000", path)
    return encoded


def decode(kind: Kind, content: bytes) -> Any:
    """A stored document; raises StoreError if the store holds something that no version of this program wrote."""
    try:
        return _DECODERS[kind].decode(content)
    except msgspec.MsgspecError as error:
        raise StoreError(f"a stored {kind.noun} can't be read: {error}") from error


def decode_all(kind: Kind, stored: Iterable[Stored]) -> list[Any]:
    """Stored documents in their order."""
    return [decode(kind, one.content) for one in stored]


def words_of(document: AnyDocument) -> set[str]:
    """Every text in a document, names of members included.

    A reference to a mutation, experiment, module or segment is always its id as one of them.
    """
    words: set[str] = set()
    _collect(msgspec.to_builtins(document), words)
    return words


def mentions(mutation: LayoutMutation, document_id: str) -> bool:
    """Whether a mutation refers to the document with this id."""
    return document_id in words_of(msgspec.structs.replace(mutation, id="self", name="", note="", created_by=""))


def groups_of(document: AnyDocument) -> set[str]:
    """Ids of the saved groups that conditions of a document name."""
    groups: set[str] = set()
    _collect_groups(msgspec.to_builtins(document), groups)
    return groups


def digest(rules: RulesFile) -> str:
    """SHA-256 of the rules, 64 hexadecimal digits; unlike a table's digest it is equal for equal rules."""
    return sha256(msgspec.msgpack.encode(rules)).hexdigest()


def _collect(value: Any, words: set[str]) -> None:
    if isinstance(value, str):
        words.add(value)
    elif isinstance(value, dict):
        words.update(value)
        for member in value.values():
            _collect(member, words)
    elif isinstance(value, (list, tuple)):
        for member in value:
            _collect(member, words)


def _collect_groups(value: Any, groups: set[str]) -> None:
    if isinstance(value, dict):
        for name, member in value.items():
            if name in _GROUP_OPERATORS and isinstance(member, str):
                groups.add(member)
            _collect_groups(member, groups)
    elif isinstance(value, (list, tuple)):
        for member in value:
            _collect_groups(member, groups)


def _path_of_nul(value: Any, path: str) -> str:
    if isinstance(value, str):
        return path if _NUL in value else ""
    members: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        if any(_NUL in key for key in value):
            return path
        members = ((f"{path}.{key}", member) for key, member in value.items())
    elif isinstance(value, (list, tuple)):
        members = ((f"{path}[{index}]", member) for index, member in enumerate(value))
    return next((found for at, member in members if (found := _path_of_nul(member, at))), "")
