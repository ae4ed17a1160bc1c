"""Every verb, tried on elements of whole pages: which operation, on which elements, with which content.

`VERBS` has one line for each verb. `WRITTEN_IN` and `NOT_ON` say what an author could mean: a list item in a list, no
paragraph in a script. They go by what HTML is for, never by what the rewriter refuses; only what they leave counts
when refusals are counted.
Counterparts: `tests.trees` carries a verb out on a tree, `tests.properties.exactness` looks at the bytes.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from rules import model
from rules.operations import Content, Operation, Target
from tests.trees import Branch, selector_of

ELEMENTS_PER_PAGE_MAX = 20
"""Elements of a page that each verb is tried on."""
CHILDREN_MAX = 5
"""Children that are put into another order, of those that an element has."""

STRUCTURE = frozenset("html head body".split())
_LEADS_TO_A_PAGE = re.compile(r"https?:|/|\?|[\w.-]+(?:[/?#]|$)")
VOID = frozenset("area base br col embed hr img input link meta param source track wbr frame".split())
RAW_TEXT = frozenset("script style xmp iframe noembed noframes noscript plaintext".split())
PLAIN_TEXT = frozenset({"title", "textarea"})
TABLE_PARTS = frozenset("table caption colgroup col thead tbody tfoot tr td th".split())
RUNS_OR_LOADS = frozenset("script base object embed applet frameset frame".split())
"""Authors may not reach what a page runs, nor where everything else comes from (docs/adr/0008)."""
READS_OR_RUNS = frozenset("type charset shadowrootmode encoding srcdoc".split())

WRITTEN_IN: Mapping[str, str] = {
    "html": "",
    "head": "<meta class=n>",
    "ul": "<li>n</li>",
    "ol": "<li>n</li>",
    "dl": "<dt>n</dt>",
    "table": "<tbody></tbody>",
    "thead": "<tr></tr>",
    "tbody": "<tr></tr>",
    "tfoot": "<tr></tr>",
    "tr": "<td>n</td>",
    "colgroup": "<col>",
    "select": "<option>n</option>",
    "optgroup": "<option>n</option>",
    "option": "",
    "svg": "<g></g>",
    "picture": "<source>",
    "video": "<source>",
    "audio": "<source>",
    "object": "<param>",
    "frameset": "<frame>",
    **dict.fromkeys(
        "body div section article main aside header footer form td th li dd blockquote".split(), "<p>n</p>"
    ),
    **dict.fromkeys(VOID | RAW_TEXT | PLAIN_TEXT, ""),
}
"""What an author writes into an element, by its name; nothing (and so no operation) where it is empty."""
ELSEWHERE, IN_SVG = "<i class=n>n</i>", "<g></g>"
GROUPS_OF_SVG = frozenset("svg g defs symbol".split())

NO_MARKUP = VOID | RAW_TEXT | PLAIN_TEXT
NO_TEXT = (
    STRUCTURE
    | VOID
    | RAW_TEXT
    | (TABLE_PARTS - {"td", "th", "caption"})
    | frozenset("ul ol dl select optgroup picture".split())
)
NO_BESIDE = STRUCTURE
NOT_ON: Mapping[type, frozenset[str]] = {
    model.Before: NO_BESIDE,
    model.After: NO_BESIDE,
    model.Replace: NO_BESIDE,
    model.Remove: STRUCTURE,
    model.RemoveAndKeepContent: STRUCTURE | NO_MARKUP | TABLE_PARTS | frozenset("select optgroup option svg".split()),
    model.Prepend: NO_MARKUP | {"html"},
    model.Append: NO_MARKUP | {"html"},
    model.SetInnerContent: NO_MARKUP | STRUCTURE,
    model.SetText: NO_TEXT,
    model.SetAttribute: RUNS_OR_LOADS,
    model.RemoveAttribute: RUNS_OR_LOADS,
    model.AddClass: RUNS_OR_LOADS,
    model.RemoveClass: RUNS_OR_LOADS,
    model.SetStyle: RUNS_OR_LOADS,
    model.MoveBefore: STRUCTURE,
    model.MoveAfter: STRUCTURE,
    model.MovePrepend: STRUCTURE,
    model.MoveAppend: STRUCTURE,
    model.ReorderChildren: frozenset({"html"}),
}
"""Elements on which an author could not mean a verb."""


class Try(NamedTuple):
    """One operation on one element of a page."""

    verb: str
    element: Branch
    operation: Operation


Writing = Callable[[Branch | None], Content | None]
"""What is written inside an element; None for nothing."""
Maker = Callable[[Target, Branch, Writing], Operation | None]


def _inside(verb: Callable[..., Operation]) -> Maker:
    return lambda target, element, writing: _with(verb, target, writing(element))


def _beside(verb: Callable[..., Operation]) -> Maker:
    return lambda target, element, writing: _with(verb, target, writing(element.parent))


def _with(verb: Callable[..., Operation], target: Target, content: Content | None) -> Operation | None:
    return None if content is None else verb(target=target, content=content)


def _own_attribute(element: Branch) -> str | None:
    """The first plain attribute that the element has, that runs nothing, and does not say how the page is to be read."""
    plain = (name for name in element.attributes if name.islower() and name.replace("-", "").isalpha())
    return next((name for name in plain if not name.startswith("on") and name not in READS_OR_RUNS), None)


def _change_attribute(target: Target, element: Branch, _: Writing) -> Operation | None:
    name = _own_attribute(element)
    return None if name is None else model.SetAttribute(target=target, name=name, value='v"<&')


def _remove_attribute(target: Target, element: Branch, _: Writing) -> Operation | None:
    name = _own_attribute(element)
    return None if name is None else model.RemoveAttribute(target=target, name=name)


def _remove_class(target: Target, element: Branch, _: Writing) -> Operation | None:
    names = element.attributes.get("class", "").split()
    return model.RemoveClass(target=target, names=names[:1]) if names else None


def _link(target: Target, element: Branch, _: Writing) -> Operation | None:
    """Only what leads to a page has parameters: no fragment, no telephone number."""
    leads = element.tag in ("a", "area") and _LEADS_TO_A_PAGE.match(element.attributes.get("href", "")) is not None
    return model.SetParameters(target=target, parameters={"n": "a b"}) if leads else None


def _to_its_like(verb: Callable[..., Operation]) -> Maker:
    """Moved to another element of its name."""
    return lambda target, element, _: _anchored(verb, target, element, element.tag)


def _into_like_of_parent(verb: Callable[..., Operation]) -> Maker:
    """Moved into another element of its parent's name."""
    return lambda target, element, _: _anchored(verb, target, element, element.parent.tag if element.parent else "")


def _anchored(verb: Callable[..., Operation], target: Target, element: Branch, tag: str) -> Operation | None:
    """A move to the last element of a name that neither holds the element nor stands in it."""
    page = [*_ancestors(element)][-1]
    kept = {id(one) for one in (element, *_ancestors(element), *element.walk())}
    anchors = [one for one in page.walk() if one.tag == tag and id(one) not in kept]
    return verb(target=target, anchor=Target(selector=selector_of(anchors[-1]))) if anchors else None


def _reversed(verb: Callable[..., Operation]) -> Maker:
    def made(target: Target, element: Branch, _: Writing) -> Operation | None:
        order = [Target(selector=selector_of(child)) for child in reversed(element.elements()[:CHILDREN_MAX])]
        return verb(target=target, order=order) if len(order) > 1 else None

    return made


VERBS: Mapping[str, Maker] = {
    "before": _beside(model.Before),
    "after": _beside(model.After),
    "prepend": _inside(model.Prepend),
    "append": _inside(model.Append),
    "setInnerContent": _inside(model.SetInnerContent),
    "replace": _beside(model.Replace),
    "setText": lambda target, _, __: model.SetText(target=target, content=Content(text='N & <new> "t"')),
    "remove": lambda target, _, __: model.Remove(target=target),
    "removeAndKeepContent": lambda target, _, __: model.RemoveAndKeepContent(target=target),
    "setAttribute": lambda target, _, __: model.SetAttribute(target=target, name="data-n", value='v"<&'),
    "setAttribute that is there": _change_attribute,
    "removeAttribute": _remove_attribute,
    "addClass": lambda target, _, __: model.AddClass(target=target, names=["n1", "n2"]),
    "removeClass": _remove_class,
    "setStyle": lambda target, _, __: model.SetStyle(target=target, properties={"color": "red", "--n": "'&'"}),
    "setParameters": _link,
    "setTokens": lambda _, __, ___: model.SetTokens(tokens={"--n": "1px"}),
    "hideByStyle": lambda target, _, __: model.HideByStyle(target=target),
    "moveBefore": _to_its_like(model.MoveBefore),
    "moveAfter": _to_its_like(model.MoveAfter),
    "movePrepend": _into_like_of_parent(model.MovePrepend),
    "moveAppend": _into_like_of_parent(model.MoveAppend),
    "reorderChildren": _reversed(model.ReorderChildren),
    "orderByStyle": _reversed(model.OrderByStyle),
}
"""Verb -> the operation to try on an element; None where it has nothing to do."""


def tries(page: Branch, seed: str, writing: Writing, *, share: float) -> Iterator[Try]:
    """Each verb on up to 20 elements of a page, chosen by the seed; of all that a seeded `share`."""
    choose = random.Random(seed)
    elements = list(page.walk())
    for verb, make in VERBS.items():
        for element in choose.sample(elements, min(ELEMENTS_PER_PAGE_MAX, len(elements))):
            operation = make(Target(selector=selector_of(element)), element, writing)
            if choose.random() < share and operation is not None:
                yield Try(verb, element, operation)


def an_author_could_mean(one: Try) -> bool:
    """Whether the verb makes sense on the element at all (`NOT_ON`), and the element is no one else's."""
    element = one.element
    if element.tag in NOT_ON.get(type(one.operation), ()):
        return False
    if "integrity" in element.attributes or "data-turbo-track" in element.attributes:
        return False  # something else has taken the measure of it
    return not (element.tag == "meta" and "http-equiv" in element.attributes)  # it speaks for the whole page


def fitting(element: Branch | None) -> Content | None:
    """What an author would write inside an element: see `WRITTEN_IN`."""
    if element is None or element.parent is None:
        return None
    if element.tag in GROUPS_OF_SVG or any(above.tag in ("svg", "math") for above in _ancestors(element)):
        return Content(html=IN_SVG) if element.tag in GROUPS_OF_SVG else None
    written = WRITTEN_IN.get(element.tag, ELSEWHERE)
    return Content(html=written) if written else None


def _ancestors(element: Branch) -> Iterator[Branch]:
    while element.parent is not None:
        element = element.parent
        yield element
