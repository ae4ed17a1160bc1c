"""A verb on an element -> edits, or the reason why not.

Counterpart: `rules.html.document` says where things are, `rules.html.edits` what may stand beside what.
To add a verb: a struct in `rules.model`, a function here in `_VERBS`, a check in `rules.html.checks`.
"""

from collections.abc import Callable

from turbohtml import Element, Namespace

from rules import addresses, model
from rules.html import moves, places
from rules.html.by_style import rules_of
from rules.html.content import RAW_TEXT, RCDATA, closes_ancestor, fits, markup_of, own_fits
from rules.html.document import FORMATTING, LEADING_NEWLINE, STRUCTURE
from rules.html.edits import Side
from rules.html.frameworks import tears_markers
from rules.html.harm import FORBIDDEN_ELEMENTS, harm_of_value
from rules.html.places import SpotOf
from rules.html.proof import Carried
from rules.html.tags import TagChanges
from rules.html.workspace import Workspace
from rules.model import Content, Operation
from rules.reasons import Reason

_READS_THE_PAGE = {
    "meta": {"charset", "http-equiv"},
    "template": {"shadowrootmode"},
    "annotation-xml": {"encoding"},
    "input": {"type"},
}
"""Attributes that change how the rest of the page is parsed."""
_RUNS_OR_LOADS = FORBIDDEN_ELEMENTS
"""Elements whose attributes say what runs, or where everything else comes from: an author must not reach the site's
scripts by way of a `src`, since authors may not write scripts either (`rules.html.checks`)."""
_LINKS = frozenset({"a", "area"})


def perform(work: Workspace, operation: Operation, element: Element) -> Reason | None:
    """Carry out one operation on one element; None if it was accepted, else the reason why not."""
    if places.is_protected(element):
        return Reason.UNSAFE_TARGET
    reason = _VERBS[type(operation)](work, operation, element)
    if reason is None:
        work.carried.append(Carried(operation, element))
    return reason


# -- content


def _cannot_hold(work: Workspace, content: Content, parent: Element | None) -> Reason | None:
    """Why content can't stand inside `parent`; None if it can."""
    if parent is None:
        return Reason.UNSAFE_TARGET
    if parent.namespace is Namespace.HTML:
        if parent.tag in RAW_TEXT:
            return Reason.UNSAFE_TARGET
        if parent.tag in RCDATA:
            return None if content.text is not None else Reason.UNSAFE_TARGET
    ancestors = work.chain(parent)
    if content.text is not None:
        return None if fits(ancestors, "x" if content.text.strip() else markup_of(content)) else Reason.UNSAFE_TARGET
    if content.html is not None and "annotation-xml" in ancestors:
        return Reason.UNSAFE_TARGET  # its `encoding` says how its content is read, and a chain has no attributes
    markup = markup_of(content)
    return Reason.UNSAFE_TARGET if not fits(ancestors, markup) or closes_ancestor(ancestors, markup) else None


def _cannot_lose(work: Workspace, element: Element, span: tuple[int, int]) -> Reason | None:
    """Why a range of an element can't go; None if it can."""
    return Reason.UNSAFE_TARGET if tears_markers(work.document.source[slice(*span)], element) else None


def _set_inner(work: Workspace, operation: model.SetInnerContent | model.SetText, element: Element) -> Reason | None:
    if element.tag in STRUCTURE or not work.document.has_content(element):
        return Reason.UNSAFE_TARGET
    inner = work.document.inner(element)
    if inner is None:
        return Reason.AMBIGUOUS_SPAN
    if (reason := _cannot_lose(work, element, inner) or _cannot_hold(work, operation.content, element)) is not None:
        return reason
    text = markup_of(operation.content)
    if element.tag in LEADING_NEWLINE and text.startswith("\n"):
        text = "\n" + text
    if inner[0] < inner[1]:
        return work.place(*inner, text, Side.RANGE, element)
    if not work.fill(inner[0]):
        return Reason.SHADOWED
    return work.place(*inner, text, Side.INNER, element)


def _replace(work: Workspace, operation: model.Replace, element: Element) -> Reason | None:
    outer = work.document.outer(element)
    if outer is None:
        return Reason.UNSAFE_TARGET if element.tag in STRUCTURE else Reason.AMBIGUOUS_SPAN
    if (
        reason := _cannot_lose(work, element, outer) or _cannot_hold(work, operation.content, work.parent(element))
    ) is not None:
        return reason
    return work.place(*outer, markup_of(operation.content), Side.RANGE, element, behind=element.previous_sibling)


def _remove(work: Workspace, operation: model.Remove, element: Element) -> Reason | None:
    outer = work.document.outer(element)
    if outer is None:
        return Reason.UNSAFE_TARGET if element.tag in STRUCTURE else Reason.AMBIGUOUS_SPAN
    if (reason := _cannot_lose(work, element, outer)) is not None:
        return reason
    return work.place(*outer, "", Side.RANGE, element, behind=element.previous_sibling)


def _unwrap(work: Workspace, operation: model.RemoveAndKeepContent, element: Element) -> Reason | None:
    document = work.document
    if element.tag in STRUCTURE | RAW_TEXT or not document.has_content(element):
        return Reason.UNSAFE_TARGET
    inner, tag = document.inner(element), document.start_tag(element)
    if inner is None or tag is None:
        return Reason.AMBIGUOUS_SPAN
    kept, parent = document.source[slice(*inner)], work.parent(element)
    if parent is None or not own_fits(work.chain(parent), kept):
        return Reason.UNSAFE_TARGET
    mark = work.mark()
    start = (tag[0], tag[1] + places.dropped_newline(document, element, tag[1]))
    reason = work.place(*start, "", Side.RANGE, element, behind=element.previous_sibling)
    end = document.end_tag(element)
    if reason is None and end is not None:
        reason = work.place(*end, "", Side.RANGE, element)
    if reason is not None:
        work.rollback(mark)
    return reason


# -- insertions


_SPOTS: dict[type, SpotOf] = {
    model.Before: places.before,
    model.After: places.after,
    model.Prepend: places.prepend,
    model.Append: places.append,
}


def _insert(
    work: Workspace, operation: model.Before | model.After | model.Prepend | model.Append, element: Element
) -> Reason | None:
    spot = _SPOTS[type(operation)](work.document, element)
    if isinstance(spot, Reason):
        return spot
    if (reason := _cannot_hold(work, operation.content, work.parent_at(spot))) is not None:
        return reason
    text, tag = markup_of(operation.content), work.document.start_tag(element)
    if element.tag in LEADING_NEWLINE and tag is not None and spot.at == tag[1] and text.startswith("\n"):
        text = "\n" + text
    return work.insert(spot, text)


# -- start tags


def _set_attribute(work: Workspace, operation: model.SetAttribute, element: Element) -> Reason | None:
    name = operation.name.lower()
    if name in _READS_THE_PAGE.get(element.tag, ()) or harm_of_value(name, operation.value, element.tag):
        return Reason.UNSAFE_TARGET
    return _change(work, element, lambda changes: changes.set(name, operation.value))


def _remove_attribute(work: Workspace, operation: model.RemoveAttribute, element: Element) -> Reason | None:
    name = operation.name.lower()
    if name in _READS_THE_PAGE.get(element.tag, ()):
        return Reason.UNSAFE_TARGET
    return _change(work, element, lambda changes: changes.set(name, None))


def _add_class(work: Workspace, operation: model.AddClass, element: Element) -> Reason | None:
    return _change(work, element, lambda changes: changes.change_classes(operation.names, []))


def _remove_class(work: Workspace, operation: model.RemoveClass, element: Element) -> Reason | None:
    return _change(work, element, lambda changes: changes.change_classes([], operation.names))


def _set_style(work: Workspace, operation: model.SetStyle, element: Element) -> Reason | None:
    return _change(work, element, lambda changes: changes.set_properties(operation.properties))


def _set_parameters(work: Workspace, operation: model.SetParameters, element: Element) -> Reason | None:
    address = element.attrs.get("href")
    if element.namespace is not Namespace.HTML or element.tag not in _LINKS or not isinstance(address, str):
        return Reason.UNSAFE_TARGET
    if not addresses.takes_parameters(address):
        return Reason.UNSAFE_TARGET
    return _change(work, element, lambda changes: changes.set_parameters(operation.parameters))


def _change(work: Workspace, element: Element, change: Callable[[TagChanges], bool]) -> Reason | None:
    if element.tag in _RUNS_OR_LOADS or (element.tag == "meta" and "http-equiv" in element.attrs):
        return Reason.UNSAFE_TARGET
    if element.tag in FORMATTING and work.document.is_misnested and work.document.inner(element) is None:
        return Reason.AMBIGUOUS_SPAN
    return work.change_tag(element, change)


# -- styles


def _by_style(work: Workspace, operation: Operation, _element: Element) -> Reason | None:
    mark = work.mark()
    for selector, declarations in rules_of(operation):
        if (reason := work.style(selector, declarations)) is not None:
            work.rollback(mark)
            return reason
    return None


def _order_by_style(work: Workspace, operation: model.OrderByStyle, container: Element) -> Reason | None:
    """One order for each container, be it by style or by moving."""
    if work.document.start_tag(container) is None:
        return Reason.AMBIGUOUS_SPAN
    if (accepted := work.order_of(container)) is not None:
        return None if accepted == operation.order else Reason.SHADOWED
    if (reason := _by_style(work, operation, container)) is None:
        work.take_order(container, operation.order)
    return reason


_VERBS: dict[type, Callable[..., Reason | None]] = {
    model.Before: _insert,
    model.After: _insert,
    model.Prepend: _insert,
    model.Append: _insert,
    model.SetInnerContent: _set_inner,
    model.SetText: _set_inner,
    model.Replace: _replace,
    model.Remove: _remove,
    model.RemoveAndKeepContent: _unwrap,
    model.SetAttribute: _set_attribute,
    model.RemoveAttribute: _remove_attribute,
    model.AddClass: _add_class,
    model.RemoveClass: _remove_class,
    model.SetStyle: _set_style,
    model.SetParameters: _set_parameters,
    model.MoveBefore: moves.move,
    model.MoveAfter: moves.move,
    model.MovePrepend: moves.move,
    model.MoveAppend: moves.move,
    model.ReorderChildren: moves.reorder,
    model.HideByStyle: _by_style,
    model.OrderByStyle: _order_by_style,
    model.SetTokens: _by_style,
}
