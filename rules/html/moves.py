"""Elements that stand elsewhere: the verbs `moveBefore`, `moveAfter`, `movePrepend`, `moveAppend`, `reorderChildren`.

A moved element keeps its bytes: they are cut out here and written there, with the edits of other operations in them. It
must be the same element in its new place, which a trial parse shows; then the whole page is proven.
Counterpart: `rules.html.places` says where something can be put, `rules.html.workspace` what goes along with what.
"""

from collections.abc import Sequence

from turbohtml import Element, Namespace, Text

from rules import limits, model
from rules.html import places
from rules.html.content import RAW_TEXT, RCDATA, stays_whole
from rules.html.document import STRUCTURE, window_of
from rules.html.frameworks import tears_markers
from rules.html.places import Spot, SpotOf, Where, is_protected
from rules.html.workspace import Workspace
from rules.reasons import Reason

_SPEAKS_FOR_THE_PAGE = "base, meta[charset], meta[http-equiv], frameset, frame"
"""What means something for the page by where it stands."""
_IN_SELECT = frozenset({"option", "optgroup", "hr"})
"""What all browsers keep in a `<select>`; newer ones take more."""
_SPACE = b" \t\n\f\r"
_SPACE_BYTES_MAX = 100

_SPOTS: dict[type, SpotOf] = {
    model.MoveBefore: places.before,
    model.MoveAfter: places.after,
    model.MovePrepend: places.prepend,
    model.MoveAppend: places.append,
}

AnyMove = model.MoveBefore | model.MoveAfter | model.MovePrepend | model.MoveAppend


def move(work: Workspace, operation: AnyMove, element: Element) -> Reason | None:
    """Move an element to the anchor; an anchor that is among the targets stays where it is."""
    anchors = work.document.select(operation.anchor.selector or "")
    if not anchors:
        return Reason.TARGET_NOT_FOUND
    if len(anchors) > (operation.anchor.max_matches or limits.MATCHES_MAX):
        return Reason.TOO_MANY_MATCHES
    anchor = anchors[0]
    if anchor is element and isinstance(operation, model.MoveBefore | model.MoveAfter):
        return Reason.NO_CHANGE
    spot = _SPOTS[type(operation)](work.document, anchor)
    if isinstance(spot, Reason):
        return spot
    if spot.where in (Where.PREPEND, Where.APPEND) and is_protected(anchor):
        return Reason.UNSAFE_TARGET
    return _cannot_stand(work, element, spot) or work.move(element, spot)


def reorder(work: Workspace, operation: model.ReorderChildren, container: Element) -> Reason | None:
    """Put the children of an element into the order asked for: all of them, or none.

    The k-th place among the children gets the k-th of the new order. What is brought in from elsewhere and has no place
    of its own shares the last one, with the white space in between that stands before that one.
    """
    document = work.document
    if container.tag in ("html", "head") or not document.has_content(container):
        return Reason.UNSAFE_TARGET
    if document.start_tag(container) is None:
        return Reason.AMBIGUOUS_SPAN
    asked = (operation.order, operation.adopt, operation.leaving)
    if (accepted := work.order_of(container)) is not None:
        return None if accepted == asked else Reason.SHADOWED
    leaving = {element for target in operation.leaving for element in document.select(target.selector or "")}
    children = [child for child in container.children if isinstance(child, Element) and child not in leaving]
    present = [child for child in children if work.is_free(child)]
    listed = _listed(work, operation, present)
    if isinstance(listed, Reason):
        return listed
    first = frozenset(listed)
    wanted = [*listed, *(child for child in present if child not in first)]
    if wanted == present:
        return Reason.NO_CHANGE
    mark = work.mark()
    reason = _arrange(work, container, present, wanted)
    if reason is not None:
        work.rollback(mark)
        return reason
    work.take_order(container, asked)
    return None


def _listed(work: Workspace, operation: model.ReorderChildren, present: Sequence[Element]) -> list[Element] | Reason:
    """The elements that an order names, each once, as far as they can be moved; or why there is no such order."""
    found: dict[Element, None] = {}
    own = frozenset(present)
    for target in operation.order:
        matches = work.document.select(target.selector or "")
        if operation.adopt:
            matches = [element for element in matches if work.is_free(element)]
        else:
            matches = [element for element in matches if element in own]
        if not matches and target.required:
            return Reason.TARGET_NOT_FOUND
        if len(matches) > (target.max_matches or limits.MATCHES_MAX):
            return Reason.TOO_MANY_MATCHES
        found.update(dict.fromkeys(matches))
    return [*found] or Reason.TARGET_NOT_FOUND


def _arrange(
    work: Workspace, container: Element, present: Sequence[Element], wanted: Sequence[Element]
) -> Reason | None:
    """Move each child whose place is another one; None if all of them could be."""
    crowded = len(wanted) > len(present)
    space = _space_before(work, present[-1]) if crowded and present else b""
    for index, element in enumerate(wanted):
        host = present[min(index, len(present) - 1)] if present else None
        spot = places.append(work.document, container) if host is None else places.slot(work.document, host)
        if isinstance(spot, Reason):
            return spot
        if host is element and not (crowded and host is present[-1]):
            work.settle(element, spot)
            continue
        reason = _cannot_stand(work, element, spot)
        reason = reason or work.move(element, spot, space if index >= len(present) else b"")
        if reason is not None:
            return reason
    return None


def _space_before(work: Workspace, element: Element) -> bytes:
    """The white space that stands right before an element, beside it and not at the end of another."""
    tag, previous = work.document.start_tag(element), element.previous_sibling
    if tag is None or not isinstance(previous, Text):
        return b""
    ahead = work.document.page[: tag[0] + work.document.base]
    space = ahead[len(ahead.rstrip(_SPACE)) :]
    behind = previous.data[len(previous.data.rstrip(_SPACE.decode())) :].encode()
    if window_of(space).encode("latin-1") != behind:  # a tag that means nothing stands between
        space = behind.replace(b" \n", b"\r\n") if b"\r\n" in work.document.page else behind
    return space if len(space) <= _SPACE_BYTES_MAX else b"\n"


def _cannot_stand(work: Workspace, element: Element, spot: Spot) -> Reason | None:
    """Why an element can't be moved to a spot, whatever else is moved; None if it can."""
    document, outer = work.document, work.document.outer(element)
    if element.tag in STRUCTURE or is_protected(element):
        return Reason.UNSAFE_TARGET
    if outer is None or (document.has_content(element) and document.leaves_formatting_open(element)):
        return Reason.AMBIGUOUS_SPAN
    if tears_markers(document.source[slice(*outer)], element):
        return Reason.UNSAFE_TARGET
    if element.matches(_SPEAKS_FOR_THE_PAGE) or element.select_one(_SPEAKS_FOR_THE_PAGE) is not None:
        return Reason.UNSAFE_TARGET
    parent = work.parent_at(spot)
    if parent is None:
        return Reason.UNSAFE_TARGET
    if parent is work.parent(element):
        return None
    if parent.namespace is Namespace.HTML and parent.tag in RAW_TEXT | RCDATA:
        return Reason.UNSAFE_TARGET
    ancestors, source = work.chain(parent), document.source[slice(*outer)]
    if document.has_content(element) and document.end_tag(element) is None:
        source += f"</{element.tag}>"
    if "select" in ancestors and not _IN_SELECT.issuperset([element.tag, *(one.tag for one in element.find_all())]):
        return Reason.UNSAFE_TARGET
    if "annotation-xml" in ancestors or not stays_whole(ancestors, source, element):
        return Reason.UNSAFE_TARGET
    return None
