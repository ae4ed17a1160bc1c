"""What makes a mutation itself: a hash that two mutations share where they would change the same pages in the same way.

Counterpart: stores keep it beside each mutation, so that there is one of each. Pure.
Never: who, when, whether it is switched on, or what people call it; those say nothing of what it does.
"""

from hashlib import sha256
from typing import Any

import msgspec
from msgspec.structs import fields

from rules.conflicts import layer_of
from rules.model import LayoutMutation
from rules.rows import delivery_of

BESIDE = frozenset(
    {"id", "version", "created_by", "timestamp", "rollback_pointer", "name", "note", "is_active", "status"}
)
"""Fields that are about a mutation, and not what it does."""
SORTED = "conditions"
"""The only objects whose members mean the same in any order: the first variation is the control, declarations override."""


def identity_of(mutation: LayoutMutation) -> str:
    """SHA-256, 64 hexadecimal digits, of the mutation in one form: fields at their defaults left out, so that a field that is
    added to the schema changes no hash; what follows from other fields written out; whole numbers without a fraction."""
    whole = msgspec.structs.replace(mutation, layer=layer_of(mutation), delivery=delivery_of(mutation))
    return sha256(msgspec.json.encode(_canonical(whole, BESIDE))).hexdigest()


def _canonical(value: Any, without: frozenset[str] = frozenset()) -> Any:
    if isinstance(value, msgspec.Struct):
        found = {}
        config = value.__struct_config__
        if config.tag_field is not None:
            found[config.tag_field] = config.tag
        for field in fields(value):
            member = getattr(value, field.name)
            if field.name not in without and member != _default(field):
                found[field.encode_name] = _sorted(member) if field.name == SORTED else _canonical(member)
        return found
    if isinstance(value, dict):
        return {name: _canonical(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(member) for member in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _sorted(value: Any) -> Any:
    """A condition, its members by name."""
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_sorted(member) for member in value]
    return _canonical(value)
