"""An operation as it is written -> as it is carried out: components rendered, and templates where placeholders stood.

Works from the fields of a verb, whatever the verb: each `Content`, and each text that says what it is filled as
(`rules.fields.filled_as`). Counterpart: `rules.filling` puts a visit's texts into the slots. Never: a value of a visit.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from rules.fields import FILLED
from rules.filling import Slot, put
from rules.html.attributes import shown_or_followed
from rules.html.components import Library, html_parts
from rules.html.marked import style_template, text_template, value_template
from rules.html.positions import html_template
from rules.model import Content, Operation, SetAttribute
from rules.placeholders import visit_parts
from rules.templates import Position, Template

NO_COMPONENTS: Library = {}


class Prepared(NamedTuple):
    """An operation with the fallbacks in its blanks, and where a visit's texts go."""

    operation: Operation
    slots: tuple[Slot, ...]


def prepared(operation: Operation, path: str, library: Library = NO_COMPONENTS, *, index: int = 0) -> Prepared:
    """Render and take apart all that is written; raises RulesError at the field where a placeholder or a prop is wrong.

    `index` is the operation's place in its group.
    """
    slots: list[Slot] = []
    for steps, written in _written(operation, path, library):
        if isinstance(written, Content):
            operation = msgspec.structs.replace(operation, **{steps[0]: written})
            continue
        operation = put(operation, steps, written.filled(written.fitting([""] * len(written.blanks))))
        if written.blanks:
            slots.append(Slot(index, steps, written))
    return Prepared(operation, tuple(slots))


def kept_to_links(ready: Prepared) -> Operation:
    """The operation; where it sets an attribute to an address that a visit says from its beginning on, for no elements but
    those that show or follow one. Which they are is known on the page alone: there the selector asks, in browsers too.

    Its target is named by a selector.
    """
    operation = ready.operation
    if not isinstance(operation, SetAttribute):
        return operation
    blanks = (blank for slot in ready.slots for blank in slot.template.blanks)
    if all(blank.position is not Position.ADDRESS for blank in blanks):
        return operation
    elements = ", ".join(sorted(shown_or_followed(operation.name)))
    target = msgspec.structs.replace(operation.target, selector=f":is({operation.target.selector}):is({elements})")
    return msgspec.structs.replace(operation, target=target)


def _written(operation: Operation, path: str, library: Library) -> Iterator[tuple[tuple[str, ...], Template | Content]]:
    """Everything in an operation that holds placeholders or a component, with where it is; nothing for plain content."""
    for field in _fields(type(operation)):
        value = getattr(operation, field.name)
        if isinstance(value, Content):
            if not _is_plain(value):
                yield from _content(value, field.name, f"{path}.{field.written}", library)
        elif isinstance(value, str) and "{{" in value:
            yield (field.name,), _template(value, field.filled_as, operation, f"{path}.{field.written}")
        elif isinstance(value, dict):
            for key, text in value.items():
                if "{{" in text:
                    at = f"{path}.{field.written}.{key}"
                    yield (field.name, key), _template(text, field.filled_as, operation, at)


def _is_plain(content: Content) -> bool:
    """Whether content is carried out as it is written: no component, no braces, no data that must be JSON."""
    text = content.html if content.text is None else content.text
    return text is not None and "{{" not in text and (content.html is None or "<script" not in text.lower())


def _content(
    content: Content, name: str, path: str, library: Library
) -> Iterator[tuple[tuple[str, ...], Template | Content]]:
    if content.text is not None:
        yield (name, "text"), text_template(visit_parts(content.text, f"{path}.text"), f"{path}.text")
        return
    if content.component is not None:
        yield (name,), Content(html="")
    at = f"{path}.html" if content.component is None else f"{path}.component"
    yield (name, "html"), html_template(html_parts(content, library, path), at)


def _template(text: str, kind: str, operation: Operation, path: str) -> Template:
    parts = visit_parts(text, path)
    if kind == "style":
        return style_template(parts, path)
    if kind == "text":
        return text_template(parts, path)
    return value_template(parts, "href" if kind == "address" else getattr(operation, "name", ""), path)


class _Field(NamedTuple):
    """A field of a verb that may hold placeholders: its name here and in JSON, and what it is filled as; "" for content."""

    name: str
    written: str
    filled_as: str


@lru_cache(maxsize=256)
def _fields(kind: type[Operation]) -> tuple[_Field, ...]:
    hints = get_type_hints(kind, include_extras=True)
    fields = (_Field(one.name, one.encode_name, _said(hints[one.name])) for one in msgspec.structs.fields(kind))
    return tuple(field for field in fields if field.filled_as or _mentions_content(hints[field.name]))


def _mentions_content(hint: Any) -> bool:
    return hint is Content or any(map(_mentions_content, get_args(hint)))


def _said(hint: Any) -> str:
    """What `filled_as` says somewhere in a type; empty where it does not."""
    if get_origin(hint) is Annotated:
        for meta in hint.__metadata__:
            if isinstance(meta, Meta) and meta.extra and FILLED in meta.extra:
                return str(meta.extra[FILLED])
    return next(filter(None, map(_said, get_args(hint))), "")


for _verb in get_args(Operation):
    _fields(_verb)  # once, and not while the first page waits
