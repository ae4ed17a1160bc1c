"""Documents <-> the bytes that are stored, and the rules file that a set of documents makes.

Counterpart: `store` keeps the bytes; `rules.model` says what they mean. Never: a check; `rules.compiler` makes those.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec

from control_plane.store import Kind, Stored, StoreError
from rules.errors import RulesError
from rules.model import Experiment, LayoutMutation, Module, RulesFile, Segment

AnyDocument = LayoutMutation | Experiment | Module | Segment

TYPES: dict[Kind, Any] = {
    Kind.MUTATION: LayoutMutation,
    Kind.EXPERIMENT: Experiment,
    Kind.MODULE: Module,
    Kind.SEGMENT: Segment,
}
_DECODERS: dict[Kind, msgspec.json.Decoder[Any]] = {kind: msgspec.json.Decoder(type_) for kind, type_ in TYPES.items()}
_NUL = "\x00"


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
        raise StoreError(f"a stored {kind} can't be read: {error}") from error


def decode_all(kind: Kind, stored: Iterable[Stored]) -> list[Any]:
    """Stored documents in their order."""
    return [decode(kind, one.content) for one in stored]


def referenced(
    mutations: list[LayoutMutation], experiments: list[Experiment], modules: list[Module], segments: list[Segment]
) -> RulesFile:
    """The mutations with what they refer to, directly or through each other; the rest would only make tables larger.

    A reference is always the other document's id somewhere in the text, so looking for the ids finds every one.
    """
    words: set[str] = set()
    for mutation in mutations:
        _collect(msgspec.to_builtins(mutation), words)
    candidates: list[Experiment | Module | Segment] = [*experiments, *modules, *segments]
    found: set[int] = set()
    while fresh := [one for one in candidates if one.id in words and id(one) not in found]:
        for one in fresh:
            found.add(id(one))
            _collect(msgspec.to_builtins(one), words)
    return RulesFile(
        mutations=mutations,
        experiments=[one for one in experiments if id(one) in found],
        modules=[one for one in modules if id(one) in found],
        segments=[one for one in segments if id(one) in found],
    )


def mentions(mutation: LayoutMutation, document_id: str) -> bool:
    """Whether a mutation refers to the document with this id."""
    words: set[str] = set()
    _collect(msgspec.to_builtins(msgspec.structs.replace(mutation, id="self", name="", note="", created_by="")), words)
    return document_id in words


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
