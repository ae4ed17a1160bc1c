"""Which frameworks will hydrate a page, and where: their roots, and the markers that they count on.

A framework takes over what the server rendered and expects to find exactly that. Inside a root an edit may be undone, or
make the framework render everything again; outside it never looks.
Counterpart: `rules.lint` warns about edits inside a root, `rules.html.island` has the browser script wait for it,
`rules.html.operations` refuses what would tear markers.
Never: a page parsed for this alone where none of the needles is in its bytes.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from turbohtml import Comment, Element, Node, Text

from rules import model
from rules.html.document import Document
from rules.model import Operation


class Framework(StrEnum):
    """What hydrates; the value is its name."""

    REACT = "React"
    NEXT = "Next"
    VUE = "Vue"
    NUXT = "Nuxt"
    ANGULAR = "Angular"
    SVELTE = "Svelte"
    ASTRO = "Astro"


class Root(NamedTuple):
    """An element that a framework hydrates, with all that is in it."""

    framework: Framework
    element: Element


class _Sign(NamedTuple):
    """How a framework gives itself away: bytes of the page, and the elements that are then its roots."""

    framework: Framework
    needles: tuple[bytes, ...]
    roots: Callable[[Document], list[Element]]
    is_guess: bool = False
    """Not asked where a surer sign has found something."""


_USUAL_NAMES = ("root", "app", "__next")


def _by(selector: str) -> Callable[[Document], list[Element]]:
    return lambda document: document.select(selector)


def _by_comment(*texts: str, between_texts: bool = False) -> Callable[[Document], list[Element]]:
    """The outermost container of a usual name round such comments, or the body."""

    def found(document: Document) -> list[Element]:
        comments = [node for node in document.root.descendants if isinstance(node, Comment) and node.data in texts]
        if between_texts:
            comments = [node for node in comments if isinstance(node.previous_sibling, Text)]
        return [element for node in comments for element in _container(node)]

    return found


def _container(node: Comment) -> list[Element]:
    above = [ancestor for ancestor in node.ancestors if isinstance(ancestor, Element)]
    named = [element for element in above if element.attrs.get("id") in _USUAL_NAMES]
    bodies = [element for element in above if element.tag == "body"]
    return (named or bodies)[-1:]


def _mounted(selector: str) -> Callable[[Document], list[Element]]:
    """A container of the usual name that the server filled, on a page with scripts that could hydrate it."""

    def found(document: Document) -> list[Element]:
        if document.root.select_one("script[src], script[type=module]") is None:
            return []
        return [
            element for element in document.select(selector) if any(isinstance(c, Element) for c in element.children)
        ]

    return found


_SIGNS = (
    _Sign(Framework.NEXT, (b"self.__next_f",), _by("html")),
    _Sign(Framework.NEXT, (b"__NEXT_DATA__",), _by("#__next")),
    _Sign(Framework.REACT, (b"__remixContext", b"__reactRouterContext"), _by("html")),
    _Sign(Framework.REACT, (b"data-reactroot", b"___gatsby"), _by("[data-reactroot], #___gatsby")),
    _Sign(Framework.NUXT, (b"__nuxt", b"__NUXT"), _by("#__nuxt")),
    _Sign(Framework.VUE, (b"data-server-rendered", b"data-v-app"), _by("[data-server-rendered], [data-v-app]")),
    _Sign(
        Framework.ANGULAR,
        (b"ng-version", b"ng-server-context", b"ngh="),
        _by("[ng-version], [ng-server-context], [ngh]"),
    ),
    _Sign(Framework.SVELTE, (b"data-sveltekit-", b"__sveltekit", b"svelte-announcer"), _by("body")),
    _Sign(Framework.ASTRO, (b"<astro-island",), _by("astro-island")),
    _Sign(
        Framework.REACT,
        (b"<!--$-->", b"<!--$?-->", b"<!--$!-->", b'<template id="B:'),
        _by_comment("$", "$?", "$!"),
        is_guess=True,
    ),
    _Sign(Framework.REACT, (b"<!-- -->",), _by_comment(" ", between_texts=True), is_guess=True),
    _Sign(Framework.VUE, (b"<!--[-->",), _by_comment("["), is_guess=True),
    _Sign(Framework.REACT, (b'id="root"', b"id=root", b"id='root'"), _mounted("#root"), is_guess=True),
    _Sign(Framework.VUE, (b'id="app"', b"id=app", b"id='app'"), _mounted("#app"), is_guess=True),
)
"""From the certain to the likely; an element has the first framework that claims it or what it stands in."""


INERT_SIGN = re.compile(
    rb"__|svelte|data-(?:reactroot|server-rendered|v-app)|ng-(?:version|server-context)|ngh\Z|\A(?:root|app)"
)
"""What of the needles a run of letters and other inert bytes can hold: with one of these the page may have other roots."""


def roots_of(document: Document) -> tuple[Root, ...]:
    """The outermost hydrated elements of a page; () for a page that no known framework hydrates."""
    roots: list[Root] = []
    for sign in _SIGNS:
        if (sign.is_guess and roots) or not any(needle in document.page for needle in sign.needles):
            continue
        for element in sign.roots(document):
            if not any(_is_within(element, root.element) for root in roots):
                roots.append(Root(sign.framework, element))
    return tuple(root for root in roots if not any(_is_below(root.element, other.element) for other in roots))


_BESIDE = (model.Before, model.After, model.Replace, model.Remove, model.MoveBefore, model.MoveAfter)
"""Verbs that change the children of the element's parent; of the anchor's, if there is one."""
_MOVES = (model.MoveBefore, model.MoveAfter, model.MovePrepend, model.MoveAppend)


def framework_of(document: Document, roots: tuple[Root, ...], operation: Operation) -> Framework | None:
    """The framework that hydrates what an operation changes, if any does to any of its elements."""
    if not roots:
        return None
    elements = document.select(operation.target.selector or "")
    if isinstance(operation, _MOVES):
        anchors = document.select(operation.anchor.selector or "")[:1]
        changed = [*(element.parent for element in elements), *(_changed(operation, anchor) for anchor in anchors)]
    else:
        changed = [_changed(operation, element) for element in elements]
    for element in changed:
        for root in roots:
            if isinstance(element, Element) and _is_within(element, root.element):
                return root.framework
    return None


def _changed(operation: Operation, element: Element) -> Node | None:
    return element.parent if isinstance(operation, _BESIDE) else element


def _is_within(element: Element, root: Element) -> bool:
    return element is root or _is_below(element, root)


def _is_below(element: Element, root: Element) -> bool:
    return any(ancestor is root for ancestor in element.ancestors)


# -- markers

_COMMENT = re.compile(r"<!--([^<>]{0,8})-->")
_OPENING = frozenset({"$", "$?", "$!", "$~", "&", "[", "[!"})
_CLOSING = frozenset({"/$", "/&", "]"})
_PENDING = frozenset({"$?", "$~"})
_PLACEHOLDERS = "[id^='B:'], [id^='P:'], [id^='S:']"
_PLACEHOLDER_ID = re.compile(r"[BPS]:[0-9A-Za-z_:-]+")


def tears_markers(source: str, element: Element) -> bool:
    """Whether a range in an element, that is to be replaced, moved or left out, holds markers that a framework would miss.

    Markers stand in pairs, `<!--$-->` with `<!--/$-->` and `<!--[-->` with `<!--]-->`. Content that React still streams
    is held by a `<template id="B:…">` or waits in `<div hidden id="S:…">` for a script that comes later.
    """
    depth = 0
    for match in _COMMENT.finditer(source) if "<!--" in source else ():
        depth += (match[1] in _OPENING) - (match[1] in _CLOSING)
        if depth < 0 or match[1] in _PENDING:
            return True
    return depth != 0 or (":" in source and any(map(is_placeholder, element.select(_PLACEHOLDERS))))


def is_placeholder(element: Element) -> bool:
    """Whether an element itself is one of React's: its place among its siblings is structure."""
    identifier = element.attrs.get("id")
    if not isinstance(identifier, str) or identifier[1:2] != ":" or not _PLACEHOLDER_ID.fullmatch(identifier):
        return False
    return element.tag == "template" or "hidden" in element.attrs
