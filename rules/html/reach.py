"""Which edits provably stay in their place, so that the finished page needs no proof.

HTML's parser is a machine that reads tags one after another. Where it is, behind an edit, in the state in which it was
there before, it reads the rest of the page as it did before, and the page differs in that place only. So this is shown,
edit by edit, and from the first edit of a page to the last none makes the state another one. Of a state we ask:
- *Where it is.* In a body, below ordinary elements, with the element on top of the open ones that the edit stands in.
- *Formatting to open again.* None: text opens again each formatting element that was left open, so behind a text there
  is none but what stands around it, and what follows the text has to have end tags of its own (`_reopens_nothing`).
- *Forms.* What goes takes along as many beginnings of forms as ends; what comes has none.
- *Where a tag or a character reference may begin.* What comes before an edit is not joined with what then follows.
What can't be shown is proven. Then there are edits after which the state is the same however odd the page (`_keeps_state`).
Counterpart: `rules.html.proof` proves the rest. Never: a look at the new page.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from string import ascii_letters, digits

from turbohtml import Comment, Element, Namespace, Node, Text

from rules import model
from rules.html.content import closes_all, markup_of
from rules.html.document import ANY_FORMATTING, FORMATTING, STRUCTURE, Document, first_child, last_child, last_element
from rules.html.proof import MOVES, START_TAG_ONLY, STYLE_BLOCK_ONLY, Carried
from rules.model import Content

_MOVES_CONTENT = frozenset(
    "table caption colgroup tbody thead tfoot tr td th select template svg math pre textarea listing object applet "
    "marquee noscript frameset ruby".split()
)
"""Elements in which, or behind which, the parser moves, drops or closes by rules of their own."""
_CELLS = frozenset({"td", "th"})
_TABLE = frozenset({"table", "tbody", "thead", "tfoot", "tr", *_CELLS})
_FLOWING = frozenset(
    "a abbr address article aside b bdi bdo blockquote cite code dd del div dt em figcaption footer h1 h2 h3 h4 h5 h6 "
    "header i ins kbd label legend li main mark nav p q s samp section small span strong sub summary sup td th time u "
    "var".split()
)
"""Elements in which text, white space or not, is only text."""
_START_TAGS, _MOVES, _STYLE_BLOCKS = frozenset(START_TAG_ONLY), frozenset(MOVES), frozenset(STYLE_BLOCK_ONLY)
_SETS_INNER = frozenset({model.SetInnerContent, model.SetText})
_TAKES_AWAY = _SETS_INNER | {model.Replace, model.Remove}
_WRITES_INSIDE = _SETS_INNER | {model.Prepend, model.Append}
"""Verbs by what they do. No verb is another one's subclass, so a set of types answers at once."""
_TAGS_THAT_MATTER = FORMATTING | STRUCTURE | {"option"}
"""Elements whose attributes may decide about more than their tag: that of `<font>` is formatting."""
_READ_BY = {"font": "svg, math", "option": "selectedcontent"}
"""Elements whose attributes decide about more than themselves, where the page has such others: `<font color>` ends an
`<svg>` that `<font>` stays inside, and `<selectedcontent>` copies the option that is `selected`."""
_HTML, _SVG = Namespace.HTML, Namespace.SVG
_FLOWING_IN_SVG = frozenset({"title", "desc", "text", "tspan"})
_RAW = frozenset({"script", "style", "title", "textarea", "iframe", "noembed", "noframes"})
"""Elements that hold text alone, and before which the parser opens nothing again."""
_OPENING_AGAIN = frozenset("a b code em font i small strong u span label button img br input".split())
"""Elements before whose start tag formatting is opened again; there are more, but these are what pages are made of."""
_LOOKED_BACK_MAX = 64
"""Nodes that are looked through for the last text before a place; on a page made by people it is one of the first."""
_OWN = re.compile(r"(?:<style(?: [^<>\0]*)?>[^<\0]*</style>|<script(?: [^<>\0]*)?>[^<\0]*</script>)+")
"""What the engine itself writes into a head."""
_IS_FORMATTING = re.compile(rf"</?(?:{'|'.join(sorted(FORMATTING))})[\s/>]", re.IGNORECASE)
_ENDS_PAGE = re.compile(r"</(?:body|html)", re.IGNORECASE)
_TAIL_CHARACTERS = 64
_MAY_GO_ON = re.compile(r"(?:&#?[0-9A-Za-z]*|</?|[\r\0]|\A[0-9A-Za-z]{64})\Z")
"""Text that is read otherwise when other characters follow: a character reference, a tag that begins."""
_GOES_ON = frozenset(f"{ascii_letters}{digits}&#</\0")
"""How such text ends."""


def needs_proof(document: Document, carried: Sequence[Carried]) -> bool:
    """Whether the carried operations could reach beyond their places, so that only the whole page can prove them."""
    others: list[Carried] = []
    for one in carried:
        operation, element = one
        verb, tag = type(operation), element.tag
        if verb in _START_TAGS and tag not in _TAGS_THAT_MATTER:
            continue  # what there are hundreds of
        if verb in _MOVES or (tag in _READ_BY and document.select(_READ_BY[tag])):
            return True
        if verb is model.RemoveAttribute and tag in STRUCTURE:
            return True  # a second <body> or <html> could bring the attribute back
        if verb not in _STYLE_BLOCKS and not _keeps_state(document, one):
            others.append(one)
    if not others:
        return False
    if document.has_thrown_out or document.mentions_frames:
        return True
    for one in others:  # noqa: SIM110  a generator for `all` takes as long as some of the questions
        if not _stays_in_place(document, one):
            return True
    return False


# -- however odd the page


def _keeps_state(document: Document, one: Carried) -> bool:
    """Whether the parser is, behind the edit, in exactly the state that it was in there before, however odd the page.

    That holds for start tags that it does not copy; for what the engine writes at the end of a head; and for text that
    becomes other text (`_keeps_state_as_text`).
    """
    operation, element = one
    verb = type(operation)
    if verb in _START_TAGS:
        return element.tag not in FORMATTING or not document.is_misnested
    if verb is model.Append:
        own = element.tag == "head" and _OWN.fullmatch(_written(operation)) is not None
        return own and _ends_for_certain(document, element)
    return verb in _SETS_INNER and _keeps_state_as_text(document, element, _written(operation))


def _ends_for_certain(document: Document, head: Element) -> bool:
    """Whether what ends a head is its end tag, or the start tag of the body or of its first element, right where the
    head's content ends.

    A `<body>` makes the page's body only where nothing has implied one: then the parser is in the head there, or between
    head and body, where a style goes into the head as well. Where an element implies it, nothing but white space may
    stand between that and the head's last one: what the parser ignores there implies a body too.
    """
    if document.end_tag(head) is not None:
        return True
    inner, body = document.inner(head), document.root.select_one("body")
    if inner is None or body is None:
        return False
    if (start := document.start_tag(body)) is not None:
        return start[0] == inner[1]
    first, last = first_child(body), last_element(head)
    start = document.start_tag(first) if isinstance(first, Element) else None
    outer = (inner[0], inner[0]) if last is None else document.outer(last)
    if start is None or outer is None or start[0] != inner[1]:
        return False
    return not document.source[outer[1] : inner[1]].strip(" \t\n\f\r")


def _keeps_state_as_text(document: Document, element: Element, written: str) -> bool:
    """Whether an element's text becomes other text, no tag among either.

    Formatting that the old one was to open again is open already, or its span would not be certain. What an HTML
    `<title>` holds is never more than text, and nothing depends on whether there is any. (`<select>` copies what its
    options hold, so nothing is said of what stands in one.)
    """
    if document.end_tag(element) is None or "<" in written or "\0" in written or "select" in document.chain(element):
        return False
    tag, namespace = element.tag, element.namespace
    if namespace is _HTML and tag == "title":
        return True
    body, inner = document.root.select_one("body"), document.inner(element)
    if inner is None or inner[0] == inner[1] or body is None or document.start_tag(body) is None:
        return False
    flows = tag in _FLOWING if namespace is _HTML else namespace is _SVG and tag in _FLOWING_IN_SVG
    return flows and written != "" and document.source.find("<", *inner) < 0


# -- on a page whose tables and frames are no puzzle


def _stays_in_place(document: Document, one: Carried) -> bool:
    """Whether an operation provably changes nothing but its place, on a page whose tables have thrown nothing out."""
    operation, element = one
    verb = type(operation)
    if element.tag == "head":
        return verb is model.Append and document.end_tag(element) is not None
    parent = element.parent
    if document.start_tag(element) is None or not isinstance(parent, Element) or verb is model.RemoveAndKeepContent:
        return False
    if parent.tag == "head":
        return _stays_in_head(document, element, parent)
    around = element if verb in _WRITES_INSIDE else parent
    names, markup = document.chain(around), _written(operation)
    if element.tag in _MOVES_CONTENT or document.start_tag(around) is None or not _is_ordinary(names):
        return False
    places = _places(document, verb, element, parent)
    if not places or (not FORMATTING.isdisjoint(names) and not _is_plain(document, verb, element, markup)):
        return False
    if not _is_whole(names, markup) or (verb in _TAKES_AWAY and not _can_go(document, element)):
        return False
    for place in places:
        if not _is_tidy(document, *place):
            return False
    return _is_apart(document, places[0][2])


_Place = tuple[Element, Node | None, int]
"""The element that a place is in, the node before it (None: the start tag), and its offset in the source."""


def _places(document: Document, verb: type, element: Element, parent: Element) -> tuple[_Place, ...]:
    """Where an edit begins and, if it takes something away, where the element that loses it ends; () for unknown."""
    (start, inner), end = document.start_tag(element) or (0, 0), document.end_tag(element)
    if verb is model.Before:
        return ((parent, element.previous_sibling, start),)
    if verb is model.Prepend:
        return ((element, None, inner),)
    if end is None and document.has_content(element):
        return ()
    if verb is model.Append:
        return () if end is None else ((element, last_child(element), end[0]),)
    behind = (parent, element, inner if end is None else end[1])
    if verb is model.After:
        return (behind,)
    if verb in _SETS_INNER:
        return (element, None, inner), behind
    return ((parent, element.previous_sibling, start), behind) if verb in _TAKES_AWAY else ()


def _is_ordinary(names: Sequence[str]) -> bool:
    """Whether the parser is in a body, and below nothing that has rules of its own; in a cell it is as in a body."""
    if tuple(names[:2]) != ("html", "body"):
        return False
    if _MOVES_CONTENT.isdisjoint(names):
        return True
    own = [name for name in names if name in _MOVES_CONTENT]
    return own[-1] in _CELLS and _TABLE.issuperset(own)


def _stays_in_head(document: Document, element: Element, head: Element) -> bool:
    """Whether an element stands between the head's tags and is whole: there the parser has nothing else in mind."""
    own, start, end = document.start_tag(element), document.start_tag(head), document.end_tag(head)
    if own is None or start is None or end is None or not start < own < end or element.tag in _MOVES_CONTENT:
        return False
    return document.end_tag(element) is not None or not document.has_content(element)


def _written(operation: model.Operation) -> str:
    content = getattr(operation, "content", None)
    return markup_of(content) if isinstance(content, Content) else ""


@lru_cache(maxsize=4096)
def _is_whole(names: tuple[str, ...], markup: str) -> bool:
    """Whether written content, which fits, leaves the parser as it found it, whatever the page.

    In quirks mode a table stands inside a paragraph that it ends elsewhere, and only one of the two was tried out.
    """
    if _MAY_GO_ON.search(markup[-_TAIL_CHARACTERS:]):
        return False
    if "<" not in markup:
        return True
    lower = markup.lower()
    return "<form" not in lower and not ("<table" in lower and "<p" in lower) and closes_all(names, markup)


def _is_plain(document: Document, verb: type, element: Element, markup: str) -> bool:
    """Whether no formatting comes or goes, inside other formatting: of elements alike the parser remembers three, and a
    link ends the link around it."""
    if _IS_FORMATTING.search(markup) or document.is_misnested:
        return False
    return verb not in _TAKES_AWAY or (element.tag not in FORMATTING and element.select_one(ANY_FORMATTING) is None)


def _can_go(document: Document, element: Element) -> bool:
    """Whether what goes is no more than it seems: no second `<html>` or `<body>`, whose attributes are the page's own and
    would go with it, and each form in it begins and ends there."""
    outer = document.outer(element)
    if outer is None or element.tag == "form":
        return False
    source = document.source[slice(*outer)].lower()
    if "<html" in source or "<body" in source:
        return False
    ends = [document.end_tag(form) for form in element.select("form")] if "<form" in source else []
    return source.count("</form") == len(ends) and None not in ends


def _is_apart(document: Document, at: int) -> bool:
    """Whether the text before an offset, if any, is read alike whatever follows; a lone return looks like a new line."""
    source = document.source
    if document.page.endswith(b"\r", 0, at + document.base):
        return False
    if source[at - 1 : at] not in _GOES_ON:
        return True
    return _MAY_GO_ON.search(source[max(0, at - _TAIL_CHARACTERS) : at]) is None


def _is_tidy(document: Document, parent: Element, before: Node | None, at: int) -> bool:
    """Whether the parser, at a place in `parent`, has that one open on top and no formatting to open again.

    A form ends at its end tag, even where that stands inside something that the form holds.
    """
    if isinstance(before, Element) and not _is_closed(document, before, at):
        return False
    if parent.tag == "form" and (end := document.end_tag(parent)) is not None and end[0] < at:
        return False
    return not _has_ended(document, parent, before, at) and _reopens_nothing(document, parent, before, at)


def _has_ended(document: Document, parent: Element, before: Node | None, at: int) -> bool:
    """Whether `</body>` or `</html>` may stand between a place and the tag before it; what follows has rules of its own
    until the next tag."""
    while before is not None and not isinstance(before, Element):
        before = before.previous_sibling
    tag = None if before is None else document.end_tag(before)
    start = (tag or document.start_tag(before or parent) or (0, 0))[1]
    return document.source.find("</", start, at) >= 0 and _ENDS_PAGE.search(document.source, start, at) is not None


def _is_closed(document: Document, element: Element, at: int) -> bool:
    """Whether an element has ended before an offset, by its own end tag, with all that it holds.

    The end tag of a form ends the form only; what was open in it stays open.
    """
    if not document.has_content(element):
        return True
    end = document.end_tag(element)
    if end is None or end[1] > at:
        return False
    last = last_child(element) if element.tag == "form" else None
    return not isinstance(last, Element) or _is_closed(document, last, end[0])


def _reopens_nothing(document: Document, parent: Element, before: Node | None, at: int) -> bool:
    """Whether text at a place would open no formatting again, other than what stands around it already.

    We look back, from the place to the nearest text in a body (or element that opens formatting as text does): there, all
    that was to be opened again was opened, in elements that hold that text. Each of them that we came by has to end before
    the place by its own end tag, and so has each that begins in between. False if that can't be told.
    """
    node, around = before, parent
    for _ in range(_LOOKED_BACK_MAX):
        if node is None:
            above = around.parent
            if around.tag == "body" or around.tag in _CELLS or around.tag in _OPENING_AGAIN:
                return True
            if not isinstance(above, Element):
                return False
            node, around = around.previous_sibling, above
        elif isinstance(node, Element):
            if (answer := _answer_of(document, node, at)) is not None:
                return answer
            last = None if node.tag in _RAW else last_child(node)
            node, around = (node.previous_sibling, around) if last is None else (last, node)
        elif isinstance(node, Text):
            return True
        elif isinstance(node, Comment):
            node = node.previous_sibling
        else:
            return False
    return False


def _answer_of(document: Document, element: Element, at: int) -> bool | None:
    """What an element that we come by says of what is to be opened again at an offset: nothing is (True), that can't be
    told (False), or only what it holds and what is before it can tell (None)."""
    if element.namespace is not _HTML:  # <svg> or <math>, which begin as text does
        return element.select_one(ANY_FORMATTING) is None
    if element.tag in _MOVES_CONTENT and element.tag not in _RAW:
        return False
    if element.tag in FORMATTING and (document.is_misnested or not _is_closed(document, element, at)):
        return False
    return True if element.tag in _OPENING_AGAIN and first_child(element) is None else None
