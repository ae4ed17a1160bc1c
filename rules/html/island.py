"""What the browser script is told: groups of operations as data in the page, and the script's own tag behind them.

`<script type="application/json">` holds data: no browser runs it, and no policy speaks of it. All of it is ASCII and has no
`<`, so that nothing an author wrote can end it, whatever the page's encoding is.
Counterpart: `sidecar/runtime/runtime.js` reads it; `sidecar.runtime.browser_script` knows its address, `sidecar.heads.content_security`
whether the page's policy lets it in. Format: `ISLAND_FORMAT`; a script that does not know a format does nothing.
Never: an address, a nonce or a file of its own.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from rules import model
from rules.group import Group
from rules.html.by_style import rules_of, style_sheet
from rules.html.content import elements, escape_attribute
from rules.html.document import Document
from rules.html.frameworks import Root, framework_of
from rules.html.harm import harm_of, harm_of_value
from rules.model import Content, Delivery, Operation

ISLAND_FORMAT = 1

_ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}
"""These stand only inside JSON's strings. XHTML reads references in scripts too."""


class Script(Struct, frozen=True):
    """Where the browser script is, and what lets it in where a page has a policy: its hash, a nonce, or neither."""

    address: str
    integrity: str = ""
    """`sha256-…`; empty where the policy needs none."""
    nonce: str = ""


def island(document: Document, roots: tuple[Root, ...], groups: Sequence[Group], script: Script) -> str:
    """The markup for the end of `<head>`: the data, and the script that reads it. Scripts behind a head's end tag can't
    change it any more, and `defer` lets the page come first."""
    told = {"v": ISLAND_FORMAT, "groups": [_told(document, roots, group) for group in groups]}
    data = json.dumps(told, separators=(",", ":")).translate(_ESCAPED)
    nonce = f' nonce="{escape_attribute(script.nonce)}"' if script.nonce else ""
    integrity = f' integrity="{escape_attribute(script.integrity)}"' if script.integrity else ""
    return (
        f'<script type="application/json" data-layout-mutation>{data}</script>'
        f'<script src="{escape_attribute(script.address)}" data-layout-mutation{integrity}{nonce} defer></script>'
    )


def _told(document: Document, roots: tuple[Root, ...], group: Group) -> dict[str, Any]:
    told: dict[str, Any] = {"id": group.mutation_id}
    if group.delivery is Delivery.GUARDED:
        told["guarded"] = True
    if group.when is not None:
        told["when"] = _plain(msgspec.to_builtins(group.when))
    told["operations"] = [_operation(document, roots, one) for one in group.operations if not _harms(one)]
    return told


def _harms(operation: Operation) -> bool:
    """Whether what a visit filled in does what content may not, on any element: the edge would notice where it stands."""
    content = getattr(operation, "content", None)
    if isinstance(content, Content) and content.html is not None:
        return bool(harm_of(elements(content.html)))
    return isinstance(operation, model.SetAttribute) and bool(harm_of_value(operation.name, operation.value, "iframe"))


def _operation(document: Document, roots: tuple[Root, ...], operation: Operation) -> dict[str, Any]:
    """An operation as the script knows it, and whether it must wait for a framework."""
    told = {**_said(operation), "target": msgspec.to_builtins(operation.target)}
    if "css" not in told and _waits(document, roots, operation):
        told["waits"] = True
    plain: dict[str, Any] = _plain(told)
    return plain


def _said(operation: Operation) -> dict[str, Any]:
    """An operation in the few verbs of the script. What is done by style is CSS already; what is removed is only hidden."""
    if rules := rules_of(operation):
        styles = {(selector, name): value for selector, declared in rules for name, value in declared.items()}
        return {"verb": "css", "css": style_sheet(styles)}
    if isinstance(operation, _INSERTS):
        return {"verb": "insert", "way": _WAYS[type(operation)], "html": operation.content.html}
    if isinstance(operation, _MOVES):
        return {"verb": "move", "way": _WAYS[type(operation)], "anchor": msgspec.to_builtins(operation.anchor)}
    match operation:
        case model.SetText(content=content) | model.SetInnerContent(content=content):
            return {"verb": "inner" if content.text is None else "text", "text": content.text, "html": content.html}
        case model.Replace(content=content):
            return {"verb": "replace", "html": content.html}
        case model.ReorderChildren(order=order, adopt=adopt):
            return {"verb": "order", "order": msgspec.to_builtins(order), "adopt": adopt}
        case model.Remove():
            return {"verb": "style", "properties": {"display": _HIDDEN}}
        case model.RemoveAndKeepContent():
            return {"verb": "style", "properties": {"display": _ONLY_CONTENT}}
        case _:
            return _said_of_tag(operation)


def _said_of_tag(operation: Operation) -> dict[str, Any]:
    match operation:
        case model.SetAttribute(name=name, value=value):
            return {"verb": "attribute", "name": name, "value": value}
        case model.RemoveAttribute(name=name):
            return {"verb": "attribute", "name": name}
        case model.AddClass(names=names) | model.RemoveClass(names=names):
            return {"verb": "classes", "names": names, "add": isinstance(operation, model.AddClass)}
        case model.SetStyle(properties=properties):
            return {"verb": "style", "properties": {name: _declared(value) for name, value in properties.items()}}
        case model.SetParameters(parameters=parameters):
            return {"verb": "parameters", "parameters": parameters}
        case _:
            raise AssertionError(f"the browser script does not know {type(operation).__name__}")


def _declared(value: str) -> list[str]:
    """A value and its importance, as `CSSStyleDeclaration.setProperty` takes them."""
    found = _IMPORTANT.search(value)
    return [value] if found is None else [value[: found.start()], "important"]


_IMPORTANT = re.compile(r"\s*!\s*important\s*$", re.IGNORECASE)
_HIDDEN, _ONLY_CONTENT = ["none", "important"], ["contents", "important"]
_INSERTS = (model.Before, model.After, model.Prepend, model.Append)
_MOVES = (model.MoveBefore, model.MoveAfter, model.MovePrepend, model.MoveAppend)
_WAYS: dict[type, str] = {
    model.Before: "before",
    model.After: "after",
    model.Prepend: "prepend",
    model.Append: "append",
    model.MoveBefore: "before",
    model.MoveAfter: "after",
    model.MovePrepend: "prepend",
    model.MoveAppend: "append",
}


def _waits(document: Document, roots: tuple[Root, ...], operation: Operation) -> bool:
    """Whether the operation changes what a framework hydrates, or will have rendered by then."""
    if not roots:
        return False
    return not document.select(operation.target.selector or "") or framework_of(document, roots, operation) is not None


def _plain(value: Any) -> Any:
    """JSON without what is absent anyway."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None and inner is not False}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
