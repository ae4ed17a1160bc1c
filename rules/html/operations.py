"""A verb on an element -> edits, or the reason why not.

Counterpart: `rules.html.document` says where things are, `rules.html.edits` what may stand beside what.
To add a verb: a struct in `rules.model`, a function here in `_VERBS`, a check in `rules.html.checks`.
"""

from collections.abc import Callable
from functools import partial

from turbohtml import Element, Namespace

from rules import model
from rules.html.content import RAW_TEXT, RCDATA, closes_ancestor, fits, markup_of
from rules.html.document import FORMATTING, LEADING_NEWLINE, STRUCTURE, Document, chain, open_formatting
from rules.html.edits import Edit, EditSet, Placed, Side
from rules.html.harm import FORBIDDEN_ELEMENTS, harm_of_value
from rules.html.proof import Carried
from rules.html.tags import TagChanges, tag_edits
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


_APPEND, _END_TAG, _AFTER = range(3)
"""The order of what is written at the end of one element."""


class Workspace:
    """One page being edited: the document, the accepted edits, and the changes of start tags."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.edits = EditSet()
        self.carried: list[Carried] = []
        """Each accepted operation with the element it changes, in the order of acceptance."""
        self.tags: dict[int, TagChanges] = {}
        self.hidden: list[str] = []
        self.closings: dict[int, Placed] = {}
        """Start of an element without end tag -> the end tag it needs, since something is written behind it."""
        self.filled: set[int] = set()
        """Offsets of empty elements whose content was set."""
        self._sequence = 0
        self._undo: list[Callable[[], object]] = []

    def mark(self) -> tuple[int, int, int, int]:
        """A point to come back to, if a mutation turns out not to apply whole."""
        return self.edits.mark(), len(self._undo), len(self.hidden), len(self.carried)

    def rollback(self, mark: tuple[int, int, int, int]) -> None:
        """Forget everything accepted since `mark`."""
        self.edits.rollback(mark[0])
        while len(self._undo) > mark[1]:
            self._undo.pop()()
        del self.hidden[mark[2] :]
        del self.carried[mark[3] :]

    def place(
        self, start: int, end: int, text: str, side: Side, element: Element, *, kind: int = 0, behind: object = None
    ) -> Reason | None:
        """Accept an edit in offsets of the document's source, or say why not.

        `behind`: the node right before it. If that is an element that the source leaves open, it gets its end tag.
        """
        base = self.document.base
        start, end = start + base, end + base
        closing = self._closing(behind) if isinstance(behind, Element) else ()
        if closing is None:
            return Reason.AMBIGUOUS_SPAN
        if not self.edits.allows(start, end):
            return Reason.SHADOWED
        self._sequence += 1
        nearest_first = side is Side.PREPEND or kind == _AFTER
        sequence = -self._sequence if nearest_first else self._sequence
        depth = -len(chain(element)) if side is Side.CLOSING else 0
        self.edits.add(Placed(start, side, (depth, kind, sequence), end, self.document.charset.encode(text)))
        for open_at, placed in closing:
            if open_at not in self.closings:
                self.closings[open_at] = placed
                self._undo.append(partial(self.closings.pop, open_at))
        return None

    def fill(self, offset: int) -> bool:
        """Take an empty element's content; False if an accepted operation has. An empty range overlaps with nothing."""
        if offset in self.filled:
            return False
        self.filled.add(offset)
        self._undo.append(partial(self.filled.discard, offset))
        return True

    def _closing(self, element: Element) -> tuple[tuple[int, Placed], ...] | None:
        """The end tag that an open element needs, with where it starts; () if it needs none, None if that is uncertain."""
        document = self.document
        if not document.has_content(element) or document.end_tag(element) is not None or element.tag in STRUCTURE:
            return ()
        tag, outer = document.start_tag(element), document.outer(element)
        if tag is None or outer is None or open_formatting(element):
            return None
        at = outer[1] + document.base
        rank = (-len(chain(element)), _END_TAG, 0)
        return (
            (tag[0] + document.base, Placed(at, Side.CLOSING, rank, at, document.charset.encode(f"</{element.tag}>"))),
        )

    def finished(self) -> tuple[Edit, ...]:
        """All edits in the order of the page: accepted ones, end tags of elements still there, and those in start tags."""
        base = self.document.base
        placed = [*self.edits.placed]
        placed += [closing for at, closing in self.closings.items() if self.edits.allows(at + 1, at + 1)]
        for changes in self.tags.values():
            for index, edit in enumerate(tag_edits(self.document, changes) or ()):
                placed.append(Placed(edit.start + base, Side.RANGE, (index,), edit.end + base, edit.replacement))
        return tuple(Edit(one.start, one.end, one.replacement) for one in sorted(placed))

    def change_tag(self, element: Element, change: Callable[[TagChanges], bool]) -> Reason | None:
        """Accept a change of a start tag, or say why not."""
        tag = self.document.start_tag(element)
        if tag is None:
            return Reason.AMBIGUOUS_SPAN
        current = self.tags.get(tag[0])
        changed = current.copy() if current is not None else TagChanges(element)
        inside = tag[0] + self.document.base + 1
        if not change(changed) or not self.edits.allows(inside, inside):
            return Reason.SHADOWED
        edits = tag_edits(self.document, changed)
        if edits is None:
            return Reason.AMBIGUOUS_SPAN
        if current is None and not edits:
            return Reason.NO_CHANGE
        self.tags[tag[0]] = changed
        self._undo.append(lambda: self.tags.pop(tag[0]) if current is None else self.tags.__setitem__(tag[0], current))
        self.edits.pin(inside)
        return None


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
    return work.place(outer[1], outer[1], text, Side.CLOSING, element, kind=_AFTER, behind=element)


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
    return work.place(inner[1], inner[1], text, Side.CLOSING, element, kind=_APPEND, behind=last)


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
    selector = operation.target.selector or ""
    head = work.document.root.select_one("head")
    if head is None or work.document.inner(head) is None:
        return Reason.AMBIGUOUS_SPAN  # no certain place for the style block
    if selector in work.hidden:
        return None
    work.hidden.append(selector)
    return None


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
