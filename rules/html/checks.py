"""What is wrong with an operation on any page: said when it is written, never asked again per visit.

Of operations as they are carried out: components are rendered and placeholders filled before (`rules.html.slots`).

Counterpart: `rules.compiler` calls this for each operation of a table. Raises RulesError with the JSON path.
"""

import re
from collections.abc import Mapping, Sequence

import turbohtml

from rules import css, limits, model
from rules.errors import RulesError
from rules.html import content as markup
from rules.html.harm import harm_of_name, harm_of_value
from rules.html.positions import NOT_BALANCED
from rules.model import Content, Operation, Target
from rules.operations import targets_of

_EMPTY = turbohtml.parse("")
_MOVES = (model.MoveBefore, model.MoveAfter, model.MovePrepend, model.MoveAppend)
_NOT_IN_STYLE = re.compile(r"[{}<;@\\]|/\*")


def check_operation(operation: Operation, path: str, *, selector_at: str = "target.selector") -> None:
    """Raise RulesError for a selector that does not parse, or content that is unbalanced or would run scripts."""
    for name, target in targets_of(operation):
        if target.selector is not None:
            check_selector(target.selector, f"{path}.{selector_at if name == 'target' else f'{name}.selector'}")
    content = getattr(operation, "content", None)
    if isinstance(content, Content):
        _check_content(content, f"{path}.content")
    if isinstance(operation, model.SetAttribute):
        if harm := harm_of_name(operation.name):
            raise RulesError(harm, f"{path}.name")
        if harm := harm_of_value(operation.name, operation.value):
            raise RulesError(harm, f"{path}.value")
    if isinstance(operation, model.SetStyle):
        check_declarations(operation.properties, f"{path}.properties", may_load=True)
    if isinstance(operation, model.SetTokens):
        check_declarations(operation.tokens, f"{path}.tokens", may_load=False)
        _check_styled(operation.target, f"{path}.target", "styles", "use `setStyle`")
    if isinstance(operation, model.HideByStyle):
        _check_styled(operation.target, f"{path}.target", "hides", "use mode `attribute` or `remove`")
    if isinstance(operation, model.OrderByStyle):
        _check_styled(operation.target, f"{path}.target", "orders", "use `reorderChildren`")
        for index, child in enumerate(operation.order):
            _check_styled(child, f"{path}.order[{index}]", "orders", "use `reorderChildren`")


def check_anywhere(operation: Operation, path: str) -> None:
    """Raise RulesError for a value that some element must not have: in the browser nobody asks which one it is."""
    if isinstance(operation, model.SetAttribute) and (harm := harm_of_value(operation.name, operation.value, "iframe")):
        raise RulesError(harm, f"{path}.value")


def check_moves(operations: Sequence[Operation], paths: Sequence[str]) -> None:
    """Raise RulesError where operations of one mutation move things round in a circle, going by their selectors.

    One selector may be both target and anchor: that gathers what it matches at the first match.
    """
    stands_at: dict[str | None, str | None] = {}
    for operation, path in zip(operations, paths, strict=True):
        if not isinstance(operation, _MOVES):
            continue
        moved, anchor = operation.target.selector, operation.anchor.selector
        if moved == anchor or moved in stands_at:
            continue
        at = stands_at[moved] = anchor
        while at is not None and at != moved:
            at = stands_at.get(at)
        if at == moved:
            raise RulesError(f"{moved} would stand beside or inside itself; name another anchor", f"{path}.anchor")


def check_selector(selector: str, path: str) -> None:
    """Raise RulesError for a selector that the engine does not take."""
    if len(selector) > limits.SELECTOR_CHARACTERS_MAX:
        raise RulesError(f"a selector has at most {limits.SELECTOR_CHARACTERS_MAX:,} characters", path)
    try:
        _EMPTY.select(selector)
    except ValueError as error:
        raise RulesError(
            f'{error}; a CSS selector is expected, for example main > h1 or [data-module="hero"]', path
        ) from None


def _check_content(content: Content, path: str) -> None:
    if not content.html:
        return
    if harm := markup.harm_in(content.html):
        raise RulesError(harm, f"{path}.html")
    if not markup.is_balanced(content.html):
        raise RulesError(NOT_BALANCED, f"{path}.html")


def check_declarations(declarations: Mapping[str, str], path: str, *, may_load: bool) -> None:
    """Raise RulesError for a value that is more than one, or that could run scripts (or, if it may not, load anything)."""
    for name, value in declarations.items():
        if problem := css.problem_of_value(name, value, may_load=may_load) or harm_of_addresses(value):
            raise RulesError(problem, f"{path}.{name}")


def harm_of_addresses(text: str) -> str:
    """Why an address in a CSS value or style sheet may not be written; empty if all may."""
    return next(filter(None, (harm_of_value("src", address) for address in css.addresses_in(text))), "")


def may_stand_in_style(target: Target) -> bool:
    """Whether a rule of a style block does to the target what an operation on it would."""
    return target.max_matches is None and not _NOT_IN_STYLE.search(target.selector or "")


def _check_styled(target: Target, path: str, does: str, instead: str) -> None:
    if target.max_matches is not None:
        raise RulesError(f"a style {does} every match; with `maxMatches` {instead}", f"{path}.maxMatches")
    if _NOT_IN_STYLE.search(target.selector or ""):
        raise RulesError(f"this selector can't stand in a style block; {instead}", f"{path}.selector")
