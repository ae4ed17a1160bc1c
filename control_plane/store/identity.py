"""The identity of what a store is given, so that every kind of store keeps one of each mutation by the same hash.

Counterpart: `rules.identity` says what makes a mutation itself. Never: a refusal; a store answers `same_mutation`, services decide.
"""

import msgspec

from control_plane.store.records import Kind
from rules.identity import identity_of
from rules.model import LayoutMutation

_DECODER: msgspec.json.Decoder[LayoutMutation] = msgspec.json.Decoder(LayoutMutation)


def identity_in(kind: Kind, content: bytes) -> str | None:
    """The identity of a stored mutation; None for every other kind, and for bytes that no version of this program wrote."""
    if kind is not Kind.MUTATION:
        return None
    try:
        return identity_of(_DECODER.decode(content))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
