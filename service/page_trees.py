"""One small tree for the pages of two unrelated parsers, and where two such trees differ first.

selectolax (Lexbor) makes the trees that count; turbohtml, which the rewriter itself goes by, makes those that say whether
the two read a page alike. What is inside `<noscript>` is left out, and so are the doctype, white space at the ends of a
comment, and how the names in a `class` are spaced.
Counterpart: `service.dom_verbs` changes such a tree, `service.second_opinion` compares.
Never: source offsets, a tree of unbounded depth, or selectolax in a process that serves anybody: it has crashed.
"""

from collections.abc import Iterable, Iterator, Sequence

import turbohtml
from msgspec import Struct
from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode, SelectolaxError

TEXT, COMMENT = "text", "comment"
EXCERPT_CHARACTERS_MAX = 32
"""Of a page's text in a difference: enough to find the place, too little to tell a visitor's story."""
STEPS_MAX = 6

_OPTIONS = LexborDocumentOptions.WO_EVENTS.value
"""Without what Lexbor does to a tree after parsing: the source's own tree is compared, and that code has crashed."""


class Leaf:
    """Text or a comment."""

    __slots__ = ("data", "kind")

    def __init__(self, kind: str, data: str) -> None:
        self.kind = kind
        self.data = data


class Branch:
    """An element, or the page itself (tag `#document`). A template's children are its content's."""

    __slots__ = ("attributes", "children", "parent", "tag")

    def __init__(self, tag: str, attributes: dict[str, str] | None = None) -> None:
        self.tag = tag
        self.attributes = attributes or {}
        self.children: list[Branch | Leaf] = []
        self.parent: Branch | None = None

    def add(self, *nodes: "Branch | Leaf", at: int | None = None) -> None:
        """Put nodes in at an index, or at the end."""
        for node in nodes:
            if isinstance(node, Branch):
                node.parent = self
        where = len(self.children) if at is None else at
        self.children[where:where] = nodes

    def index(self, node: "Branch | Leaf") -> int:
        """Where a child stands; raises ValueError if it is none."""
        at = next((i for i, child in enumerate(self.children) if child is node), None)
        if at is None:
            raise ValueError(f"it is no longer in {self.steps()}")
        return at

    def walk(self) -> "Iterator[Branch]":
        """All elements below, in tree order."""
        waiting = [*reversed(self.children)]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Branch):
                yield node
                waiting.extend(reversed(node.children))

    def first(self, tag: str) -> "Branch | None":
        """The first element of this name below."""
        return next((element for element in self.walk() if element.tag == tag), None)

    def path(self) -> tuple[int, ...]:
        """Indices among elements from the page down to this one."""
        line: list[int] = []
        node = self
        while node.parent is not None:
            elements = (child for child in node.parent.children if isinstance(child, Branch))
            line.append(next(i for i, child in enumerate(elements) if child is node))
            node = node.parent
        return tuple(reversed(line))

    def steps(self) -> str:
        """How to get there from the page: `html > body > div:2`, the last steps of a long way."""
        names: list[str] = []
        node = self
        while node.parent is not None:
            alike = [child for child in node.parent.children if isinstance(child, Branch) and child.tag == node.tag]
            names.append(
                node.tag if len(alike) < 2 else f"{node.tag}:{next(i for i, a in enumerate(alike, 1) if a is node)}"
            )
            node = node.parent
        shown = names[:STEPS_MAX]
        return " > ".join([*(["…"] if len(names) > STEPS_MAX else []), *reversed(shown)]) or "the page"


# -- selectolax


class SelectorError(ValueError):
    """selectolax does not take a selector."""


class SelectolaxPage:
    """A page as selectolax reads it; `root` may be changed, the selectors go on looking at the page as it came."""

    def __init__(self, page: str) -> None:
        self._parser = LexborHTMLParser(page, options=_OPTIONS, scripting=True)
        self.root = Branch("#document")
        self._elements: dict[int, tuple[int, Branch]] = {}
        first = self._parser.root
        while first is not None and first.prev is not None:
            first = first.prev
        _grow(self.root, first, self._elements)

    def select(self, selector: str) -> list[Branch]:
        """Elements in tree order; raises SelectorError for what selectolax does not take."""
        try:
            found = {node.mem_id for node in self._parser.css(selector)}
        except (SelectolaxError, ValueError) as error:
            raise SelectorError(str(error)) from error
        return [branch for _, branch in sorted((self._elements[one] for one in found), key=lambda pair: pair[0])]


def _grow(root: Branch, first: LexborNode | None, elements: dict[int, tuple[int, Branch]]) -> None:
    """Hang `first` and its next siblings with all that is below into `root`; templates' elements are not found by name."""
    waiting: list[tuple[Branch, LexborNode | None, bool]] = [(root, first, True)]
    while waiting:
        parent, node, is_found = waiting.pop()
        if node is None:
            continue
        waiting.append((parent, node.next, is_found))
        if node.is_text_node:
            parent.add(Leaf(TEXT, node.text_content or ""))
        elif node.is_comment_node:
            parent.add(Leaf(COMMENT, (node.comment_content or "").strip()))
        elif node.is_element_node and node.tag is not None:
            branch = Branch(node.tag, {name: value or "" for name, value in node.attributes.items()})
            parent.add(branch)
            if is_found:
                elements[node.mem_id] = (len(elements), branch)
            if node.tag == "template":
                inside = (one for one in node.template_fragments() if one.parent == node)
                waiting.extend((branch, one.child, False) for one in inside)
            if node.tag != "noscript" or namespace_of(branch) != "html":
                waiting.append((branch, node.child, is_found))


def fragment(html: str, parent: Branch) -> list[Branch | Leaf]:
    """Nodes that selectolax makes of HTML inside `parent`."""
    root = Branch("#fragment")
    namespace = namespace_of(parent)
    for tag in (parent.tag, "div" if namespace == "html" else namespace):
        try:
            parsed = LexborHTMLParser(
                html,
                is_fragment=True,
                fragment_tag=tag,
                fragment_namespace=namespace,
                options=_OPTIONS,
                scripting=True,
            )
        except ValueError:
            continue  # an element that Lexbor has no name for: its content is parsed like a plain one's
        first = parsed.root
        while first is not None and first.prev is not None:
            first = first.prev
        _grow(root, first, {})
        break
    return root.children


_INTEGRATION_POINTS = {
    "svg": frozenset({"foreignObject", "desc", "title"}),
    "math": frozenset({"annotation-xml", "mi", "mo", "mn", "ms", "mtext"}),
}


def namespace_of(element: Branch) -> str:
    """What an element is read as: `html`, `svg` or `math`."""
    node: Branch | None = element
    passed: set[str] = set()
    while node is not None:
        if (points := _INTEGRATION_POINTS.get(node.tag)) is not None:
            return "html" if points & passed else node.tag
        if node is not element:
            passed.add(node.tag)
        node = node.parent
    return "html"


# -- turbohtml


def by_turbohtml(document: turbohtml.Document) -> Branch:
    """The same tree out of what turbohtml has parsed, scripting on."""
    root = Branch("#document")
    waiting: list[tuple[Branch, turbohtml.Node]] = [(root, node) for node in reversed(document.children)]
    while waiting:
        parent, node = waiting.pop()
        if isinstance(node, turbohtml.DocumentFragment):
            waiting.extend((parent, child) for child in reversed(node.children))
        elif isinstance(node, turbohtml.Comment):
            parent.add(Leaf(COMMENT, node.data.strip()))
        elif isinstance(node, turbohtml.Text):
            parent.add(Leaf(TEXT, node.data))
        elif isinstance(node, turbohtml.Element):
            branch = Branch(node.tag, {name: _joined(value) for name, value in node.attrs.items()})
            parent.add(branch)
            if node.tag != "noscript" or node.namespace is not turbohtml.Namespace.HTML:
                waiting.extend((branch, child) for child in reversed(node.children))
    return root


def _joined(value: "str | list[str] | None") -> str:
    return value if isinstance(value, str) else " ".join(value or ())


# -- comparison


class Difference(Struct, frozen=True):
    """The first place where two trees differ."""

    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}"


def first_difference(expected: Branch, found: Branch, *, tidy_body: bool = False) -> Difference | None:
    """Where two pages differ first in tree order; None for equal ones.

    `tidy_body`: leave out white space at the top level of the body. What stands behind `</body>` is moved to the body's
    end by every parser, and so comes to stand behind what was appended.
    """
    waiting = [(expected, found)]
    while waiting:
        left, right = waiting.pop()
        if (named := _attributes_differ(left, right)) is not None:
            return named
        tidy = tidy_body and left.tag == "body"
        inside, actual = _joined_texts(left.children, tidy=tidy), _joined_texts(right.children, tidy=tidy)
        pairs: list[tuple[Branch, Branch]] = []
        for index in range(max(len(inside), len(actual))):
            one = inside[index] if index < len(inside) else None
            other = actual[index] if index < len(actual) else None
            if isinstance(one, Branch) and isinstance(other, Branch) and one.tag == other.tag:
                pairs.append((one, other))
            elif not _are_equal_leaves(one, other):
                # Whatever comes before it in tree order, below an earlier pair, is the first.
                before = next(filter(None, (first_difference(*pair) for pair in pairs)), None)
                return before or Difference(left.steps(), *_described_pair(one, other))
        waiting.extend(reversed(pairs))
    return None


def _attributes_differ(left: Branch, right: Branch) -> Difference | None:
    if left.attributes == right.attributes:
        return None
    for name in sorted(left.attributes.keys() | right.attributes.keys()):
        one, other = left.attributes.get(name), right.attributes.get(name)
        if name == "class" and one is not None and other is not None:
            one, other = " ".join(one.split()), " ".join(other.split())
        if one != other:
            return Difference(f"{left.steps()} [{name[:80]}]", *(_quoted(value) for value in _excerpts(one, other)))
    return None


def _joined_texts(nodes: Sequence[Branch | Leaf], *, tidy: bool) -> list[Branch | Leaf]:
    """Children with neighbouring texts joined and empty ones left out."""
    joined: list[Branch | Leaf] = []
    for node in nodes:
        last = joined[-1] if joined else None
        if isinstance(node, Leaf) and node.kind == TEXT:
            if isinstance(last, Leaf) and last.kind == TEXT:
                joined[-1] = Leaf(TEXT, last.data + node.data)
            elif node.data:
                joined.append(node)
        else:
            joined.append(node)
    if not tidy:
        return joined
    return [one for one in map(_stripped, joined) if not (isinstance(one, Leaf) and one.kind == TEXT and not one.data)]


def _stripped(node: Branch | Leaf) -> Branch | Leaf:
    return Leaf(TEXT, node.data.strip(" \t\n\f")) if isinstance(node, Leaf) and node.kind == TEXT else node


def _are_equal_leaves(one: Branch | Leaf | None, other: Branch | Leaf | None) -> bool:
    return isinstance(one, Leaf) and isinstance(other, Leaf) and (one.kind, one.data) == (other.kind, other.data)


def _described_pair(one: Branch | Leaf | None, other: Branch | Leaf | None) -> Iterable[str]:
    if isinstance(one, Leaf) and isinstance(other, Leaf) and one.kind == other.kind:
        return (f"{one.kind} {_quoted(excerpt)}" for excerpt in _excerpts(one.data, other.data))
    return (_described(one), _described(other))


def _described(node: Branch | Leaf | None) -> str:
    if node is None:
        return "nothing"
    if isinstance(node, Branch):
        return f"<{node.tag}>"
    return f"{node.kind} {_quoted(node.data[:EXCERPT_CHARACTERS_MAX])}"


def _excerpts(one: str | None, other: str | None) -> tuple[str | None, str | None]:
    """Two texts from a little before where they part."""
    if one is None or other is None:
        return tuple(None if text is None else text[:EXCERPT_CHARACTERS_MAX] for text in (one, other))  # type: ignore[return-value]
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, same - 8)
    return one[start : start + EXCERPT_CHARACTERS_MAX], other[start : start + EXCERPT_CHARACTERS_MAX]


def _quoted(text: str | None) -> str:
    return "nothing" if text is None else repr(text)
