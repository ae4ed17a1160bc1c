"""What fields of the schema are made of: the base of all structs, and texts with their bounds.

Counterpart: `rules.operations` and `rules.model`, which are made from these.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from rules import limits

Identifier = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$",
        description="1 to 64 letters, digits, or . _ : -, beginning with a letter or digit",
    ),
]
Name = Annotated[str, Meta(max_length=limits.NAME_CHARACTERS_MAX)]
Version = Annotated[int, Meta(ge=1, le=limits.VERSION_MAX)]
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number of the author's own, as a table can hold it."""
Pattern = Annotated[str, Meta(min_length=1, max_length=limits.PATTERN_CHARACTERS_MAX)]
Markup = Annotated[str, Meta(max_length=limits.CONTENT_CHARACTERS_MAX)]
AttributeName = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.:-]{0,63}$", description="an HTML attribute name, for example data-offer"),
]
ClassName = Annotated[str, Meta(pattern=r"^[^\s\"'<>&=`]{1,128}$", description="one class name, without white space")]
PropName = Annotated[
    str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$", description="the name of a prop, for example title")
]
AttributeId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$",
        description="a name for an attribute: 1 to 64 letters, digits or _, beginning with a letter",
    ),
]
WordId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="a word: 1 to 64 letters, digits, _ or -, beginning with a letter or digit",
    ),
]
AttributePath = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$",
        max_length=limits.PLACEHOLDER_PATH_CHARACTERS_MAX,
        description="an attribute of the visit, or a dotted path into one, for example query.utm_source",
    ),
]
PropertyName = Annotated[
    str,
    Meta(
        pattern=r"^(--[A-Za-z0-9_-]{1,100}|-?[a-z][a-z-]{0,63})$",
        description="a CSS property in lower case, or a custom one, for example margin-top or --gap",
    ),
]
TokenName = Annotated[
    str, Meta(pattern=r"^--[A-Za-z0-9_-]{1,100}$", description="a CSS custom property, for example --brand-colour")
]
StyleValue = Annotated[str, Meta(min_length=1, max_length=limits.STYLE_VALUE_CHARACTERS_MAX)]
ParameterName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="a query parameter, for example utm_source")
]
ParameterValue = Annotated[str, Meta(max_length=limits.NAME_CHARACTERS_MAX)]
Address = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=limits.ADDRESS_CHARACTERS_MAX,
        description="a path such as /offers, or an http(s) address",
    ),
]
EventName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9._:-]{0,63}$",
        description="the name of a DOM event, for example basket:opened",
    ),
]
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="HH:MM, 00:00 to 23:59")]


FILLED = "filled"
"""In `Meta.extra` of a text that may hold placeholders: what it is, so that values are escaped for it."""


def filled_as(kind: Literal["text", "attribute", "address", "style"]) -> Meta:
    """Marks a field whose text may hold placeholders: text, the value of the attribute that the field `name` names, an
    address, or the value of a CSS declaration. For a mapping it stands at the mapping's values."""
    return Meta(extra={FILLED: kind})


class Record(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=False):
    """What all structs here share: frozen, keyword-only, camelCase in JSON, unknown fields refused."""
