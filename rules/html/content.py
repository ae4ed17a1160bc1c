"""What may be written where: markup that stays inside its place, and text that stays text.

HTML's parser closes, moves and drops elements by context, so content is tried out: it is parsed between two marks below
the same chain of ancestors, and both marks must come out as the first and last child of the same element.
"""

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import turbohtml
from turbohtml import Comment, Element, Namespace, Text, TokenType

from rules.html.harm import harm_of
from rules.model import Content

RCDATA = frozenset({"title", "textarea"})
"""Elements whose content is text with character references, never elements."""
RAW_TEXT = frozenset({"script", "style", "xmp", "iframe", "noembed", "noframes", "noscript", "plaintext"})
"""Elements whose content is raw text: nothing can be escaped there, so nothing is written."""

_OPENING, _CLOSING = "layout-mutation-opening-mark", "layout-mutation-closing-mark"
_ONCE_INSIDE = frozenset({"a", "button", "form", "nobr"})
"""Elements that close an open element of the same name when they begin."""

PLACES = (
    ("html", "body", "div"),
    ("html", "body", "table", "tbody", "tr"),
    ("html", "body", "table", "tbody"),
    ("html", "body", "table"),
    ("html", "body", "select"),
    ("html", "body", "svg"),
    ("html", "body", "math"),
)
"""Chains in which a balanced fragment must fit at least once."""


def escape_text(text: str) -> str:
    """Text as it stands between tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_attribute(value: str) -> str:
    """A value as it stands between double quotes."""
    return value.replace("&", "&amp;").replace('"', "&quot;")


def markup_of(content: Content) -> str:
    """Content as markup, with line ends as a parser reads them, so that a leading one is recognised."""
    markup = escape_text(content.text) if content.text is not None else content.html or ""
    return markup.replace("\r\n", "\n").replace("\r", "\n") if "\r" in markup else markup


class Trial(NamedTuple):
    """What became of markup that was tried in a place."""

    fits: bool
    """It stays there whole."""
    harm: str
    """What it would do there that content may not; empty for nothing."""


@lru_cache(maxsize=4096)
def tried(ancestors: tuple[str, ...], markup: str) -> Trial:
    """`markup` written inside the last of `ancestors` (from `html` down).

    To fit, both marks must be the first and last child of that element, and each tag must begin or end an element between
    them: a stray `</div>` or a `<td>` outside a table is dropped silently by the parser, and would do harm on a page.
    """
    root = tree_in(ancestors, markup)
    if root is None:
        return Trial(fits=False, harm="")
    element = _innermost(root, ancestors)
    return Trial(fits=element is not None and _holds_all(element, markup), harm=harm_of([root, *root.find_all()]))


def own_fits(ancestors: tuple[str, ...], markup: str) -> bool:
    """`fits` for markup that is the page's own: it may do there what it did. Not remembered, since every page has other."""
    root = tree_in(ancestors, markup)
    element = None if root is None else _innermost(root, ancestors)
    return element is not None and _holds_all(element, markup)


def stays_whole(ancestors: tuple[str, ...], markup: str, element: Element) -> bool:
    """Whether the source of one element of a page is that element, and nothing else, inside the last of `ancestors` too.

    It may do there what it did: it is the page's own. Not remembered, since every page has other ones.
    """
    root = tree_in(ancestors, markup)
    parent = None if root is None else _innermost(root, ancestors)
    if parent is None or not _is_between_marks(parent) or len(parent.children) != 3:
        return False
    return parent.children[1].equals(element)


def closes_all(ancestors: tuple[str, ...], markup: str) -> bool:
    """Whether text right behind `markup`, which fits inside the last of `ancestors`, stands beside it: nothing is open any
    more, nor to be opened again."""
    root = tree_in(ancestors, markup + "x")
    parent = None if root is None else _innermost(root, ancestors)
    if parent is None or not _is_between_marks(parent):
        return False
    last = parent.children[-2]
    return isinstance(last, Text) and last.data.endswith("x")


def _innermost(root: Element, ancestors: tuple[str, ...]) -> Element | None:
    """The last of `ancestors`, if the page has exactly these elements."""
    element: Element | None = root
    for above, name in pairwise(ancestors):
        element = _only_child(element, name, structure=above == "html")
    return element


def tree_in(ancestors: tuple[str, ...], markup: str) -> Element | None:
    """The whole tree of a page that has `markup` inside the last of `ancestors`, between two marks."""
    opened = "".join(f"<{name}>" for name in ancestors)
    page = f"<!doctype html>{opened}<!--{_OPENING}-->{markup}<!--{_CLOSING}-->"
    root = turbohtml.parse(page, source_locations=True, scripting=True).root
    return root if isinstance(root, Element) else None


def fits(ancestors: tuple[str, ...], markup: str) -> bool:
    """Whether `markup` stays whole inside the last of `ancestors`, and does nothing there that content may not."""
    trial = tried(ancestors, markup)
    return trial.fits and not trial.harm


def is_balanced(markup: str) -> bool:
    """Whether there is a place in HTML where `markup` stays whole: no unclosed, stray or misnested tag."""
    return any(tried(place, markup).fits for place in PLACES)


def harm_in(markup: str) -> str:
    """What `markup` would do somewhere that content may not; empty for nothing."""
    harms = (tried(place, markup).harm for place in PLACES)
    return next(filter(None, harms), "") or harm_of(elements(markup))


def _holds_all(element: Element, markup: str) -> bool:
    if not _is_between_marks(element):
        return False
    kinds = [token.type for token in turbohtml.tokenize(markup)]
    located = [location for inside in element.find_all() if (location := inside.source_location) is not None]
    ended = [location for location in located if location.end_tag is not None]
    return kinds.count(TokenType.START_TAG) == len(located) and kinds.count(TokenType.END_TAG) == len(ended)


def elements(markup: str) -> list[Element]:
    """All elements of a fragment, whatever context they need."""
    return turbohtml.parse_fragment(markup, "template", scripting=True).find_all()


def closes_ancestor(ancestors: tuple[str, ...], markup: str) -> bool:
    """Whether an element in `markup` would close an ancestor of the same kind (a link in a link, a form in a form)."""
    above = _ONCE_INSIDE.intersection(ancestors)
    return bool(above) and any(element.tag in above for element in elements(markup))


def _only_child(element: Element | None, name: str, *, structure: bool) -> Element | None:
    if element is None:
        return None
    if structure:
        head, body = element.find("head"), element.find("body")
        other = head if name == "body" else body
        if other is not None and other.children:
            return None
        return body if name == "body" else head
    children = element.children
    if len(children) == 1 and isinstance(children[0], Element) and _named(children[0], name):
        return children[0]
    return None


def _named(element: Element, name: str) -> bool:
    return element.tag == name or (element.namespace is not Namespace.HTML and element.tag.lower() == name.lower())


def _is_between_marks(element: Element) -> bool:
    children = element.children
    return len(children) >= 2 and _is_mark(children[0], _OPENING) and _is_mark(children[-1], _CLOSING)


def _is_mark(node: object, text: str) -> bool:
    return isinstance(node, Comment) and node.data == text
