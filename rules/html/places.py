"""Where something can be put: beside an element, inside it, or in the place of a child -> an offset of the source.

Counterpart: `rules.html.operations` inserts there, `rules.html.moves` moves there. Never: a look at what is put there.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from turbohtml import Element, Node

from rules.html.document import LEADING_NEWLINE, STRUCTURE, Document, last_child
from rules.html.frameworks import is_placeholder
from rules.reasons import Reason


class Where(IntEnum):
    """How a spot lies to its element."""

    BEFORE = 0
    AFTER = 1
    PREPEND = 2
    APPEND = 3
    SLOT = 4
    """In the place that the element leaves, among the children of its parent."""

    @property
    def is_nearest_first(self) -> bool:
        """Whether what comes later stands nearer to the start: each new one is put right there, before what was."""
        return self in (Where.AFTER, Where.PREPEND)


class Spot(NamedTuple):
    """A place where something can be put."""

    where: Where
    element: Element
    """What the spot lies to. A spot goes where its element goes, a slot where the element's parent goes."""
    at: int
    """Offset in the document's source."""
    behind: Node | None
    """What stands right before it."""


class Move(NamedTuple):
    """An element that stands elsewhere."""

    element: Element
    spot: Spot
    space: bytes
    """White space written before it."""
    turn: int
    """The operation: what one operation moves to one spot stays in the order of the page."""


def before(document: Document, element: Element) -> Spot | Reason:
    """Right before an element, or why there is no such place."""
    tag = document.start_tag(element)
    if tag is None or element.tag in STRUCTURE:
        return Reason.UNSAFE_TARGET if element.tag in STRUCTURE else Reason.AMBIGUOUS_SPAN
    if document.is_misnested and document.has_content(element) and document.inner(element) is None:
        return Reason.AMBIGUOUS_SPAN
    return Spot(Where.BEFORE, element, tag[0], element.previous_sibling)


def after(document: Document, element: Element) -> Spot | Reason:
    """Right after an element, or why there is no such place."""
    if element.tag in STRUCTURE:
        return Reason.UNSAFE_TARGET
    outer = document.outer(element)
    if outer is None or (document.has_content(element) and document.leaves_formatting_open(element)):
        return Reason.AMBIGUOUS_SPAN
    return Spot(Where.AFTER, element, outer[1], element)


def prepend(document: Document, element: Element) -> Spot | Reason:
    """Before all that an element has inside, or why there is no such place."""
    tag = document.start_tag(element)
    if tag is None:
        return Reason.AMBIGUOUS_SPAN
    if not document.has_content(element):
        return Reason.UNSAFE_TARGET
    if element.tag not in STRUCTURE and document.inner(element) is None:
        return Reason.AMBIGUOUS_SPAN
    return Spot(Where.PREPEND, element, tag[1] + dropped_newline(document, element, tag[1]), None)


def append(document: Document, element: Element) -> Spot | Reason:
    """Behind all that an element has inside, or why there is no such place."""
    if not document.has_content(element):
        return Reason.UNSAFE_TARGET
    inner = document.inner(element)
    if inner is None or element.tag == "html":
        return Reason.AMBIGUOUS_SPAN
    last = last_child(element)
    if isinstance(last, Element) and document.leaves_formatting_open(last):
        return Reason.AMBIGUOUS_SPAN
    return Spot(Where.APPEND, element, inner[1], last)


def slot(document: Document, element: Element) -> Spot | Reason:
    """The place of an element among its parent's children, or why it has none of its own."""
    outer = document.outer(element)
    if outer is None:
        return Reason.UNSAFE_TARGET if element.tag in STRUCTURE else Reason.AMBIGUOUS_SPAN
    return Spot(Where.SLOT, element, outer[0], element.previous_sibling)


def is_policy(element: Element) -> bool:
    """Whether this is a `<meta>` that holds a Content-Security-Policy: the site's own, which no author may touch."""
    kind = element.attrs.get("http-equiv") if element.tag == "meta" else None
    return isinstance(kind, str) and kind.strip().lower() == "content-security-policy"


def is_protected(element: Element) -> bool:
    """Whether an element is not an author's to change: something else has taken its measure, or it is the site's policy."""
    attributes = element.attrs
    if "integrity" in attributes or "data-turbo-track" in attributes:
        return True
    return (element.tag == "meta" and is_policy(element)) or ("id" in attributes and is_placeholder(element))


SpotOf = Callable[[Document, Element], Spot | Reason]


def dropped_newline(document: Document, element: Element, at: int) -> int:
    """Length of the newline right after a start tag that is no content."""
    if element.tag not in LEADING_NEWLINE:
        return 0
    if document.page.startswith(b"\r\n", at + document.base):
        return len(b"\r\n")
    return int(document.source.startswith("\n", at))
