"""Several operations at once, most of them moves, on pages by seed: what comes out is what a browser's DOM would be.

Pages are ordinary ones: lists, tables, sections, forms, with and without the end tags that HTML lets one leave out, with
text, comments and white space between. Each element has an id. The judge is `tests.moved_trees` on unrelated parsers.
"""

import random
from collections import Counter
from functools import partial

import pytest

from rules import model
from rules.group import Group
from rules.html import PassedThrough, Rewritten, apply_groups, rewrite
from rules.html.by_style import suited
from rules.html.charset import Charset
from rules.html.document import Document
from rules.html.frameworks import roots_of
from rules.operations import targets_of
from rules.reasons import Reason
from tests.moved_trees import PLACED, carry_out_all, carry_out_moves
from tests.properties.judges import readable
from tests.shared_folder import reads_shared_folder, shared_files
from tests.trees import (
    Branch,
    by_html5lib,
    by_selectolax,
    by_turbohtml,
    selector_of,
    shape,
    with_classes_split,
)

INSIDE = {
    "main": ("section", "ul", "h1", "p", "table", "div", "select", "a"),
    "section": ("h1", "p", "ul", "pre", "form", "div"),
    "div": ("p", "div", "span", "ul", "table", "img"),
    "ul": ("li",),
    "li": ("p", "span", "ul", "em"),
    "h1": ("span", "em"),
    "p": ("span", "em", "br", "a"),
    "a": ("span", "em"),
    "span": ("em", "br"),
    "em": ("span",),
    "pre": ("span",),
    "form": ("p", "input", "button"),
    "button": ("span",),
    "table": ("tbody", "caption"),
    "tbody": ("tr",),
    "caption": ("span",),
    "tr": ("td",),
    "td": ("p", "span", "div"),
    "select": ("option",),
    "option": (),
}
VOID = ("br", "input", "img")
MAY_END_OPEN = ("li", "td", "tr", "option", "p")
NO_TEXT = ("ul", "table", "tbody", "tr", "select")


class Pages:
    """Makes one page and operations on it after another, always the same for one seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.ids: list[str] = []
        self.plain: list[str] = []
        """Ids outside of `<select>`, in which parsers of different age keep different content."""

    def page(self) -> str:
        self.ids, self.plain = [], []
        self.open = self.chance.random() < 0.4
        blocks = "\n".join(self._element("main", 0) for _ in range(self.chance.randint(1, 2)))
        return f"<!doctype html><html><head><title>t</title></head><body>{blocks}</body></html>"

    def _element(self, tag: str, depth: int) -> str:
        self.ids.append(f"e{len(self.ids)}")
        if tag not in ("select", "option"):
            self.plain.append(self.ids[-1])
        opened = f'<{tag} id="{self.ids[-1]}">'
        if tag in VOID:
            return opened
        inside = ["text"] if tag == "pre" else []  # html5lib takes a leading newline in a table for content
        kinds = INSIDE[tag] if depth < 5 and len(self.ids) < 40 else ()
        for _ in range(self.chance.randint(0, 4) if kinds else 0):
            inside.append(self._between(tag))
            inside.append(self._element(self.chance.choice(kinds), depth + 1))
        inside.append(self._between(tag))
        closed = "" if self.open and tag in MAY_END_OPEN and self.chance.random() < 0.6 else f"</{tag}>"
        return f"{opened}{''.join(inside)}{closed}"

    def _between(self, tag: str) -> str:
        allowed = ["", "", "\n", "\n  ", "<!--c-->"]
        return self.chance.choice(allowed if tag in NO_TEXT else [*allowed, "text", "a &amp; b "])

    def target(self) -> model.Target:
        return model.Target(selector=f"#{self.chance.choice(self.ids)}")

    def operation(self, page: str) -> model.Operation:
        verbs = (model.MoveBefore, model.MoveAfter, model.MovePrepend, model.MoveAppend)
        kind = self.chance.random()
        if kind < 0.5:
            return self.chance.choice(verbs)(target=self.target(), anchor=self.target())
        if kind < 0.75:
            return self._order(page)
        html = model.Content(html=self.chance.choice(["<b>n</b>", "<em>o</em>"]))
        place = model.Target(selector=f"#{self.chance.choice(self.plain)}")
        inserting = (model.Before, model.After, model.Prepend, model.Append, model.Replace, model.SetInnerContent)
        return self.chance.choice(
            [
                *(verb(target=place, content=html) for verb in inserting),
                model.Remove(target=self.target()),
                model.RemoveAndKeepContent(target=self.target()),
                model.SetAttribute(target=self.target(), name="title", value="t"),
                model.SetText(target=self.target(), content=model.Content(text="w & x")),
            ]
        )

    def _order(self, page: str) -> model.Operation:
        """Children of one element in any order, now and then with others."""
        containers = [element for element in by_selectolax(page).walk() if len(element.elements()) > 1]
        container = self.chance.choice([one for one in containers if "id" in one.attributes] or containers)
        ids = [child.attributes["id"] for child in container.elements() if "id" in child.attributes]
        listed = self.chance.sample(ids, self.chance.randint(min(1, len(ids)), len(ids)))
        order = [model.Target(selector=f"#{one}") for one in listed]
        adopt = self.chance.random() < 0.4
        others = [self.target() for _ in range(self.chance.randint(0, 2))] if adopt else []
        order = self.chance.sample([*order, *others], len(order) + len(others)) or [self.target()]
        leaving = [self.target()] if self.chance.random() < 0.2 else []
        target = model.Target(selector=f"#{container.attributes.get('id', 'none')}")
        return model.ReorderChildren(target=target, order=order, adopt=adopt, leaving=leaving)


PAGES_PER_SEED = 150


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_moves_are_what_a_browser_would_do(seed: int) -> None:
    told = judged(seed, PAGES_PER_SEED)
    assert told["moved"] > PAGES_PER_SEED, told
    assert told["unproven"] <= told["moved"] / 10, told


def judged(seed: int, count: int) -> Counter[str]:
    """Make pages and operations, and hold what the rewriter does against the judge."""
    pages, told = Pages(seed), Counter[str]()
    for number in range(count):
        page = pages.page()
        operations = [pages.operation(page) for _ in range(pages.chance.randint(1, 6))]
        groups = [Group(str(index), (one,)) for index, one in enumerate(operations)]
        result = apply_groups(page.encode(), groups, charset="utf-8")
        applied = [operations[i] for i, one in enumerate(result.outcomes) if one.reason is Reason.APPLIED]
        told["moved"] += sum(isinstance(one, PLACED) for one in applied)
        told["unproven"] += sum("parser" in one.detail for one in result.outcomes)
        for oracle in (by_selectolax, by_html5lib) if number % 5 == 0 else (by_selectolax,):
            edited = oracle(page)
            carry_out_all(applied, edited)
            rewritten = result.page.decode() if isinstance(result, Rewritten) else page
            expected, actual = with_classes_split(shape(edited)), with_classes_split(shape(oracle(rewritten)))
            assert expected == actual, f"{page}\nbecame\n{rewritten}\nby\n" + "\n".join(map(str, applied))
        assert isinstance(result, PassedThrough) == (not applied)
    return told


# -- real pages

REAL_PAGES = 30
REAL_PAGE_BYTES_MAX = 500_000
MOVES_PER_PAGE = 8
ELEMENTS_MIN = 20


@reads_shared_folder
def test_moves_on_real_pages_are_what_a_browser_would_do() -> None:
    told = judged_on_real_pages(1, REAL_PAGES)
    assert not told or told["applied"] > told.total() / 3, told


def judged_on_real_pages(seed: int, count: int) -> Counter[str]:
    """Moves among elements of real pages that the judge reads as the rewriter's parser does."""
    chance, told = random.Random(seed), Counter[str]()
    files = [path for path in shared_files("corpus/pages", "*.html") if path.stat().st_size <= REAL_PAGE_BYTES_MAX]
    for path in chance.sample(files, min(count, len(files))):
        page = readable(path.read_bytes())
        tree = by_turbohtml(page)
        judge = by_selectolax(page)
        if shape(tree) != shape(judge) or sum(1 for _ in tree.walk()) < ELEMENTS_MIN:
            continue
        document = Document(page.encode(), Charset("UTF-8", "utf-8", 0))
        roots = roots_of(document)
        asked = [_on_real_page(chance, tree) for _ in range(MOVES_PER_PAGE)]
        operations = [one for one in asked if suited(document, roots, one) is one]  # others are done by style
        result = rewrite(page.encode(), operations, charset="utf-8")
        told.update(str(outcome.reason) for outcome in result.outcomes)
        named = {selector: judge.at(found) for selector, found in _named(operations, tree).items()}
        applied = [operations[i] for i, one in enumerate(result.outcomes) if one.reason is Reason.APPLIED]
        found = [(one, named[one.target.selector or ""]) for one in applied]
        carry_out_moves(found, partial(_resolve, named))
        rewritten = result.page.decode() if isinstance(result, Rewritten) else page
        assert shape(judge) == shape(by_selectolax(rewritten)), (path.name, applied)
    return told


def _resolve(named: dict[str, Branch], target: model.Target) -> list[Branch]:
    return [named[target.selector or ""]]


def _on_real_page(chance: random.Random, tree: Branch) -> model.Operation:
    """A move to an element of the same kind, where it mostly fits, or the children of one in another order."""
    body = next(element for element in tree.walk() if element.tag == "body")
    elements = list(body.walk())
    element = chance.choice(elements)
    target = model.Target(selector=selector_of(element))
    containers = [one for one in elements if len(one.elements()) > 1]
    if containers and chance.random() < 0.3:
        container = chance.choice(containers)
        listed = chance.sample(container.elements(), chance.randint(1, min(5, len(container.elements()))))
        order = [model.Target(selector=selector_of(one)) for one in listed]
        return model.ReorderChildren(target=model.Target(selector=selector_of(container)), order=order)
    alike = [one for one in elements if one.tag == element.tag and one is not element]
    anchor = chance.choice(alike or elements)
    verb = chance.choice((model.MoveBefore, model.MoveAfter))
    return verb(target=target, anchor=model.Target(selector=selector_of(anchor)))


def _named(operations: list[model.Operation], tree: Branch) -> dict[str, tuple[int, ...]]:
    """Selector -> path, for each that the operations name."""
    wanted = {target.selector for operation in operations for _, target in targets_of(operation)}
    return {selector: one.path() for one in tree.walk() if (selector := selector_of(one)) in wanted}
