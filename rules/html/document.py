"""bytes -> elements and their spans in those bytes. Hides which parser finds them (turbohtml).

The parser sees the page through a Latin-1 window of the same length: one code point for each byte, `\\r\\n` as ` \\n`, so
that its offsets are byte offsets in every ASCII-compatible encoding, whatever the bytes are.

A span is given only where it is certain. HTML's parser implies tags, closes elements early and moves content; so the
source between an element's tags is parsed once more, alone, and must give exactly the children that the element has in
the page. Where it does not, there is no span and the operation is refused (`Reason.AMBIGUOUS_SPAN`), never guessed.
Never: a serialised tree.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import islice
from operator import attrgetter

import turbohtml
from turbohtml import DocumentFragment, Element, Namespace, Node, SourceSpan, Text

from rules import limits
from rules.html.charset import Charset

VOID = frozenset(
    "area base br col embed hr img input link meta param source track wbr basefont bgsound frame keygen".split()
)
"""Elements without content or end tag (HTML standard, "void elements", and those the parser treats alike)."""

FORMATTING = frozenset("a b big code em font i nobr s small strike strong tt u".split())
"""Elements that the parser opens again by itself after misnested tags ("list of active formatting elements")."""

ANY_FORMATTING = ", ".join(sorted(FORMATTING))

LEADING_NEWLINE = frozenset({"pre", "textarea", "listing"})
"""The parser drops a newline right after these start tags."""

STRUCTURE = frozenset({"html", "head", "body"})
"""Elements that a page has exactly once, tags or not."""

_HTML, _SVG = Namespace.HTML, Namespace.SVG
"""Looked up once: of an enumeration that costs as much as a call."""

HOLDING_TEXT = frozenset(
    "title h1 h2 h3 h4 h5 h6 p span a b i em strong small li dt dd td th div label figcaption".split()
)
"""Elements in which text without `<`, `&` or NUL is one text, character for character."""

_WHITE_SPACE = " \t\n\f\r"

_TABLES_ASKED_MAX = 1_000
"""With more tables a page counts as odd: to prove it is cheaper than to ask each."""
_ASKED_ONE_BY_ONE_MAX = 16
"""Formatting elements: more of them inside an element are not asked each, while few of the whole page are left open."""
_POSITION = attrgetter("position")
_BEHIND_ALL = (1 << 62, 0)
_CHAIN_KEPT_MAX = 64
"""Deeper than that no page is that people made; a page of nothing but depth would fill the memory with its chains."""
_IS_SMALL = "count(//*) <= 5000"
"""With so few elements depth costs little, and most pages have fewer. The parser counts them in half the time that it takes to
count the signs `<` of their source."""


_LOOKED_AT_EACH, _HIGH = 100, 150
"""From one element to the next depth grows by one, or by two into a template: by 200 in between, so that none is deeper
than 350."""
_FRAMESET = re.compile(rb"<frameset", re.IGNORECASE)

_Tags = tuple[tuple[int, int] | None, tuple[int, int] | None, Mapping[str, SourceSpan]]
"""Where the start tag, the end tag and the attributes of one element are, in offsets of the source."""


_UNKNOWN: _Tags = (None, None, {})


class Document:
    """One parsed page. Offsets are into the bytes as they came, the byte order mark included."""

    def __init__(self, page: bytes, charset: Charset) -> None:
        self.page = page
        self.charset = charset
        self.base = charset.mark_bytes
        self.source = window_of(page[charset.mark_bytes :] if charset.mark_bytes else page)
        self.root = turbohtml.parse(self.source, source_locations=True, scripting=True)
        self._selected: dict[str, list[Element]] = {}
        self._inner: dict[int, tuple[int, int] | None] = {}
        self._located: dict[Element, _Tags] = {}
        self._chains: dict[Element, tuple[str, ...]] = {}
        self._reread = 0

    def select(self, selector: str) -> list[Element]:
        """Elements in tree order, without those inside templates; each selector is evaluated once per page."""
        found = self._selected.get(selector)
        if found is None:
            found = self.root.select(self.charset.selector(selector))
            if self._has_templates:
                found = [element for element in found if not _in_template(element)]
            self._selected[selector] = found
        return found

    @cached_property
    def _has_templates(self) -> bool:
        return self.root.select_one("template") is not None

    @property
    def is_too_deep(self) -> bool:
        """Some element stands deeper than browsers build trees, on a page that is large enough for that to cost; asked once.

        In tree order each element is at most one deeper than the one before, so only a few have to be asked.
        """
        if self.root.xpath(_IS_SMALL) is True or self._is_flat:
            return False
        elements, at, steps = self.root.find_all(), 0, 0
        while at < len(elements) and steps <= 4 * len(elements):
            depth = sum(1 for _ in elements[at].ancestors)
            at, steps = at + max(1, limits.DEPTH_MAX - depth + 1), steps + depth
            if depth > limits.DEPTH_MAX:
                return True
        return at < len(elements)  # so many of them are deep that counting on would take longer than the parse

    @property
    def _is_flat(self) -> bool:
        """Each hundredth element stands so high that none in between can be too deep: so it is on pages that people made, and
        then no list of all of them is needed."""
        seen = islice(self.root.iter_elements(), 0, None, _LOOKED_AT_EACH)
        return all(sum(1 for _ in element.ancestors) <= _HIGH for element in seen)

    @cached_property
    def is_misnested(self) -> bool:
        """Some formatting element was opened again by the parser: a copy shares its original's position, and its name."""
        find_all = self.root.find_all  # by name it is faster than a selector
        for name in FORMATTING:
            alike = find_all(name)
            if len(alike) > 1 and len(set(map(_POSITION, alike))) != len(alike):
                return True
        return False

    @cached_property
    def _left_open(self) -> list[Element]:
        """Formatting elements without end tag, as far as they are few; most pages have none."""
        formatting = self.root.select(ANY_FORMATTING)
        return [
            *islice((element for element in formatting if self.end_tag(element) is None), _ASKED_ONE_BY_ONE_MAX + 1)
        ]

    def leaves_formatting_open(self, element: Element) -> bool:
        """Whether a formatting element in it (or itself) has no end tag: the parser may open it again behind."""
        inside = element.select(ANY_FORMATTING)
        if len(inside) > _ASKED_ONE_BY_ONE_MAX and len(self._left_open) <= _ASKED_ONE_BY_ONE_MAX:
            return any(one == element or element in one.ancestors for one in self._left_open)
        candidates = [element, *inside] if element.tag in FORMATTING else inside
        return any(self.end_tag(candidate) is None for candidate in candidates)

    @cached_property
    def has_thrown_out(self) -> bool:
        """Some table threw an element out: it stands before the table in the tree and inside it in the source."""
        tables = self.root.select("table")
        if len(tables) > _TABLES_ASKED_MAX:
            return True
        for table in tables:
            node = table.previous_sibling
            while isinstance(node, Text):
                node = node.previous_sibling
            if isinstance(node, Element) and (node.position or _BEHIND_ALL) > (table.position or _BEHIND_ALL):
                return True  # one that no tag of the source began stands for an end tag, maybe one inside the table
        return False

    @cached_property
    def mentions_frames(self) -> bool:
        """A `<frameset>` stands somewhere, taken or ignored: that depends on all the content before it.

        Behind a `<body>` in the source it is always ignored (HTML standard, "frameset-ok flag").
        """
        body = self.root.select_one("body")
        if body is not None and self.start_tag(body) is not None:
            return False
        return _FRAMESET.search(self.page) is not None

    def chain(self, element: Element) -> tuple[str, ...]:
        """Tag names from `html` down to the element itself; what stands beside each other is often asked for."""
        parent = element.parent
        if not isinstance(parent, Element):
            return _chain(element)
        above = self._chains.get(parent)
        if above is None:
            above = _chain(parent)
            if len(above) <= _CHAIN_KEPT_MAX:
                self._chains[parent] = above
        return (*above, element.tag)

    # -- spans, in offsets of `source`

    def _tags_of(self, element: Element) -> _Tags:
        """What the parser says, once: it takes as long as the element has attributes.

        Nothing for more of them than anybody writes: an element whose tags are not known is not edited.
        """
        found = self._located.get(element)
        if found is None:
            location = element.source_location if len(element.attrs) <= limits.ATTRIBUTES_MAX else None
            found = _UNKNOWN
            if location is not None:
                start, end, attributes = location
                ended = None if end is None else (end.start_offset, end.end_offset)
                found = (start.start_offset, start.end_offset), ended, attributes
            self._located[element] = found
        return found

    def start_tag(self, element: Element) -> tuple[int, int] | None:
        """Where the start tag is; None if the parser implied it."""
        return (self._located.get(element) or self._tags_of(element))[0]

    def end_tag(self, element: Element) -> tuple[int, int] | None:
        """Where the end tag is; None if the source does not have it."""
        return (self._located.get(element) or self._tags_of(element))[1]

    def attribute(self, element: Element, name: str) -> tuple[int, int] | None:
        """Where `name="value"` is; None if the start tag has no such attribute."""
        span = self._tags_of(element)[2].get(name)
        return None if span is None else (span.start_offset, span.end_offset)

    def has_content(self, element: Element) -> bool:
        """False for void elements and self-closed foreign ones: nothing can stand inside."""
        if element.namespace is _HTML:
            return element.tag not in VOID
        tag = self.start_tag(element)
        return tag is None or not self._closes_itself(*tag)

    def _closes_itself(self, start: int, end: int) -> bool:
        """Whether a start tag ends with a slash of its own, and not with one that belongs to a value: `<g a=b/>`."""
        if not self.source.startswith("/>", end - 2):
            return False
        return next(iter(turbohtml.tokenize(self.source[start:end]))).self_closing

    def inner(self, element: Element) -> tuple[int, int] | None:
        """Where the element's content is, from its start tag to its end; None if that is not certain."""
        tag = self.start_tag(element)
        if tag is None:
            return None
        if tag[0] not in self._inner:
            self._inner[tag[0]] = self._certain_inner(element, tag[1]) if self.has_content(element) else None
        return self._inner[tag[0]]

    def outer(self, element: Element) -> tuple[int, int] | None:
        """Where the element is, tags included; None if that is not certain."""
        tag = self.start_tag(element)
        if tag is None or element.tag in STRUCTURE:
            return None
        if not self.has_content(element):
            return tag
        inner, end = self.inner(element), self.end_tag(element)
        if inner is None:
            return None
        return tag[0], inner[1] if end is None else end[1]

    def _certain_inner(self, element: Element, start: int) -> tuple[int, int] | None:
        end = self.end_tag(element)
        candidates = (end[0],) if end is not None else self._implied_ends(element, start)
        if element.tag == "head" and end is not None and self._begins_before(last_element(element), end[0]):
            return start, end[0]  # whatever does not belong into a head ends it, and then its end tag means nothing
        content = _children(element)
        dropped = element.tag in LEADING_NEWLINE and self.source.startswith("\n", start)
        for candidate in candidates:
            if candidate >= start and self._parses_to(start + dropped, candidate, element, content):
                return start, candidate
        return None

    def _begins_before(self, last: Element | None, offset: int) -> bool:
        """Whether the last element in a head, if any, stands before `offset`; the parser puts late ones into it too."""
        tag = None if last is None else self.start_tag(last)
        return last is None or (tag is not None and tag[0] < offset)

    def _parses_to(self, start: int, end: int, element: Element, content: Sequence[Node]) -> bool:
        self._reread += max(0, end - start)
        if self._reread > len(self.source) * limits.REREAD_TIMES_MAX:
            return False
        if element.tag == "head" and self._holds_body(start, end):
            return False
        source = self.source[start:end]
        if (
            element.tag in HOLDING_TEXT
            and element.namespace is _HTML
            and not ("<" in source or "&" in source or "\0" in source)
        ):
            return _is_text(source, content)  # what a parser says of it is known
        alone = _children(turbohtml.parse_fragment(source, context_of(element), scripting=True))
        if element.tag == "body":
            alone, content = _without_last_space(alone), _without_last_space(content)
        return len(alone) == len(content) and all(map(_same, alone, content))

    def _holds_body(self, start: int, end: int) -> bool:
        """Whether the first element of a body that no tag begins stands in a range of the source: no head holds all of that.

        The first range that is tried for a head without end tag goes on to the end of such a page. To parse it again would
        take as long as the page did, and find an element more: in a fragment none is ignored that a body takes.
        """
        body = self.root.select_one("body")
        if body is None or self.start_tag(body) is not None:
            return False
        first = first_child(body)
        while first is not None and not isinstance(first, Element):
            first = first.next_sibling
        tag = None if first is None else self.start_tag(first)
        return tag is not None and start <= tag[0] and tag[1] <= end

    def _implied_ends(self, element: Element, start: int) -> Iterator[int]:
        """Where an element without end tag may end: at the next tag that is not inside it, or after its last child."""
        yield self._next_boundary(element)
        last = last_element(element)
        if last is None:
            yield start
        elif self._is_open_too_deep(last):
            return
        elif (outer := self.outer(last)) is not None:
            yield outer[1]
            after = outer[1]
            while after < len(self.source) and self.source[after] in _WHITE_SPACE:
                after += 1
            yield after

    def _is_open_too_deep(self, element: Element | None) -> bool:
        """Whether too many elements without end tag end together: each asks the next where it ends."""
        for _ in range(limits.OPEN_ELEMENTS_MAX):
            if element is None or self.end_tag(element) is not None:
                return False
            element = last_element(element)
        return True

    def _next_boundary(self, element: Element) -> int:
        node: Node = element
        while True:
            sibling = node.next_sibling
            while sibling is not None:
                if isinstance(sibling, Element) and (tag := self.start_tag(sibling)) is not None:
                    return tag[0]
                sibling = sibling.next_sibling
            parent = node.parent
            if not isinstance(parent, Element):
                return len(self.source)
            if (end := self.end_tag(parent)) is not None:
                return end[0]
            node = parent


def window_of(source: bytes) -> str:
    """Source without a byte order mark as the parser sees it: one character for each byte."""
    window = source.decode("latin-1")
    return window.replace("\r\n", " \n").replace("\r", "\n") if "\r" in window else window


def first_child(node: Element | DocumentFragment) -> Node | None:
    """The first child, without a look at the others, which may be many."""
    try:
        return node[0]
    except IndexError:
        return None


def last_child(node: Element | DocumentFragment) -> Node | None:
    """The last child, without a list of the others."""
    try:
        return node[-1]
    except IndexError:
        return None


def last_element(parent: Element) -> Element | None:
    """The last child that is an element."""
    node = last_child(parent)
    while node is not None and not isinstance(node, Element):
        node = node.previous_sibling
    return node


def _chain(element: Element) -> tuple[str, ...]:
    names = [element.tag, *[ancestor.tag for ancestor in element.ancestors if isinstance(ancestor, Element)]]
    names.reverse()
    return tuple(names)


def _in_template(element: Element) -> bool:
    return any(isinstance(ancestor, DocumentFragment) for ancestor in element.ancestors)


def _children(element: Element) -> Sequence[Node]:
    children = element.children
    if len(children) == 1 and isinstance(children[0], DocumentFragment):
        return children[0].children
    return children


def context_of(element: Element) -> str:
    """The context to parse an element's content in; one that parses alike where the parser knows no such element."""
    namespace = element.namespace
    if namespace is _HTML:
        return element.tag if _is_context(element.tag) else "div"
    prefix, alike = ("svg ", "g") if namespace is _SVG else ("math ", "mrow")
    return prefix + (element.tag if _is_context(prefix + element.tag) else alike)


@lru_cache(maxsize=1024)
def _is_context(name: str) -> bool:
    try:
        turbohtml.parse_fragment("", name)
    except ValueError:
        return False
    return True


def _is_text(text: str, content: Sequence[Node]) -> bool:
    """Whether an element's content is this text and nothing else."""
    if len(content) != 1:
        return not content and not text
    only = content[0]
    return isinstance(only, Text) and only.data == text


def _same(left: Node, right: Node) -> bool:
    return left.equals(right)


def _without_last_space(nodes: Sequence[Node]) -> Sequence[Node]:
    """White space after `</body>` belongs to the body's tree, not to what stands between its tags."""
    if nodes and isinstance(nodes[-1], Text) and not nodes[-1].data.strip(_WHITE_SPACE):
        return nodes[:-1]
    return nodes
