"""What an unrelated parser says of a rewritten page: is it the page with that verb carried out, and nothing else?

A judge only counts where it reads the original as the rewriter's parser does (`Judge.oracles` is empty where none does).
Counterparts: `tests.trees` has the parsers and the verbs, `tests.properties.verbs` what is tried.
"""

import re
from collections.abc import Callable, Sequence

from rules import model
from rules.operations import Target, targets_of
from tests.moved_trees import PLACED, carry_out_moves
from tests.properties.verbs import Try
from tests.trees import NOSCRIPT, Branch, Shape, by_turbohtml, carry_out, shape, with_classes_split, with_tidy_body

Oracle = Callable[[str], Branch]


def readable(page: bytes) -> str:
    """A page as text for the judges, without what is inside `<noscript>`: they don't run scripts, browsers do."""
    return NOSCRIPT.sub(rb"\1\2", page.removeprefix(b"\xef\xbb\xbf")).decode("utf-8", "replace").replace("\0", "")


_STEP = re.compile(r"nth-child\((\d+)\)")


def selected(page: Branch, target: Target) -> Branch:
    """The element that a selector of `tests.trees.selector_of` names."""
    steps = _STEP.findall(target.selector or "")
    return page.at([0, *(int(step) - 1 for step in steps)])


class Judge:
    """One page, as text, and the parsers that may judge what becomes of it."""

    def __init__(self, page: str, oracles: Sequence[Oracle]) -> None:
        self.page = page
        self.tree = by_turbohtml(page)
        """The page as the rewriter's parser reads it: elements are chosen here."""
        self._oracles = oracles
        self._agreeing: list[Oracle] | None = None

    @property
    def oracles(self) -> list[Oracle]:
        """Those that read the page as the rewriter's parser does."""
        if self._agreeing is None:
            tree = with_classes_split(shape(self.tree))
            self._agreeing = [oracle for oracle in self._oracles if _reads(oracle, self.page) == tree]
        return self._agreeing

    def agrees(self, one: Try, rewritten: str) -> bool:
        """Whether for some judge `rewritten` is the page with the verb carried out."""
        return any(self._as_by(oracle, one, rewritten) for oracle in self.oracles)

    def _as_by(self, oracle: Oracle, one: Try, rewritten: str) -> bool:
        edited = oracle(self.page)
        element = edited.at(one.element.path())
        if isinstance(one.operation, PLACED):
            named = {target.selector: selected(edited, target) for _, target in targets_of(one.operation)}
            carry_out_moves([(one.operation, element)], lambda target: [named[target.selector]])
        else:
            carry_out(one.operation, element)
        expected, actual = shape(edited), shape(oracle(rewritten))
        return expected == actual or _tidy(expected, one) == _tidy(actual, one)


def _reads(oracle: Oracle, page: str) -> Shape | None:
    try:
        return with_classes_split(shape(oracle(page)))
    except Exception:  # noqa: BLE001 -- html5lib can't read some of its own tests
        return None


def _tidy(tree: Shape, one: Try) -> Shape:
    """The shape without white space that a browser could not tell from what was asked for."""
    plain = with_classes_split(tree)
    return with_tidy_body(plain) if isinstance(one.operation, model.Append) and one.element.tag == "body" else plain
