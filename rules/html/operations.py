"""A verb on an element -> edits, or the reason why not.

Counterpart: `rules.html.document` says where things are, `rules.html.edits` what may stand beside what.
To add a verb: a struct in `rules.model`, a function here in `_VERBS`, a check in `rules.html.checks`.
"""

from collections.abc import Callable

from turbohtml import Element, Namespace

from rules import model
from rules.html.content import RAW_TEXT, RCDATA, closes_ancestor, fits, markup_of
from rules.html.document import FORMATTING, LEADING_NEWLINE, STRUCTURE, chain, open_formatting
from rules.html.edits import Side
from rules.html.harm import FORBIDDEN_ELEMENTS, harm_of_value
from rules.html.proof import Carried
from rules.html.tags import TagChanges
from rules.html.workspace import AFTER, APPEND, Workspace
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
_PROTECTED = ("integrity", "data-turbo-track")
"""Elements that something else has taken the measure of: changing them breaks the page."""


def perform(work: Workspace, operation: Operation, element: Element) -> Reason | None:
    """Carry out one operation on one element; None if it was accepted, else the reason why not."""
    if any(name in element.attrs for name in _PROTECTED):
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
    ancestors, markup = chain(parent), markup_of(content)
    if content.html is not None and "annotation-xml" in ancestors:
        return Reason.UNSAFE_TARGET  # its `encoding` says how its content is read, and a chain has no attributes
    sample = "x" if content.text is not None and content.text.strip() else markup
    if not fits(ancestors, sample) or (content.html is not None and closes_ancestor(ancestors, markup)):
        return Reason.UNSAFE_TARGET
    return None


def _set_inner(work: Workspace, operation: model.SetInnerContent | model.SetText, element: Element) -> Reason | None:
    if element.tag in STRUCTURE or not work.document.has_content(element):
        return Reason.UNSAFE_TARGET
    inner = work.document.inner(element)
    if inner is None:
        return Reason.AMBIGUOUS_SPAN
    if (reason := _cannot_hold(work, operation.content, element)) is not None:
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
    if (reason := _cannot_hold(work, operation.content, _parent(element))) is not None:
        return reason
    return work.place(*outer, markup_of(operation.content), Side.RANGE, element, behind=element.previous_sibling)


def _remove(work: Workspace, operation: model.Remove, element: Element) -> Reason | None:
    outer = work.document.outer(element)
    if outer is None:
        return Reason.UNSAFE_TARGET if element.tag in STRUCTURE else Reason.AMBIGUOUS_SPAN
    return work.place(*outer, "", Side.RANGE, element, behind=element.previous_sibling)


def _unwrap(work: Workspace, operation: model.RemoveAndKeepContent, element: Element) -> Reason | None:
    document = work.document
    if element.tag in STRUCTURE | RAW_TEXT or not document.has_content(element):
        return Reason.UNSAFE_TARGET
    inner, tag = document.inner(element), document.start_tag(element)
    if inner is None or tag is None:
        return Reason.AMBIGUOUS_SPAN
    kept, parent = document.source[slice(*inner)], _parent(element)
    if parent is None or not fits(chain(parent), kept):
        return Reason.UNSAFE_TARGET
    reason = work.place(*tag, "", Side.RANGE, element, behind=element.previous_sibling)
    end = document.end_tag(element)
    if reason is None and end is not None:
        return work.place(*end, "", Side.RANGE, element)
    return reason


# -- insertions


def _before(work: Workspace, operation: model.Before, element: Element) -> Reason | None:
    tag = work.document.start_tag(element)
    if tag is None or element.tag in STRUCTURE:
        return Reason.UNSAFE_TARGET if element.tag in STRUCTURE else Reason.AMBIGUOUS_SPAN
    if (reason := _cannot_hold(work, operation.content, _parent(element))) is not None:
        return reason
    if work.document.is_misnested and work.document.has_content(element) and work.document.inner(element) is None:
        return Reason.AMBIGUOUS_SPAN
    text = markup_of(operation.content)
    return work.place(tag[0], tag[0], text, Side.BEFORE, element, behind=element.previous_sibling)


def _after(work: Workspace, operation: model.After, element: Element) -> Reason | None:
    if element.tag in STRUCTURE:
        return Reason.UNSAFE_TARGET
    outer = work.document.outer(element)
    if outer is None or (work.document.has_content(element) and open_formatting(element)):
        return Reason.AMBIGUOUS_SPAN
    if (reason := _cannot_hold(work, operation.content, _parent(element))) is not None:
        return reason
    text = markup_of(operation.content)
    return work.place(outer[1], outer[1], text, Side.CLOSING, element, kind=AFTER, behind=element)


def _prepend(work: Workspace, operation: model.Prepend, element: Element) -> Reason | None:
    document, tag = work.document, work.document.start_tag(element)
    if tag is None:
        return Reason.AMBIGUOUS_SPAN
    if not document.has_content(element):
        return Reason.UNSAFE_TARGET
    if (reason := _cannot_hold(work, operation.content, element)) is not None:
        return reason
    if element.tag not in STRUCTURE and document.inner(element) is None:
        return Reason.AMBIGUOUS_SPAN
    at = tag[1]
    if element.tag in LEADING_NEWLINE:
        at += (
            len("\r\n")
            if document.page.startswith(b"\r\n", at + document.base)
            else document.source.startswith("\n", at)
        )
    text = markup_of(operation.content)
    if at == tag[1] and element.tag in LEADING_NEWLINE and text.startswith("\n"):
        text = "\n" + text
    return work.place(at, at, text, Side.PREPEND, element)


def _append(work: Workspace, operation: model.Append, element: Element) -> Reason | None:
    document = work.document
    if not document.has_content(element):
        return Reason.UNSAFE_TARGET
    inner = document.inner(element)
    if inner is None or element.tag == "html":
        return Reason.AMBIGUOUS_SPAN
    if (reason := _cannot_hold(work, operation.content, element)) is not None:
        return reason
    last = element.children[-1] if element.children else None
    if isinstance(last, Element) and open_formatting(last):
        return Reason.AMBIGUOUS_SPAN
    text = markup_of(operation.content)
    if last is None and element.tag in LEADING_NEWLINE and text.startswith("\n"):
        text = "\n" + text
    return work.place(inner[1], inner[1], text, Side.CLOSING, element, kind=APPEND, behind=last)


def _parent(element: Element) -> Element | None:
    parent = element.parent
    return parent if isinstance(parent, Element) else None


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


def _change(work: Workspace, element: Element, change: Callable[[TagChanges], bool]) -> Reason | None:
    if element.tag in _RUNS_OR_LOADS or (element.tag == "meta" and "http-equiv" in element.attrs):
        return Reason.UNSAFE_TARGET
    if element.tag in FORMATTING and work.document.is_misnested and work.document.inner(element) is None:
        return Reason.AMBIGUOUS_SPAN
    return work.change_tag(element, change)


def _hide(work: Workspace, operation: model.HideByStyle, element: Element) -> Reason | None:
    return work.style(operation.target.selector or "", {"display": "none!important"})


_VERBS: dict[type, Callable[..., Reason | None]] = {
    model.Before: _before,
    model.After: _after,
    model.Prepend: _prepend,
    model.Append: _append,
    model.SetInnerContent: _set_inner,
    model.SetText: _set_inner,
    model.Replace: _replace,
    model.Remove: _remove,
    model.RemoveAndKeepContent: _unwrap,
    model.SetAttribute: _set_attribute,
    model.RemoveAttribute: _remove_attribute,
    model.AddClass: _add_class,
    model.RemoveClass: _remove_class,
    model.HideByStyle: _hide,
}
