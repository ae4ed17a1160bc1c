"""Environment variables and `.env` files -> one frozen settings struct.

A plane declares its settings as a msgspec struct whose fields are `Annotated[type, Meta(description=…)]`; the field
`upstream` of a struct with the prefix `SIDECAR_` is the variable `SIDECAR_UPSTREAM`. Nothing is configured in any other
way, and `.env.example` is generated from the same structs.
Never: a secret in an error message; a value is shown only for fields that are not secret.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from msgspec.inspect import Metadata, StructType, Type, UnionType, type_info

Settings = TypeVar("Settings", bound=msgspec.Struct)

SECRET = {"secret": True}
"""`Meta(extra=SECRET)` marks a field whose value never appears in logs, errors or `repr`."""

_ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")


class SettingsError(ValueError):
    """A setting is missing or unusable; the message names the variable and the fix."""


class Variable(msgspec.Struct, frozen=True):
    """One environment variable, as the documentation shows it."""

    name: str
    description: str
    default: str | None
    """The default as it would be written in `.env`; None where the variable is required."""
    secret: bool


def load(kind: type[Settings], environ: Mapping[str, str]) -> Settings:
    """The settings of `kind` out of `environ`; raises SettingsError naming the first offending variable.

    An empty variable counts as absent, so that `NAME=` in a compose file means the default.
    """
    fields = {field.name: variable_name(kind, field.name) for field in msgspec.structs.fields(kind)}
    given = {field: environ[name] for field, name in fields.items() if environ.get(name)}
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in given:
            raise SettingsError(f"{fields[field.name]} is not set: {_meta(field.type).description}")
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        if field.name in given:
            values[field.name] = _convert(given[field.name], field.type, fields[field.name])
    try:
        return kind(**values)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def variable_name(kind: type[msgspec.Struct], field: str) -> str:
    """The environment variable of a field: the struct's `prefix` and the field in upper case."""
    unprefixed: frozenset[str] = getattr(kind, "unprefixed", frozenset())
    prefix = "" if field in unprefixed else getattr(kind, "prefix", "")
    return f"{prefix}{field.upper()}"


def variables(kind: type[msgspec.Struct]) -> Iterator[Variable]:
    """Every variable of a settings struct in the order of its fields; what `.env.example` is made from."""
    for field in msgspec.structs.fields(kind):
        meta = _meta(field.type)
        yield Variable(
            name=variable_name(kind, field.name),
            description=meta.description or "",
            default=None if field.required else _as_text(_default(field)),
            secret=bool((meta.extra or {}).get("secret")),
        )


def read_dotenv(path: Path) -> dict[str, str]:
    """The assignments of a `.env` file: `NAME=value` lines, `#` comments, optional quotes; {} if there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: this is not text in UTF-8") from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.match(line)
        if match is None:
            raise SettingsError(f"{path}:{number}: expected NAME=value")
        name, value = match.groups()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name] = value
    return found


def environment(dotenv: Path = Path(".env")) -> dict[str, str]:
    """The process's environment over the assignments of a `.env` file: real variables win, empty ones count as absent."""
    return {**read_dotenv(dotenv), **{name: value for name, value in os.environ.items() if value}}


def _meta(annotated: object) -> msgspec.Meta:
    if get_origin(annotated) is Annotated:
        for extra in get_args(annotated)[1:]:
            if isinstance(extra, msgspec.Meta):
                return extra
    return msgspec.Meta()


def _convert(text: str, annotated: object, name: str) -> object:
    try:
        if _is_container(type_info(annotated)):
            return msgspec.json.decode(text.encode(), type=annotated)
        return msgspec.convert(text, annotated, strict=False)
    except msgspec.DecodeError as error:
        shown = "" if (_meta(annotated).extra or {}).get("secret") else f" (got {text[:80]!r})"
        reason = str(error).split(" - at ")[0]
        raise SettingsError(
            f"{name} is not usable: {reason}{shown}. {_meta(annotated).description or ''}".rstrip()
        ) from None


def _is_container(kind: Type) -> bool:
    if isinstance(kind, Metadata):
        return _is_container(kind.type)
    if isinstance(kind, UnionType):
        return any(_is_container(member) for member in kind.types)
    return isinstance(kind, (StructType, msgspec.inspect.CollectionType, msgspec.inspect.DictType))


def _default(field: msgspec.structs.FieldInfo) -> object:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
