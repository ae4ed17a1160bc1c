"""What operations do by style alone: rules of the engine's own style block, where no element of the page changes.

That is why they are safe on pages that a framework hydrates. Counterpart: `rules.html.operations` accepts the rules one by
one, `rules.html.island` hands them to the browser script.
Never: a selector or a value that was not checked (`rules.html.checks`).
"""

from collections.abc import Mapping

from rules import css, model
from rules.html.checks import may_stand_in_style
from rules.html.document import Document
from rules.html.frameworks import Root, framework_of
from rules.model import Operation

Declared = tuple[tuple[str, Mapping[str, str]], ...]
"""Rules: a selector, and value by property."""


def suited(document: Document, roots: tuple[Root, ...], operation: Operation) -> Operation:
    """An order of children that a framework hydrates becomes one by style, where a style can say it; else as it was."""
    if not isinstance(operation, model.ReorderChildren) or operation.adopt:
        return operation
    if any(target.required for target in operation.order):
        return operation
    if not all(map(may_stand_in_style, (operation.target, *operation.order))):
        return operation
    if framework_of(document, roots, operation) is None:
        return operation
    return model.OrderByStyle(target=operation.target, order=operation.order)


def rules_of(operation: Operation) -> Declared:
    """The rules that an operation stands for; () for one that changes elements."""
    if isinstance(operation, model.HideByStyle):
        return ((operation.target.selector or "", {"display": "none!important"}),)
    if isinstance(operation, model.SetTokens):
        return ((operation.target.selector or "", operation.tokens),)
    if isinstance(operation, model.OrderByStyle):
        return _ordered(operation)
    return ()


def _ordered(operation: model.OrderByStyle) -> Declared:
    """`order` counts only in a grid or a flex box. `:where` weighs nothing: the site's own `display` wins."""
    container = operation.target.selector or ""
    count = len(operation.order)
    children = tuple(
        (f":is({container})>:is({child.selector})", {"order": f"{index - count}!important"})
        for index, child in enumerate(operation.order)
    )
    return ((f":where({container})", {"display": "grid"}), *children)


def style_sheet(styles: Mapping[tuple[str, str], str]) -> str:
    """CSS for (selector, property) -> value: one rule for each selector, in the order in which selectors came."""
    rules: dict[str, list[str]] = {}
    for (selector, name), value in styles.items():
        rules.setdefault(selector, []).append(f"{name}:{css.escaped(value)}")
    return "".join(f"{css.escaped(selector)}{{{';'.join(declared)}}}" for selector, declared in rules.items())
