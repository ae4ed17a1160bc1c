"""The rewritten page, parsed once more, must be the page's tree with the operations carried out on it.

HTML's parser moves, closes and opens elements for reasons that can stand anywhere before or behind an edit: a formatting
element left open, text that a table throws out, a body that begins with what was removed. No look at one place knows
them all, so what may reach beyond its place is proven as a whole: the verbs are carried out on the parsed tree as a
browser's DOM would, and the parser must make the same tree of the new bytes.
Counterpart: `rules.html.reach` says for which edits that is; `rules.html.rewrite` refuses what has no proof.
Never: an edit. The proof spends the document's tree; nothing may be asked of the document afterwards.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import turbohtml
from turbohtml import DocumentFragment, Element, Node, Text

from rules import model
from rules.html.charset import Charset
from rules.html.content import markup_of
from rules.html.document import Document, context_of, first_child, window_of
from rules.html.edits import Edit, splice
from rules.html.places import Move, Spot, Where
from rules.html.tags import TagChanges, tag_edits
from rules.model import Content, Operation


class Carried(NamedTuple):
    """An accepted operation and one element that it changes."""

    operation: Operation
    element: Element


START_TAG_ONLY = (
    model.SetAttribute,
    model.RemoveAttribute,
    model.AddClass,
    model.RemoveClass,
    model.SetStyle,
    model.SetParameters,
)
MOVES = (model.MoveBefore, model.MoveAfter, model.MovePrepend, model.MoveAppend, model.ReorderChildren)
STYLE_BLOCK_ONLY = (model.HideByStyle, model.SetTokens)
"""They change no element; the block that stands for them is an operation of its own."""
_WHITE_SPACE = " \t\n\f\r"
_DROPPED = re.compile(rb"<(?:pre|textarea|listing)(?:[\s/][^<>]*)?>\r\n", re.IGNORECASE)
"""A line end that the parser drops, and that looks in the window as if it began with a space."""
_NO_TEXT = re.compile(r"<!--.*?-->|</html\s*>", re.DOTALL | re.IGNORECASE)


def holds(
    document: Document,
    carried: Sequence[Carried],
    tags: Mapping[int, TagChanges],
    page: bytes,
    moves: Sequence[Move] = (),
) -> bool:
    """Whether `page`, the rewritten one, is the document with the accepted operations carried out, and nothing else."""
    if b"\r\n" in page and len(_DROPPED.findall(page)) > len(_DROPPED.findall(document.page)):
        return False
    actual = turbohtml.parse(window_of(page[document.base :]), scripting=True)
    changed = [one.element for one in carried if isinstance(one.operation, START_TAG_ONLY)]
    for element, now in [(element, _new_attributes(document, element, tags)) for element in changed]:
        _set_attributes(element, now)
    _carry_out(document, [one for one in carried if not isinstance(one.operation, START_TAG_ONLY)], moves)
    if document.root.equals(actual):
        return True
    if (root := document.root.root) is not None:
        root.normalize()  # an edit may have put texts side by side
    return document.root.equals(actual)


def _carry_out(document: Document, carried: Sequence[Carried], moves: Sequence[Move]) -> None:
    """First all moves, then insertions, both as they were accepted, then what replaces or removes: that takes only what
    the page itself had."""
    charset = document.charset
    held = {id(one.element): _held(one.element) for one in carried if _sets_inner(one.operation)}
    _move(document, moves)
    for operation, element in carried:
        _insert(document, operation, element)
    for operation, element in carried:
        match operation:
            case model.SetInnerContent(content=content) | model.SetText(content=content):
                first, *others = held[id(element)]
                for other in others:
                    other.extract()
                first.replace_with(*_nodes(charset, content, element))
            case model.Replace(content=content):
                element.replace_with(*_nodes(charset, content, element.parent))
            case model.Remove():
                element.extract()
            case model.RemoveAndKeepContent():
                element.unwrap()


def _move(document: Document, moves: Sequence[Move]) -> None:
    """Each moved element is held by one of its own, so that what is moved beside it goes along, before or afterwards."""
    slots = {move.spot.at: Text("") for move in moves if move.spot.where is Where.SLOT}
    for move in moves:
        if move.spot.where is Where.SLOT and (text := slots[move.spot.at]).parent is None:
            move.spot.element.insert_before(text)
    companies = [Element("div") for _ in moves]
    for move, company in zip(moves, companies, strict=True):
        move.element.replace_with(company)
        company.append(move.element)
    for _, together in groupby(zip(moves, companies, strict=True), key=lambda one: one[0].turn):
        block = [*together]
        for move, company in reversed(block) if block[0][0].spot.where.is_nearest_first else block:
            company.extract()
            space = [Text(window_of(move.space))] if move.space else []
            _put(document, move.spot, slots, [*space, company])
    for company in companies:
        company.unwrap()
    for text in slots.values():
        text.extract()


def _put(document: Document, spot: Spot, slots: Mapping[int, Text], nodes: Sequence[Node]) -> None:
    inside = _inside(spot.element)
    match spot.where:
        case Where.BEFORE:
            spot.element.insert_before(*nodes)
        case Where.AFTER:
            spot.element.insert_after(*nodes)
        case Where.SLOT:
            slots[spot.at].insert_before(*nodes)
        case Where.PREPEND if (first := first_child(inside)) is not None:
            first.insert_before(*nodes)
        case _ if spot.where is Where.APPEND and (behind := _space_behind(document, spot.element)) is not None:
            behind.insert_before(*nodes)
        case _:
            _append(inside, nodes)


def _insert(document: Document, operation: Operation, element: Element) -> None:
    charset = document.charset
    match operation:
        case model.Before(content=content):
            element.insert_before(*_nodes(charset, content, element.parent))
        case model.After(content=content):
            element.insert_after(*_nodes(charset, content, element.parent))
        case model.Prepend(content=content):
            inside = _inside(element)
            if (first := first_child(inside)) is not None:
                first.insert_before(*_nodes(charset, content, element))
            else:
                _append(inside, _nodes(charset, content, element))
        case model.Append(content=content):
            nodes, behind = _nodes(charset, content, element), _space_behind(document, element)
            if behind is None:
                _append(_inside(element), nodes)
            else:
                behind.insert_before(*nodes)


def _sets_inner(operation: Operation) -> bool:
    return isinstance(operation, model.SetInnerContent | model.SetText)


def _held(element: Element) -> Sequence[Node]:
    """What the page has inside an element; where that is nothing, an empty text that holds its place."""
    inside = _inside(element)
    if not inside.children:
        _append(inside, [Text("")])
    return inside.children


def _inside(element: Element) -> Element | DocumentFragment:
    """What holds an element's children: itself, or a template's content."""
    first = first_child(element)
    return first if isinstance(first, DocumentFragment) else element


def _append(parent: Element | DocumentFragment, nodes: Sequence[Node]) -> None:
    for node in nodes:
        parent.append(node)


def _nodes(charset: Charset, content: Content, parent: Node | None) -> Sequence[Node]:
    """Content as nodes, in the characters of the page's window."""
    context = context_of(parent) if isinstance(parent, Element) else "div"
    written = window_of(charset.encode(markup_of(content)))
    return turbohtml.parse_fragment(written, context, scripting=True).children


def _new_attributes(document: Document, element: Element, tags: Mapping[int, TagChanges]) -> dict[str, str | None]:
    """What the changed start tag of an element says about the attributes that were touched; None: it has no such one."""
    tag = document.start_tag(element)
    changes = tags.get(tag[0]) if tag is not None else None
    if tag is None or changes is None:
        return {}
    edits = tuple(Edit(e.start - tag[0], e.end - tag[0], e.replacement) for e in tag_edits(document, changes) or ())
    written = splice(document.source[slice(*tag)].encode("latin-1"), edits).decode("latin-1")
    said = {name: value or "" for name, value in next(iter(turbohtml.tokenize(written))).attrs or ()}
    return {name: said.get(name) for name in changes.touched}


def _set_attributes(element: Element, now: Mapping[str, str | None]) -> None:
    """Give an element of the tree attributes, or take them; foreign elements have some in mixed case, like viewBox."""
    for name, value in now.items():
        own = next((own for own in element.attrs if own.lower() == name), name)
        if value is not None:
            element.attrs[own] = value
        elif own in element.attrs:
            del element.attrs[own]


def _space_behind(document: Document, element: Element) -> Text | None:
    """The white space that stands behind `</body>` in the source and last in the body's tree; what is appended precedes it."""
    end = document.end_tag(element) if element.tag == "body" else None
    last = element.children[-1] if element.children else None
    if end is None or not isinstance(last, Text):
        return None
    space = _NO_TEXT.sub("", document.source[end[1] :])
    if not space or space.strip(_WHITE_SPACE) or not last.data.endswith(space):
        return None
    if last.data != space:
        behind = Text(space)
        last.data = last.data.removesuffix(space)
        last.insert_after(behind)
        return behind
    return last
