"""One small tree for the pages of several parsers, and the verbs carried out on it: the judge of the rewriter.

A page is parsed by an unrelated parser (selectolax or html5lib), the verb is carried out on that tree as a browser's DOM
would, and the result is compared with the tree of the rewritten page. What a parser can't show alike is left out of the
comparison: what is inside `<noscript>` (its content depends on whether scripts run), the doctype, and white space at
the ends of a comment.
Counterpart: `rules.html`. Never: a look at source offsets, or anything else that the rewriter itself goes by.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.dom import minidom

import html5lib
import tinycss2
import turbohtml
from selectolax.lexbor import LexborHTMLParser, LexborNode

from rules import model

Shape = tuple[Any, ...]
NOSCRIPT = re.compile(rb"(<noscript\b[^>]*>).*?(</noscript)", re.IGNORECASE | re.DOTALL)


@dataclass(eq=False, slots=True)
class Leaf:
    """Text or a comment."""

    kind: str
    data: str
    parent: "Branch | None" = None


@dataclass(eq=False, slots=True)
class Branch:
    """An element, or the page itself (tag `#document`)."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: "list[Branch | Leaf]" = field(default_factory=list)
    parent: "Branch | None" = None

    def add(self, *nodes: "Branch | Leaf", at: int | None = None) -> None:
        """Put nodes in at an index, or at the end."""
        for node in nodes:
            node.parent = self
        where = len(self.children) if at is None else at
        self.children[where:where] = nodes

    def elements(self) -> "list[Branch]":
        return [child for child in self.children if isinstance(child, Branch)]

    def walk(self) -> "Iterator[Branch]":
        """All elements below, in tree order."""
        for child in self.elements():
            yield child
            yield from child.walk()

    def at(self, path: Sequence[int]) -> "Branch":
        """The element that `path` (indices among elements) leads to."""
        return self if not path else self.elements()[path[0]].at(path[1:])

    def path(self) -> tuple[int, ...]:
        """Indices among elements from the page down to this one."""
        if self.parent is None:
            return ()
        index = next(i for i, child in enumerate(self.parent.elements()) if child is self)
        return (*self.parent.path(), index)


def shape(node: "Branch | Leaf") -> Shape:
    """A tree as plain tuples, with neighbouring texts joined: equal for equal pages."""
    if isinstance(node, Leaf):
        return (node.kind, node.data.strip() if node.kind == "comment" else node.data)
    below: list[Shape] = []
    for child in node.children:
        inner = shape(child)
        if inner[0] == "text" and below and below[-1][0] == "text":
            below[-1] = ("text", below[-1][1] + inner[1])
        elif inner != ("text", ""):
            below.append(inner)
    return (node.tag, tuple(sorted(node.attributes.items())), tuple(below))


# -- parsers

SHADOW_HOSTS = frozenset(
    "article aside blockquote body div footer h1 h2 h3 h4 h5 h6 header main nav p section span".split()
)


def is_shadow(template: Branch, host: Branch) -> bool:
    """Whether a template is taken out of its parent, to be its shadow root (HTML standard, "shadowrootmode")."""
    mode = template.attributes.get("shadowrootmode", "").lower() if template.tag == "template" else ""
    return mode in ("open", "closed") and (host.tag in SHADOW_HOSTS or "-" in host.tag)


def by_html5lib(page: str) -> Branch:
    """The tree that html5lib makes of a page, scripting on."""
    document = html5lib.HTMLParser(tree=html5lib.getTreeBuilder("dom")).parse(page, scripting=True)
    root = Branch("#document")
    _from_minidom(root, document.childNodes)
    return root


def _from_minidom(parent: Branch, nodes: Iterable[minidom.Node]) -> None:
    for node in nodes:
        if isinstance(node, minidom.Text):
            parent.add(Leaf("text", node.data))
        elif isinstance(node, minidom.Comment):
            parent.add(Leaf("comment", node.data))
        elif isinstance(node, minidom.Element):
            branch = Branch(node.localName or node.tagName, dict(node.attributes.items()))
            if is_shadow(branch, parent):
                continue
            parent.add(branch)
            if branch.tag != "noscript":
                _from_minidom(branch, node.childNodes)


def by_selectolax(page: str) -> Branch:
    """The tree that selectolax (Lexbor) makes of a page; a template's content is one text."""
    root = Branch("#document")
    node = LexborHTMLParser(page).root
    while node is not None and node.prev is not None:
        node = node.prev
    _from_lexbor(root, node)
    return root


def _from_lexbor(parent: Branch, node: LexborNode | None) -> None:
    while node is not None:
        if node.is_text_node:
            parent.add(Leaf("text", node.text_content or ""))
        elif node.is_comment_node:
            parent.add(Leaf("comment", node.comment_content or ""))
        elif node.is_element_node and node.tag is not None:
            branch = Branch(node.tag, {name: value or "" for name, value in node.attributes.items()})
            if not is_shadow(branch, parent):
                parent.add(branch)
            if branch.tag == "template":
                branch.add(Leaf("text", node.inner_html or ""))
            elif branch.tag != "noscript":
                _from_lexbor(branch, node.child)
        node = node.next


def by_turbohtml(page: str) -> Branch:
    """The tree of the parser that the rewriter uses: it says which element is meant, never what is right."""
    root = Branch("#document")
    _from_turbohtml(root, turbohtml.parse(page, scripting=True).children)
    return root


def _from_turbohtml(parent: Branch, nodes: Iterable[turbohtml.Node]) -> None:
    for node in nodes:
        if isinstance(node, turbohtml.Comment):
            parent.add(Leaf("comment", node.data))
        elif isinstance(node, turbohtml.Text):
            parent.add(Leaf("text", node.data))
        elif isinstance(node, turbohtml.Element):
            branch = Branch(node.tag, {name: _joined(value) for name, value in node.attrs.items()})
            parent.add(branch)
            if branch.tag == "template" and node.children:
                branch.add(Leaf("text", node.inner_html))
            elif branch.tag != "noscript":
                _from_turbohtml(branch, node.children)


def _joined(value: "str | list[str] | None") -> str:
    return value if isinstance(value, str) else " ".join(value or ())


ORACLES: tuple[Callable[[str], Branch], ...] = (by_selectolax, by_html5lib)


def selector_of(element: Branch) -> str:
    """A selector that matches this element alone."""
    steps = []
    node = element
    while node.parent is not None:
        index = next(i for i, child in enumerate(node.parent.elements()) if child is node)
        steps.append(f"*:nth-child({index + 1})" if node.parent.parent is not None else ":root")
        node = node.parent
    return " > ".join(reversed(steps))


# -- verbs


def carry_out(operation: model.Operation, element: Branch) -> None:
    """A verb on an element, as a browser's DOM does it. HTML content is one element without children, or one with text."""
    parent = element.parent
    assert parent is not None
    index = next(i for i, child in enumerate(parent.children) if child is element)
    match operation:
        case model.Before(content=content):
            parent.add(*nodes_of(content), at=index)
        case model.After(content=content):
            parent.add(*nodes_of(content), at=index + 1)
        case model.Prepend(content=content):
            element.add(*nodes_of(content), at=0)
        case model.Append(content=content):
            element.add(*nodes_of(content))
        case model.SetInnerContent(content=content) | model.SetText(content=content):
            element.children.clear()
            element.add(*nodes_of(content))
        case model.Replace(content=content):
            del parent.children[index]
            parent.add(*nodes_of(content), at=index)
        case model.Remove():
            del parent.children[index]
        case model.RemoveAndKeepContent():
            del parent.children[index]
            parent.add(*element.children, at=index)
        case model.HideByStyle(target=target):
            _add_style(element, f"{target.selector}{{display:none!important}}")
        case model.SetTokens(target=target, tokens=tokens):
            _add_style(element, f"{target.selector}{{{';'.join(map(':'.join, tokens.items()))}}}")
        case model.OrderByStyle(target=target, order=order):
            numbered = [
                f":is({target.selector})>:is({child.selector}){{order:{place - len(order)}!important}}"
                for place, child in enumerate(order)
            ]
            _add_style(element, f":where({target.selector}){{display:grid}}{''.join(numbered)}")
        case _:
            _change_attributes(operation, element.attributes)


def _add_style(element: Branch, sheet: str) -> None:
    """The engine's own style block, at the end of the head."""
    style = Branch("style", {"data-layout-mutation": ""})
    style.add(Leaf("text", sheet))
    _root(element).at((0, 0)).add(style)


def _root(node: Branch) -> Branch:
    return node if node.parent is None else _root(node.parent)


def _change_attributes(operation: model.Operation, attributes: dict[str, str]) -> None:
    match operation:
        case model.SetAttribute(name=name, value=value):
            attributes[name.lower()] = value
        case model.RemoveAttribute(name=name):
            attributes.pop(name.lower(), None)
        case model.AddClass(names=names):
            have = attributes.get("class", "").split()
            attributes["class"] = " ".join(dict.fromkeys([*have, *names]))
        case model.RemoveClass(names=names):
            if "class" in attributes:
                attributes["class"] = " ".join(n for n in attributes["class"].split() if n not in names)
        case model.SetStyle(properties=properties):
            attributes["style"] = style_with(attributes.get("style", ""), properties)
        case model.SetParameters(parameters=parameters):
            attributes["href"] = link_with(attributes["href"], parameters)
        case _:
            raise AssertionError(f"no verb for the tree: {operation}")


def style_with(style: str, properties: Mapping[str, str]) -> str:
    """A `style` attribute with declarations set: those of the same name go, ours come last."""
    declared = read_style(style)
    wanted = [pair for pair in properties.items() if pair not in declared]
    kept = [pair for pair in declared if pair[0] not in dict(wanted)]
    return ";".join(":".join(pair) for pair in [*kept, *wanted])


def read_style(style: str) -> list[tuple[str, str]]:
    """(property, value) of each declaration, as an unrelated reading of CSS has them."""
    found = tinycss2.parse_blocks_contents(style, skip_comments=True, skip_whitespace=True)
    return [
        (one.name if one.name.startswith("--") else one.lower_name, _read_value(one))
        for one in found
        if isinstance(one, tinycss2.ast.Declaration)
    ]


def _read_value(one: tinycss2.ast.Declaration) -> str:
    return tinycss2.serialize(one.value).strip() + (" !important" if one.important else "")


def link_with(address: str, parameters: Mapping[str, str]) -> str:
    """A link with query parameters set, as `URLSearchParams.set` of the URL standard does it."""
    before, pairs, fragment = read_link(address)
    for name, value in parameters.items():
        first = next((index for index, pair in enumerate(pairs) if pair[0] == name), len(pairs))
        pairs = [*pairs[:first], (name, value), *(pair for pair in pairs[first + 1 :] if pair[0] != name)]
    return f"{before}?{urlencode(pairs)}{fragment}"


def read_link(address: str) -> tuple[str, list[tuple[str, str]], str]:
    """What stands before a link's query, its parameters, and the fragment with its sign."""
    rest, sign, fragment = address.strip().partition("#")
    before, _, query = rest.partition("?")
    return before, parse_qsl(query, keep_blank_values=True), sign + fragment


MARKUP = re.compile(r"<(?P<tag>[a-z]+)(?: class=\"?(?P<class>[a-z]+)\"?)?>(?:(?P<text>[^<]*)</(?P=tag)>)?")


def nodes_of(content: model.Content) -> "list[Branch | Leaf]":
    """Content as nodes; HTML is a series of elements such as `<b class="a">text</b>` or `<br>`, nothing deeper."""
    if content.text is not None:
        return [Leaf("text", content.text.replace("\r\n", "\n"))]
    nodes: list[Branch | Leaf] = []
    for match in MARKUP.finditer(content.html or ""):
        branch = Branch(match["tag"], {"class": match["class"]} if match["class"] else {})
        if match["text"]:
            branch.add(Leaf("text", match["text"]))
        nodes.append(branch)
    return nodes


def with_tidy_body(tree: Shape) -> Shape:
    """The same shape without white space at the top level of the body.

    What stands behind `</body>` moves to the body's end, and so comes to stand behind what was appended.
    """
    if tree[0] in ("text", "comment"):
        return tree
    tag, attributes, children = tree
    if tag == "body":
        stripped = (("text", child[1].strip(" \t\n\f\r")) if child[0] == "text" else child for child in children)
        return (tag, attributes, tuple(child for child in stripped if child != ("text", "")))
    return (tag, attributes, tuple(with_tidy_body(child) for child in children))


LISTS = frozenset("class rel rev headers accept-charset archive sandbox sizes accesskey".split())
"""Attributes whose value is a list of words."""


def with_classes_split(tree: Shape) -> Shape:
    """The same shape with what `class`, `style` and `href` say, not how: the rewriter keeps what the author wrote."""
    if tree[0] in ("text", "comment"):
        return tree
    tag, attributes, children = tree
    tidy = tuple((name, _said(name, value)) for name, value in attributes)
    return (tag, tidy, tuple(with_classes_split(child) for child in children))


def _said(name: str, value: str) -> object:
    if name in LISTS:
        return " ".join(value.split())
    if name == "style":
        return read_style(value)
    return read_link(value) if name == "href" else value
