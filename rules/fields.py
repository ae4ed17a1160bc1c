"""What fields of the schema are made of: the base of all structs, and texts with their bounds.

Counterpart: `rules.operations` and `rules.model`, which are made from these.
"""

from typing import Annotated

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
Pattern = Annotated[str, Meta(min_length=1, max_length=limits.PATTERN_CHARACTERS_MAX)]
Markup = Annotated[str, Meta(max_length=limits.CONTENT_CHARACTERS_MAX)]
AttributeName = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.:-]{0,63}$", description="an HTML attribute name, for example data-offer"),
]
ClassName = Annotated[str, Meta(pattern=r"^[^\s\"'<>&=`]{1,128}$", description="one class name, without white space")]
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="HH:MM, 00:00 to 23:59")]


class Record(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=False):
    """What all structs here share: frozen, keyword-only, camelCase in JSON, unknown fields refused."""
