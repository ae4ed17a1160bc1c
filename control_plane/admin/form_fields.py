"""The schema as form fields: what can be typed for each mutation type, read off the structs of `rules.model`.

Counterpart: `form_values` reads what was posted for these fields; `wording` says how they are labelled.
Never: an enum, a bound or a default written down a second time; a new mutation type gets its form by existing.
A field's name is its JSON path without the leading `$.`, which is how a refusal finds the field that caused it.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, get_args

import msgspec
from msgspec.inspect import (
    BoolType,
    DateTimeType,
    DictType,
    EnumType,
    Field,
    IntType,
    ListType,
    LiteralType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    type_info,
)

from rules import model

LINE_CHARACTERS_MAX = 2_000
"""Longer text gets a box of several lines."""

SERVICE_FIELDS = frozenset({"id", "version", "createdBy", "timestamp", "isActive", "rollbackPointer", "status"})
"""What the service writes itself, or buttons do: never typed into a form."""

POINTLESS_FIELDS = frozenset({"trigger.when.target.required"})
"""What the schema has and means nothing where it stands: an element that never appears is never seen."""


class Kind(StrEnum):
    """How a field is typed."""

    LINE = "line"
    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"
    SWITCH = "switch"
    SEVERAL = "several"
    CLOCK = "clock"
    MOMENT = "moment"
    CONTENT = "content"
    """Text, HTML or a component: a choice and one box. A component is typed as JSON, with its props."""
    WORDS = "words"
    """A list of texts, one on each line."""
    JSON = "json"
    """Whatever has no fields of its own."""


class FormField(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to type. `name` is the JSON path without `$.`; `only_when` is (field, value) that it depends on, without
    which it is not required either; that field may depend on another in turn."""

    name: str
    kind: Kind
    required: bool = False
    default: str = ""
    choices: tuple[str, ...] = ()
    hint: str = ""
    characters_max: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    pattern: str | None = None
    numeric: bool = False
    """A choice between numbers."""
    only_when: tuple[str, str] | None = None

    @property
    def key(self) -> str:
        """The last step of the path."""
        return self.name.rpartition(".")[2]


@cache
def mutation_types() -> Mapping[str, type[msgspec.Struct]]:
    """Mutation type -> its struct, in the order of the schema."""
    kinds = {}
    for kind in get_args(model.LayoutMutation):
        info = type_info(kind)
        assert isinstance(info, StructType)
        kinds[str(info.tag)] = kind
    return MappingProxyType(kinds)


@cache
def fields_for(mutation_type: str) -> tuple[FormField, ...]:
    """Every field of a mutation type's form; KeyError for a type that the schema doesn't have."""
    info = type_info(mutation_types()[mutation_type])
    assert isinstance(info, StructType)
    return tuple(
        form_field
        for field in info.fields
        if field.encode_name not in SERVICE_FIELDS
        for form_field in _fields(field, field.encode_name)
        if form_field.name not in POINTLESS_FIELDS
        and not (form_field.kind is Kind.CHOICE and form_field.required and len(form_field.choices) == 1)
    )


def fields_of(kind: type[msgspec.Struct], below: str) -> tuple[FormField, ...]:
    """Every field of another struct's form; their names begin with `below`."""
    info = type_info(kind)
    assert isinstance(info, StructType)
    return tuple(one for field in info.fields for one in _fields(field, f"{below}.{field.encode_name}"))


def _fields(field: Field, name: str) -> Iterator[FormField]:
    """The form fields of one struct field; several where it is a struct itself."""
    kind, hint, optional = _plain(field.type)
    default = _default(field)
    required = field.required and not optional
    if isinstance(kind, UnionType):
        yield from _tagged(kind, name, default)
    elif isinstance(kind, StructType) and kind.cls is model.Content:
        inner_fields = [form_field for inner in kind.fields for form_field in _fields(inner, inner.encode_name)]
        ways = [form_field for form_field in inner_fields if form_field.kind is not Kind.JSON]
        choices = tuple(way.name for way in ways)
        longest = max(way.characters_max or 0 for way in ways)
        yield FormField(name=name, kind=Kind.CONTENT, choices=choices, default=choices[0], characters_max=longest)
    elif isinstance(kind, StructType):
        for inner in kind.fields:
            for form_field in _fields(inner, f"{name}.{inner.encode_name}"):
                yield msgspec.structs.replace(form_field, required=form_field.required and not optional)
    else:
        yield _leaf(kind, name=name, hint=hint, required=required, optional=optional, default=default)


def _leaf(kind: Type, *, name: str, hint: str, required: bool, optional: bool, default: Any) -> FormField:
    text = default if isinstance(default, str) else ""
    if isinstance(kind, BoolType):
        return FormField(name=name, kind=Kind.SWITCH, hint=hint, default="on" if default else "")
    if isinstance(kind, EnumType):
        choices = tuple(str(member.value) for member in kind.cls)
        first = text or (choices[0] if not optional else "")
        return FormField(name=name, kind=Kind.CHOICE, hint=hint, choices=choices, default=first, required=not optional)
    if isinstance(kind, LiteralType) and all(isinstance(value, int) for value in kind.values):
        numbers = tuple(str(value) for value in kind.values)
        first = str(default) if isinstance(default, int) else numbers[0]
        return FormField(
            name=name, kind=Kind.CHOICE, hint=hint, choices=numbers, default=first, required=not optional, numeric=True
        )
    if isinstance(kind, IntType):
        shown = str(default) if isinstance(default, int) else ""
        return FormField(
            name=name, kind=Kind.NUMBER, hint=hint, default=shown, minimum=kind.ge, maximum=kind.le, required=required
        )
    if isinstance(kind, StrType):
        return FormField(
            name=name,
            kind=_text_kind(kind),
            hint=hint,
            default=text,
            characters_max=kind.max_length,
            pattern=kind.pattern,
            required=required,
        )
    if isinstance(kind, DateTimeType):
        return FormField(name=name, kind=Kind.MOMENT, hint=hint, required=required)
    if isinstance(kind, ListType) and isinstance(kind.item_type, LiteralType):
        return FormField(name=name, kind=Kind.SEVERAL, hint=hint, choices=_in_written_order(kind.item_type.values))
    if isinstance(kind, ListType) and isinstance(_plain(kind.item_type)[0], StrType):
        return FormField(name=name, kind=Kind.WORDS, hint=_plain(kind.item_type)[1] or hint, required=required)
    empty = "" if required else ("{}" if isinstance(kind, DictType) else "[]")
    return FormField(name=name, kind=Kind.JSON, hint=hint, required=required, default=empty)


def _tagged(kind: UnionType, name: str, default: Any) -> Iterator[FormField]:
    """A union of tagged structs: the tag is a choice, and each member's fields depend on it."""
    members = [member for member in kind.types if isinstance(member, StructType)]
    tag_field = members[0].tag_field
    choice = f"{name}.{tag_field}"
    chosen = next((str(member.tag) for member in members if type(default) is member.cls), str(members[0].tag))
    yield FormField(
        name=choice,
        kind=Kind.CHOICE,
        choices=tuple(str(member.tag) for member in members),
        default=chosen,
        required=True,
    )
    for member in members:
        for inner in member.fields:
            for form_field in _fields(inner, f"{name}.{inner.encode_name}"):
                depends = form_field.only_when or (choice, str(member.tag))
                yield msgspec.structs.replace(form_field, only_when=depends)


def _plain(kind: Type) -> tuple[Type, str, bool]:
    """A type without its metadata and without None: (type, hint, whether None was allowed)."""
    hint = ""
    if isinstance(kind, Metadata):
        hint = str((kind.extra_json_schema or {}).get("description", ""))
        kind = kind.type
    if isinstance(kind, UnionType):
        rest = tuple(member for member in kind.types if not isinstance(member, NoneType))
        optional = len(rest) < len(kind.types)
        if len(rest) == 1:
            inner, inner_hint, _ = _plain(rest[0])
            return inner, inner_hint or hint, optional
        return UnionType(rest), hint, optional
    return kind, hint, False


def _default(field: Field) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default


def _text_kind(kind: StrType) -> Kind:
    if kind.pattern is not None and kind.pattern == _clock_pattern():
        return Kind.CLOCK
    return Kind.TEXT if (kind.max_length or 0) > LINE_CHARACTERS_MAX else Kind.LINE


@cache
def _clock_pattern() -> str | None:
    """How the schema writes a time of day."""
    hours = type_info(model.Hours)
    assert isinstance(hours, StructType)
    clock, _, _ = _plain(hours.fields[0].type)
    return clock.pattern if isinstance(clock, StrType) else None


def _in_written_order(values: tuple[bool | str | int | None, ...]) -> tuple[str, ...]:
    """A literal's values as the schema writes them: inspection sorts, and a week that begins on Friday reads badly."""
    written: list[tuple[str, ...]] = [get_args(model.Day), get_args(model.Device)]
    return next((one for one in written if set(one) == set(values)), tuple(str(value) for value in values))
