"""HTML with placeholders -> a template in which each has its position; or one line that says why it can't have one.

A mark is put in each placeholder's place, and the tree that the parser makes says where that is. That filling can't do
more than fill is shown when the rule is written: with an empty value, an ordinary one and hostile ones the tree must be
the one with marks, but for the values; in every place of HTML in which the content fits.
Counterpart: `rules.html.attributes`, `rules.css` and `rules.html.data_blocks` know the languages inside
HTML; `rules.templates` escapes. Never: a value of a visit.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import turbohtml
from turbohtml import Comment, Element, Namespace, Node, Text

from rules.css import problems_of_marks
from rules.errors import RulesError
from rules.html import data_blocks
from rules.html.attributes import Place, position_in
from rules.html.content import PLACES, RAW_TEXT, RCDATA, harm_in, tree_in, tried
from rules.html.document import LEADING_NEWLINE
from rules.html.marked import Marked
from rules.placeholders import Parts, Placeholder
from rules.templates import Position, Template

_NO_NAME = "a placeholder can't be the name of a tag or an attribute"
NOT_BALANCED = "the HTML is not balanced: each tag needs its partner inside this content"

_WORD = re.compile(r"[^ \t\n\f\r]+")
_PROBES = (
    "",
    "x",
    " \n",
    "\"'`<>&=/ \t\n",
    "--><!--]]></script></style></textarea></title></template></svg></table></div></p><img src=x onerror=x()>",
    "javascript:x()//",
    "\nx",
    "&lt;b&gt;&#60;b&#62;&quot;",
    "*/}</style>;}x{y:url(//z)",
    '\\",\\u0022:"',
)


class _Found(NamedTuple):
    """Where a mark stands: in a text inside `element`, or in its attribute `name`; in its tag or a comment otherwise."""

    kind: type[Text] | type[Element] | type[Comment]
    element: Element
    name: str = ""
    value: str = ""


def html_template(parts: Parts, path: str) -> Template:
    """HTML as a template. Raises RulesError for markup that may not be written, and for placeholders out of place."""
    marked = Marked.of(parts)
    marked = marked._replace(text=_with_line_ends(marked.text))
    if harm := harm_in(marked.text):
        raise RulesError(harm, path)
    places = _places(marked, path)
    marked = marked._replace(text=data_blocks.in_ascii(_with_kept_newlines(marked), path))
    found = [_found_in(place, marked) for place in places]
    positions = marked.positions(lambda mark, placeholder: _position(mark, placeholder, marked, found), path)
    template = marked.template(positions, path, is_markup=True)
    for place in places if marked.marks else ():
        _prove(template, marked, place, path)
    return template


def _with_line_ends(markup: str) -> str:
    return markup.replace("\r\n", "\n").replace("\r", "\n") if "\r" in markup else markup


def _with_kept_newlines(marked: Marked) -> str:
    """The parser drops a newline right behind `<pre>`: one more is written where a value stands there."""
    names, marks = "|".join(sorted(LEADING_NEWLINE)), "|".join(marked.marks)
    if not marks:
        return marked.text
    return re.sub(rf"(<(?:{names})(?:\s[^<>]*)?>)(?={marks})", r"\1\n", marked.text, flags=re.IGNORECASE)


# -- where marks stand


def _found_in(place: tuple[str, ...], marked: Marked) -> dict[str, list[_Found]]:
    """Mark -> everywhere it stands in the tree of the content in a place."""
    root = tree_in(place, marked.text)
    everywhere: dict[str, list[_Found]] = {mark: [] for mark in marked.marks}
    for one, text in _texts(root):
        for mark in marked.marks:
            if mark in text:
                everywhere[mark].append(one)
    return everywhere


def _texts(root: Element | None) -> Iterator[tuple[_Found, str]]:
    """Every text of a tree that markup can write, with what it is."""
    for parent, node in _walk(root):
        if isinstance(node, Element):
            yield _Found(Element, node), node.tag
            for name in node.attrs:
                value = _text_of(node.attrs[name])
                yield _Found(Element, node, name, value), value
                yield _Found(Element, node), name
        elif isinstance(node, Text):
            yield _Found(Text, parent, value=node.data), node.data
        elif isinstance(node, Comment):
            yield _Found(Comment, parent), node.data


def _walk(root: Element | None) -> Iterator[tuple[Element, Node]]:
    """All nodes in tree order with the element above; those inside templates too."""
    waiting: list[tuple[Element, Node]] = [] if root is None else [(root, root)]
    while waiting:
        parent, node = waiting.pop()
        yield parent, node
        above = node if isinstance(node, Element) else parent
        waiting += [(above, child) for child in reversed(node.children)]


def _text_of(value: object) -> str:
    return value if isinstance(value, str) else " ".join(value or ()) if isinstance(value, list | tuple) else ""


def _position(
    mark: str, placeholder: Placeholder, marked: Marked, found: Sequence[dict[str, list[_Found]]]
) -> Position:
    positions = set()
    for everywhere in found:
        if len(everywhere[mark]) != 1:
            raise RulesError("a placeholder can't stand in what the parser drops or writes twice")
        positions.add(_position_of(everywhere[mark][0], mark, placeholder, marked))
    if positions == {Position.TEXT, Position.PLAIN}:
        return Position.PLAIN  # a title holds text only, and in SVG elements: both are escaped alike
    if len(positions) != 1:
        raise RulesError("what a placeholder is there depends on where the content stands")
    return positions.pop()


def _position_of(one: _Found, mark: str, placeholder: Placeholder, marked: Marked) -> Position:
    if one.kind is Comment:
        raise RulesError("a placeholder can't stand in a comment")
    if one.kind is Text:
        return _position_in_text(one, mark, marked)
    if not one.name:
        raise RulesError(_NO_NAME)
    return position_in(Place(one.element.tag, one.name, one.value), mark, marked.marks, bool(placeholder.fallback))


def _position_in_text(one: _Found, mark: str, marked: Marked) -> Position:
    tag, is_html = one.element.tag.lower(), one.element.namespace is Namespace.HTML
    if tag == "script":
        data_blocks.check_mark(one.value, mark)
        return Position.JSON
    if tag == "style":
        if problem := problems_of_marks(one.value, marked.marks, in_blocks=True).get(mark):
            raise RulesError(problem)
        return Position.STYLE
    if is_html and tag in RAW_TEXT:
        raise RulesError(f"a placeholder can't stand inside <{tag}>: nothing can be escaped there")
    return Position.PLAIN if is_html and tag in RCDATA else Position.TEXT


def _places(marked: Marked, path: str) -> list[tuple[str, ...]]:
    """Where the content fits with text in its blanks; raises RulesError where it would fit without only."""
    places: list[tuple[str, ...]] = [place for place in PLACES if tried(place, marked.text).fits]
    if not places and _is_in_name(marked):
        raise RulesError(_NO_NAME, path)
    bare = marked.text
    for mark in marked.marks:
        bare = bare.replace(mark, "")
    if PLACES[0] not in places and any(tried(place, bare).fits for place in PLACES if place not in places):
        raise RulesError(
            "a placeholder stands between tags where no text may stand, such as those of a table; put it into a cell",
            path,
        )
    if not places:
        raise RulesError(NOT_BALANCED, path)
    return places


def _is_in_name(marked: Marked) -> bool:
    """Whether a mark is the name of a tag or an attribute, as far as that can be told of markup that fits nowhere."""
    tags = [token for token in turbohtml.tokenize(marked.text) if token.tag]
    names = [name for token in tags for name in (token.tag or "", *dict(token.attrs or ()))]
    return any(mark in name for mark in marked.marks for name in names)


# -- the proof

_Shape = list[tuple[object, ...]]
"""A tree, flat: what stands at which depth, in tree order. Texts and values of attributes come last in each entry."""


def _prove(template: Template, marked: Marked, place: tuple[str, ...], path: str) -> None:
    """Raise RulesError where some filling would make another tree than its values in place of the marks."""
    shape = _shape(tree_in(place, marked.text))
    for texts in _probes(len(marked.marks)):
        values = template.fitting(texts)
        if _shape(tree_in(place, template.filled(values))) != _filled(shape, marked, values):
            shown = ", ".join(f"{{{{{placeholder.name}}}}}" for placeholder in marked.placeholders)
            raise RulesError(
                f"{shown}: some value would change more than its place; attributes need quotes, a table's text a cell",
                path,
            )


def _probes(blanks: int) -> Iterator[list[str]]:
    """Each probe in all blanks, and probes next to each other."""
    for index, probe in enumerate(_PROBES):
        yield [probe] * blanks
        if blanks > 1:
            yield [_PROBES[(index + blank) % len(_PROBES)] for blank in range(blanks)]


def _shape(root: Element | None) -> _Shape:
    entries: _Shape = []
    for depth, node in _with_depth(root):
        if isinstance(node, Element):
            attributes = tuple((name, *_value(node.attrs[name])) for name in sorted(node.attrs))
            entries.append((depth, node.namespace, node.tag, attributes))
        else:
            entries.append((depth, type(node).__name__, getattr(node, "data", "")))
    return entries


def _filled(shape: _Shape, marked: Marked, values: Sequence[str]) -> _Shape:
    """The shape with values in place of marks; a text that becomes empty is none."""
    if not marked.marks:
        return shape
    by_mark = dict(zip(marked.marks, values, strict=True))
    any_mark = re.compile("|".join(marked.marks))

    def put(text: str) -> str:
        return any_mark.sub(lambda found: by_mark[found[0]], text)

    entries: _Shape = []
    for *place, last in shape:
        if not isinstance(last, str):
            entries.append((*place, tuple((name, *_value(put(value), words)) for name, value, words in last)))  # type: ignore[attr-defined]
        elif place[1] != "Text" or put(last):
            entries.append((*place, put(last)))
    return entries


def _value(value: object, words: bool = False) -> tuple[str, bool]:
    """An attribute's value, and whether it is a list of words: what white space is between those the parser does not say."""
    words = words or isinstance(value, list | tuple)
    text = _text_of(value)
    return " ".join(_WORD.findall(text)) if words else text, words


def _with_depth(root: Element | None) -> Iterator[tuple[int, Node]]:
    waiting: list[tuple[int, Node]] = [] if root is None else [(0, root)]
    while waiting:
        depth, node = waiting.pop()
        yield depth, node
        waiting += [(depth + 1, child) for child in reversed(node.children)]
