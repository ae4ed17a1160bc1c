"""What makes a module itself, so that it is found again under another id, or on a page that was designed anew.

An element is known by several things that seldom all change at once: the names that people gave it, its words, its shape and
the place where it stands. Two are compared by the share that they have in common (Jaccard 1901, "Étude comparative de la
distribution florale"), weighed by how seldom a redesign changes it. Counterpart: `control_plane/moving` re-links what
names a module that is gone. Never: a guess between two; what is not clearly one is none.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from msgspec import Struct
from turbohtml import Element

from rules import limits
from rules.html.charset import Charset
from rules.html.document import Document
from rules.model import Module

LIKENESS_MIN = 0.55
"""From here on two elements may be one. Of the parts, names and words alone come to 0.65."""
LEAD_MIN = 0.1
"""So much more alike than every other candidate it has to be."""
WORDS_MAX = 200
"""Words of an element that are looked at: more of them tell nothing more."""
BELOW_MAX = 200
"""Elements inside it that are looked at."""
CANDIDATES_MAX = 3_000
"""Elements of a page that are compared; a page of more has the module among the first, or not at all."""

_WEIGHTS = {"names": 0.35, "words": 0.3, "shape": 0.2, "place": 0.15}
_NAMING = ("id", "role", "aria-label", "itemprop", "itemtype", "name", "alt")
_LANDMARKS = frozenset("main header footer nav aside section article form dialog body".split())
_BOXES = frozenset({"div", "span"})
_WORD = re.compile(r"\w+")
_GENERATED = re.compile(r"\d{3,}|^(?=.*\d)(?=.*[A-Z])[A-Za-z0-9_-]{5,}$|__[A-Za-z0-9]{5,}$|^(?:css|sc|jsx)-")
"""Classes and ids that tools make up; another build has others."""
_SPACE = re.compile(r"\s+")
_AROUND = re.compile(r"\s*([>+~,])\s*")
_QUOTED = re.compile(r"""=\s*(?:'([^'"\\]*)'|"([^'"\\]*)"|([\w-]+))\s*\]""")
_UTF_8 = Charset("UTF-8", "utf-8", 0)


class Fingerprint(Struct, frozen=True):
    """What is known of an element. Sets of texts, each with a letter for what it is."""

    tag: str
    names: frozenset[str]
    """Classes, ids, `data-` attributes and what else people call it by."""
    words: frozenset[str]
    """Its text, in lower case."""
    shape: frozenset[str]
    """The tags inside it, each with how many came before; boxes without a meaning do not count, designers nest them anew."""
    place: frozenset[str]
    """The landmarks around it, and what those are called."""


class Found(Struct, frozen=True):
    """An element that is the one that was looked for."""

    selector: str
    """Matches this element of the page and no other."""
    likeness: float
    """0 to 1."""
    fingerprint: Fingerprint


def fingerprint(element: Element, document: Document) -> Fingerprint:
    """What makes this element itself."""
    return Fingerprint(
        tag=element.tag,
        names=frozenset(_names(element, document)),
        words=frozenset(islice(_words(element, document), WORDS_MAX)),
        shape=frozenset(islice(_shape(element), BELOW_MAX)),
        place=frozenset(_place(element, document)),
    )


def likeness(one: Fingerprint, other: Fingerprint) -> float:
    """How alike they are: 1 for all in common, 0 for nothing. What neither has does not count."""
    weight = total = 0.0
    for name, part in _WEIGHTS.items():
        left, right = getattr(one, name), getattr(other, name)
        if left or right:
            weight += part
            total += part * len(left & right) / len(left | right)
    if not weight:
        return 1.0 if one.tag == other.tag else 0.0
    return round(total / weight * (1.0 if one.tag == other.tag else 0.9), 4)


def find_again(known: Fingerprint, document: Document) -> Found | None:
    """The element of a page that this is the fingerprint of; None where there is none, or more than one might be."""
    best, second = _best(known, document)
    if best is None or best[0] < LIKENESS_MIN or best[0] - second < LEAD_MIN:
        return None
    element = best[1]
    selector = selector_of(element, document)
    return None if selector is None else Found(selector, best[0], fingerprint(element, document))


def selector_of(element: Element, document: Document) -> str | None:
    """A selector that matches this element alone, by names before places; None where it can't be written."""
    for selector in _selectors(element):
        if selector.isascii() and document.select(selector) == [element]:
            return selector
    return None


def is_same_module(one: Module, other: Module) -> bool:
    """Whether two modules are one under two ids: they stand for the same elements, and their templates, if any, are alike."""
    if (one.template == "") != (other.template == ""):
        return False
    if one.template and likeness(_of_template(one.template), _of_template(other.template)) < LIKENESS_MIN:
        return False
    if normal_selector(one) == normal_selector(other):
        return True
    # Each is found by its own id where it says nothing else: then the template has to say it, to the letter.
    implied = not one.selector and not other.selector
    return implied and one.template != "" and one.template == other.template


def normal_selector(module: Module) -> str:
    """Where a module is on a page, written one way: single spaces, none around combinators, double quotes."""
    selector = _SPACE.sub(" ", module.selector).strip() or f'[data-module="{module.id}"]'
    return _QUOTED.sub(_in_double_quotes, _AROUND.sub(r"\1", selector))


def _in_double_quotes(match: re.Match[str]) -> str:
    return f'="{next(group for group in match.groups() if group is not None)}"]'


def _best(known: Fingerprint, document: Document) -> tuple[tuple[float, Element] | None, float]:
    """The element most alike, and how alike the next one is that neither contains it nor stands in it."""
    scored = [(likeness(known, fingerprint(one, document)), one) for one in _candidates(known, document)]
    if not scored:
        return None, 0.0
    best = max(scored, key=lambda pair: pair[0])
    around = set(map(id, best[1].ancestors))
    others = (
        score
        for score, one in scored
        if one is not best[1] and id(one) not in around and all(up is not best[1] for up in one.ancestors)
    )
    return best, max(others, default=0.0)


def _candidates(known: Fingerprint, document: Document) -> Iterator[Element]:
    """Elements of the same tag, or called by one of its names."""
    seen = islice(document.root.find_all(), limits.TAGS_MAX)
    fit = (one for one in seen if one.tag == known.tag or not known.names.isdisjoint(_names(one, document)))
    return islice(fit, CANDIDATES_MAX)


def _names(element: Element, document: Document) -> Iterator[str]:
    for name, value in element.attrs.items():
        if name == "class":
            for one in str(_joined(value)).split():
                if not _GENERATED.search(one):
                    yield f".{_told(one, document)}"
        elif name in _NAMING or name.startswith("data-"):
            text = _told(str(_joined(value)), document)
            if len(text) <= limits.SELECTOR_CHARACTERS_MAX and not _GENERATED.search(text):
                yield f"{name}={text}"


def _words(element: Element, document: Document) -> Iterator[str]:
    return (match.group().lower() for match in _WORD.finditer(_told(element.text, document)))


def _shape(element: Element) -> Iterator[str]:
    counted: Counter[str] = Counter()
    for one in element.find_all():
        if one.tag not in _BOXES:
            counted[one.tag] += 1
            yield f"{one.tag} {counted[one.tag]}"


def _place(element: Element, document: Document) -> Iterator[str]:
    for up in element.ancestors:
        if isinstance(up, Element) and up.tag in _LANDMARKS:
            yield up.tag
            yield from (f"{up.tag} {name}" for name in _names(up, document))


def _selectors(element: Element) -> Iterator[str]:
    """Selectors that may match this element alone, the most lasting first."""
    for name, value in element.attrs.items():
        text = str(_joined(value))
        if name in ("data-module", "id") and text.isascii() and not {'"', "\\", "\n"} & set(text):
            yield f'[{name}="{text}"]'
    classes = [
        one for one in str(_joined(element.attrs.get("class", ""))).split() if re.fullmatch(r"[a-zA-Z][\w-]*", one)
    ]
    lasting = [one for one in classes if not _GENERATED.search(one)]
    yield from (f"{element.tag}.{one}" for one in lasting)
    if len(lasting) > 1:
        yield element.tag + "".join(f".{one}" for one in lasting)
    yield _path(element)


def _path(element: Element) -> str:
    """Where an element stands, from the body down."""
    steps: list[str] = []
    at: Element = element
    while isinstance(at.parent, Element):
        alike = [one for one in at.parent.children if isinstance(one, Element) and one.tag == at.tag]
        nth = next(number for number, one in enumerate(alike, 1) if one is at)
        steps.append(at.tag if len(alike) == 1 else f"{at.tag}:nth-of-type({nth})")
        at = at.parent
    return " > ".join(reversed(steps)) or at.tag


def _of_template(template: str) -> Fingerprint:
    """A template's elements as if they were one."""
    document = Document(f"<body>{template}</body>".encode(), _UTF_8)
    body = document.root.select_one("body")
    assert body is not None
    inside = [fingerprint(one, document) for one in body.find_all()]
    return Fingerprint(
        tag="",
        names=frozenset().union(*(one.names for one in inside)),
        words=frozenset(islice(_words(body, document), WORDS_MAX)),
        shape=frozenset(islice(_shape(body), BELOW_MAX)),
        place=frozenset(),
    )


def _joined(value: object) -> object:
    """An attribute's value; the parser gives classes as a list."""
    return " ".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else value or ""


def _told(text: str, document: Document) -> str:
    """Text out of the document's Latin-1 window, as people read it."""
    codec = "utf-8" if document.charset.codec == "ascii" else document.charset.codec
    try:
        return text.encode("latin-1").decode(codec, "replace")
    except (UnicodeError, LookupError):  # written with character references
        return text
