"""The verbs of operations carried out on a tree as a browser's DOM would: what a rewritten page has to be.

Insertions come first, in order; then what replaces or removes, which takes only what the page itself had; an element whose
tags go is the last, so that everything else finds its place. To give a verb its say: one function under `@verb`.
Counterpart: `rules.html.operations` makes bytes of the same verbs, and knows nothing of this.
Never: a verb that isn't here. Who asks for one gets `UnknownVerbError`, and has no opinion.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

from rules import model
from rules.model import Content, Operation, Target
from service.page_trees import TEXT, Branch, Leaf, SelectolaxPage, fragment, namespace_of

OWN_MARK = "data-layout-mutation"
"""Attribute of what the engine writes on its own account at the end of `<head>`."""

Nodes = list[Branch | Leaf]


class UnknownVerbError(ValueError):
    """An operation that nobody here knows how to carry out."""


class Phase(IntEnum):
    """When a verb is carried out."""

    MOVE = 0
    INSERT = 1
    REPLACE = 2
    UNWRAP = 3


class Work:
    """A page being changed, and what its verbs ask for beside the tree."""

    def __init__(self, page: SelectolaxPage) -> None:
        self._page = page
        self._found: dict[str, list[Branch]] = {}
        self.styles: dict[str, dict[str, str]] = {}
        """Selector -> property -> value: what the engine's style block has to say, in order."""
        self.appends_to_body = False
        self.moved: dict[int, Branch] = {}
        """Operation -> the element that it moved last: several stay in their order."""
        self.settled: set[int] = set()
        """Elements that were moved."""
        self.beside: dict[int, tuple[list[Branch], list[Branch]]] = {}
        """Element -> what was moved before it and after it."""
        self.kinds: set[type] = set()
        """Of all operations that are carried out."""
        self.taken: dict[int, set[int]] = {}
        """Each operation -> elements that earlier ones moved, replaced or removed."""
        self._held: dict[int, Nodes] = {}

    def all(self, target: Target) -> list[Branch]:
        """The elements of the page as it came that a target matches, in tree order."""
        selector = target.selector or ""
        if selector not in self._found:
            self._found[selector] = self._page.select(selector)
        return self._found[selector]

    def unit(self, element: Branch) -> list[Branch]:
        """An element with what was moved beside it, in their order."""
        before, after = self.beside.get(id(element), ([], []))
        return [
            *(each for one in before for each in self.unit(one)),
            element,
            *(each for one in after for each in self.unit(one)),
        ]

    def first(self, target: Target) -> Branch:
        """The first element of the page as it came that a target matches; raises ValueError if there is none."""
        found = self.all(target)
        if not found:
            raise ValueError(f"nothing matches {target.selector}")
        return found[0]

    def style(self, selector: str, name: str, value: str) -> None:
        """Have the engine's style block say something of what a selector matches."""
        self.styles.setdefault(selector, {})[name] = value

    def hold(self, element: Branch) -> None:
        """Remember what the page has inside an element; where that is nothing, an empty text that holds its place."""
        if id(element) not in self._held:
            if not element.children:
                element.add(Leaf(TEXT, ""))
            self._held[id(element)] = [*element.children]

    def held(self, element: Branch) -> Nodes:
        """What `hold` remembered."""
        return self._held[id(element)]


Do = Callable[[Work, Any, Branch], None]
VERBS: dict[type, tuple[Phase, Do]] = {}


def verb(kind: type, phase: Phase = Phase.REPLACE) -> Callable[[Do], Do]:
    """Enter a function as what `kind` does to an element."""

    def enter(do: Do) -> Do:
        VERBS[kind] = (phase, do)
        return do

    return enter


def carry_out(work: Work, operations: Sequence[tuple[Operation, Branch]]) -> None:
    """All operations, each on its element, in the order in which they were accepted; raises UnknownVerbError."""
    taken: set[int] = set()
    for operation, element in operations:
        if type(operation) not in VERBS:
            raise UnknownVerbError(name_of(operation))
        work.kinds.add(type(operation))
        work.taken.setdefault(id(operation), set(taken))
        if isinstance(operation, _TAKES):
            taken.add(id(element))
        if isinstance(operation, model.SetInnerContent | model.SetText):
            work.hold(element)
    for phase in Phase:
        for operation, element in operations:
            due, do = VERBS[type(operation)]
            if due is phase:
                do(work, operation, element)


def name_of(operation: Operation) -> str:
    """The verb as authors write it."""
    return str(operation.__struct_config__.tag)


def nodes_of(content: Content, parent: Branch) -> Nodes:
    """Content as nodes inside `parent`."""
    if content.text is not None:
        return [Leaf(TEXT, _lines(content.text))]
    return [*fragment(_lines(content.html or ""), parent)]


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _parent(element: Branch) -> Branch:
    assert element.parent is not None
    return element.parent


# -- moves

_TAKES = (
    model.MoveBefore,
    model.MoveAfter,
    model.MovePrepend,
    model.MoveAppend,
    model.Replace,
    model.Remove,
)


_TAKES_NOTHING = frozenset(
    {
        model.ReorderChildren,
        model.HideByStyle,
        model.SetTokens,
        model.SetAttribute,
        model.RemoveAttribute,
        model.AddClass,
        model.RemoveClass,
    }
)


def _move(work: Work, operation: Any, element: Branch) -> None:
    """Several elements stay in their order; what was moved beside an element before goes with it."""
    anchor, last = work.first(operation.anchor), work.moved.get(id(operation))
    if id(element) in work.settled:
        return  # moved already, and by the same move, or it would not have been accepted
    work.settled.add(id(element))
    unit = work.unit(element)
    _take_out(unit)
    if isinstance(operation, model.MovePrepend):
        anchor.add(*unit, at=0 if last is None else anchor.index(work.unit(last)[-1]) + 1)
    elif isinstance(operation, model.MoveAppend):
        anchor.add(*unit)
        work.appends_to_body = work.appends_to_body or anchor.tag == "body"
    else:
        parent, before = _parent(anchor), work.unit(anchor)
        at = parent.index(before[0])
        _take_out(before)
        beside = work.beside.setdefault(id(anchor), ([], []))
        if isinstance(operation, model.MoveBefore):
            beside[0].append(element)
        else:
            beside[1].insert(0 if last is None else beside[1].index(last) + 1, element)
        parent.add(*work.unit(anchor), at=at)
    work.moved[id(operation)] = element


def _take_out(unit: Sequence[Branch]) -> None:
    """Take elements from wherever they stand."""
    own = {id(one) for one in unit}
    for parent in {id(one.parent): one.parent for one in unit}.values():
        if parent is not None:
            parent.children[:] = [child for child in parent.children if id(child) not in own]


for _kind in (model.MoveBefore, model.MoveAfter, model.MovePrepend, model.MoveAppend):
    verb(_kind, Phase.MOVE)(_move)


@verb(model.ReorderChildren, Phase.MOVE)
def _reorder(work: Work, operation: model.ReorderChildren, container: Branch) -> None:
    """The k-th place among the children gets the k-th of the new order; what is brought in shares the last place.

    What is free to be brought in beside operations that take elements, only the rewriter knows.
    """
    if operation.adopt and not work.kinds <= _TAKES_NOTHING:
        raise UnknownVerbError("reorderChildren that adopts, beside what replaces, inserts or moves")
    leaving = {id(one) for target in operation.leaving for one in work.all(target)}
    taken = work.taken.get(id(operation), set()) | leaving
    present = [one for one in container.children if isinstance(one, Branch) and id(one) not in taken]
    own = {id(one) for one in present}
    listed: dict[int, Branch] = {}
    for target in operation.order:
        for one in work.all(target):
            if id(one) in own or (operation.adopt and id(one) not in taken):
                listed.setdefault(id(one), one)
    wanted = [*listed.values(), *(one for one in present if id(one) not in listed)]
    space = _space_before(container, present[-1]) if present else ""
    places = [Leaf(TEXT, "") for _ in present]
    for place, one in zip(places, present, strict=True):
        unit = work.unit(one)
        at = container.index(unit[0])
        _take_out(unit)
        container.add(place, at=at)
    _take_out([each for one in wanted for each in work.unit(one)])
    for place, one in zip(places[:-1], wanted, strict=False):
        container.add(*work.unit(one), at=container.index(place))
    last: Nodes = []
    for one in wanted[max(0, len(places) - 1) :]:
        last += [*([Leaf(TEXT, space)] if last else []), *work.unit(one)]
    container.add(*last, at=container.index(places[-1]) if places else None)  # an empty text holds each place
    work.appends_to_body = work.appends_to_body or container.tag == "body"


def _space_before(container: Branch, element: Branch) -> str:
    at = container.index(element)
    before = container.children[at - 1] if at else None
    if not isinstance(before, Leaf) or before.kind != TEXT:
        return ""
    return before.data[len(before.data.rstrip(" \t\n\f\r")) :]


# -- insertions


@verb(model.Before, Phase.INSERT)
def _before(_: Work, operation: model.Before, element: Branch) -> None:
    parent = _parent(element)
    parent.add(*nodes_of(operation.content, parent), at=parent.index(element))


@verb(model.After, Phase.INSERT)
def _after(_: Work, operation: model.After, element: Branch) -> None:
    parent = _parent(element)
    parent.add(*nodes_of(operation.content, parent), at=parent.index(element) + 1)


@verb(model.Prepend, Phase.INSERT)
def _prepend(_: Work, operation: model.Prepend, element: Branch) -> None:
    element.add(*nodes_of(operation.content, element), at=0)


@verb(model.Append, Phase.INSERT)
def _append(work: Work, operation: model.Append, element: Branch) -> None:
    element.add(*nodes_of(operation.content, element))
    work.appends_to_body = work.appends_to_body or element.tag == "body"


# -- what replaces or removes


@verb(model.SetInnerContent)
@verb(model.SetText)
def _set_inner(work: Work, operation: model.SetInnerContent | model.SetText, element: Branch) -> None:
    held = work.held(element)
    at = element.index(held[0])
    for node in held:
        del element.children[element.index(node)]
    element.add(*nodes_of(operation.content, element), at=at)


@verb(model.Replace)
def _replace(_: Work, operation: model.Replace, element: Branch) -> None:
    parent = _parent(element)
    at = parent.index(element)
    del parent.children[at]
    parent.add(*nodes_of(operation.content, parent), at=at)


@verb(model.Remove)
def _remove(_: Work, operation: model.Remove, element: Branch) -> None:
    parent = _parent(element)
    del parent.children[parent.index(element)]


@verb(model.RemoveAndKeepContent, Phase.UNWRAP)
def _unwrap(_: Work, operation: model.RemoveAndKeepContent, element: Branch) -> None:
    parent = _parent(element)
    at = parent.index(element)
    del parent.children[at]
    parent.add(*element.children, at=at)


# -- attributes


@verb(model.SetAttribute)
def _set_attribute(_: Work, operation: model.SetAttribute, element: Branch) -> None:
    element.attributes[_own_name(element, operation.name)] = _lines(operation.value)


@verb(model.RemoveAttribute)
def _remove_attribute(_: Work, operation: model.RemoveAttribute, element: Branch) -> None:
    element.attributes.pop(_own_name(element, operation.name), None)


@verb(model.AddClass)
def _add_class(_: Work, operation: model.AddClass, element: Branch) -> None:
    have = element.attributes.get("class", "").split()
    added = dict.fromkeys(name for name in operation.names if name not in have)
    element.attributes["class"] = " ".join([*have, *added])


@verb(model.RemoveClass)
def _remove_class(_: Work, operation: model.RemoveClass, element: Branch) -> None:
    if "class" in element.attributes:
        names = element.attributes["class"].split()
        element.attributes["class"] = " ".join(name for name in names if name not in operation.names)


def _own_name(element: Branch, name: str) -> str:
    """The name as the element has it: HTML's are in lower case, some of SVG's are mixed, as the parser makes them."""
    lowered = name.lower()
    if (own := next((own for own in element.attributes if own.lower() == lowered), None)) is not None:
        return own
    if namespace_of(element) == "html" or element.parent is None:
        return lowered
    alike = fragment(f"<{element.tag} {lowered}></{element.tag}>", element.parent)
    return next((own for one in alike if isinstance(one, Branch) for own in one.attributes), lowered)


# -- what goes into the engine's own style block


@verb(model.HideByStyle)
def _hide(work: Work, operation: model.HideByStyle, _: Branch) -> None:
    work.style(operation.target.selector or "", "display", "none!important")


@verb(model.SetTokens)
def _set_tokens(work: Work, operation: model.SetTokens, _: Branch) -> None:
    for name, value in operation.tokens.items():
        work.style(operation.target.selector or "", name, value)


@verb(model.OrderByStyle)
def _order_by_style(work: Work, operation: model.OrderByStyle, _: Branch) -> None:
    container = operation.target.selector
    work.style(f":where({container})", "display", "grid")
    for place, child in enumerate(operation.order):
        work.style(f":is({container})>:is({child.selector})", "order", f"{place - len(operation.order)}!important")
