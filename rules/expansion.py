"""A payload -> the operations it stands for, each with its JSON path.

Counterpart: `rules.payloads` has the shapes, `rules.rows` checks what comes out. A `variant` and an
`emotionMap` are not expanded here: which of their operations apply is a decision.
"""

import re
from collections.abc import Iterator, Mapping
from html import escape

from rules import addresses, css, model
from rules.model import LayoutMutation, Operation, Target


def operations_of(mutation: LayoutMutation, at: str) -> list[tuple[Operation, str]]:
    """The operations a payload stands for, each with its JSON path."""
    payload = mutation.mutation_payload
    match payload:
        case model.SetPayload(operations=operations):
            return [(operation, f"{at}.operations[{i}]") for i, operation in enumerate(operations)]
        case model.InsertPayload(target=target, content=content):
            verb = _INSERT[payload.position]
            return [(verb(target=target, content=content), at)]
        case model.ReplacePayload(target=target, content=content):
            whole = payload.scope is model.Scope.ELEMENT
            return [((model.Replace if whole else model.SetInnerContent)(target=target, content=content), at)]
        case model.HidePayload(target=target):
            return [(_hidden(target, payload.mode), at)]
        case model.RemovePayload(target=target):
            return [((model.RemoveAndKeepContent if payload.keep_content else model.Remove)(target=target), at)]
        case model.MovePayload(target=target, anchor=anchor):
            return [(_MOVE[payload.position](target=target, anchor=anchor), at)]
        case model.ReorderPayload(container=container, order=order):
            return [(model.ReorderChildren(target=container, order=order), at)]
        case model.LayoutPayload(regions=regions):
            return [found for name in regions for found in _region(regions, name, f"{at}.regions.{name}")]
        case model.ThemePayload() | model.CtaPayload():
            parts = _theme(payload, at) if isinstance(payload, model.ThemePayload) else _call_to_action(payload, at)
            return list(parts)
        case _:
            return []


_INSERT: dict[model.Position, type[model.Before | model.After | model.Prepend | model.Append]] = {
    model.Position.BEFORE: model.Before,
    model.Position.AFTER: model.After,
    model.Position.PREPEND: model.Prepend,
    model.Position.APPEND: model.Append,
}

_MOVE: dict[model.Position, type[model.MoveBefore | model.MoveAfter | model.MovePrepend | model.MoveAppend]] = {
    model.Position.BEFORE: model.MoveBefore,
    model.Position.AFTER: model.MoveAfter,
    model.Position.PREPEND: model.MovePrepend,
    model.Position.APPEND: model.MoveAppend,
}


def _region(regions: Mapping[str, model.Region], name: str, at: str) -> list[tuple[Operation, str]]:
    """One region: its modules in order, but for those that the other regions take."""
    region, found = regions[name], list[tuple[Operation, str]]()
    if region.modules:
        order = [Target(module_id=module) for module in region.modules]
        elsewhere = [
            Target(module_id=module) for other in regions if other != name for module in regions[other].modules
        ]
        ordered = model.ReorderChildren(target=region.container, order=order, adopt=True, leaving=elsewhere)
        found.append((ordered, at))
    hidden = [Target(module_id=module) for module in region.hidden]
    return found + [(model.HideByStyle(target=target), f"{at}.hidden[{i}]") for i, target in enumerate(hidden)]


def _hidden(target: Target, mode: model.HideMode) -> Operation:
    if mode is model.HideMode.STYLE:
        return model.HideByStyle(target=target)
    if mode is model.HideMode.ATTRIBUTE:
        return model.SetAttribute(target=target, name="hidden", value="")
    return model.Remove(target=target)


def _theme(payload: model.ThemePayload, at: str) -> Iterator[tuple[Operation, str]]:
    """Each token is an operation of its own: a more specific theme takes some of them and leaves the rest."""
    root, head = Target(selector=":root"), Target(selector="head")
    for name, value in payload.tokens.items():
        yield model.SetTokens(target=root, tokens={name: value}), at
    if payload.classes:
        yield model.AddClass(target=root, names=payload.classes), f"{at}.classes"
    if payload.stylesheet is not None:
        link = f'<link rel="stylesheet" href="{escape(payload.stylesheet)}" data-layout-mutation>'
        yield model.Append(target=head, content=model.Content(html=link)), f"{at}.stylesheet"
    if payload.css is not None:
        block = f"<style data-layout-mutation>{_in_any_encoding(payload.css)}</style>"
        yield model.Append(target=head, content=model.Content(html=block)), f"{at}.css"


_PLACEHOLDERS = re.compile(r"(\{\{.*?\}\})")


def _in_any_encoding(sheet: str) -> str:
    """A style sheet in ASCII, but for placeholders: those are escaped when they are filled."""
    pieces = _PLACEHOLDERS.split(sheet)
    return "".join(piece if number % 2 else css.escaped(piece) for number, piece in enumerate(pieces))


def _call_to_action(payload: model.CtaPayload, at: str) -> Iterator[tuple[Operation, str]]:
    target, href = payload.target, payload.href
    if payload.label is not None:
        yield model.SetText(target=target, content=model.Content(text=payload.label)), f"{at}.label"
    if href is not None:
        value = addresses.address_with(href, payload.tracking) if payload.tracking else href
        yield model.SetAttribute(target=target, name="href", value=value), f"{at}.href"
    elif payload.tracking:
        yield model.SetParameters(target=target, parameters=payload.tracking), f"{at}.tracking"
    for name, value in payload.attributes.items():
        yield model.SetAttribute(target=target, name=name, value=value), f"{at}.attributes.{name}"
