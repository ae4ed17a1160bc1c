"""A target for atheris: bytes -> operations and a page, rewritten. A process of its own, started by `test_fuzzing.py`.

The first bytes choose the operations, the rest is the page. atheris sees which lines of `rules.html` a page reaches, and
keeps the pages that reach new ones; the parser, which is C, it does not see.
"""

import sys

import atheris

with atheris.instrument_imports(include=["rules.html"]):
    from rules.group import Group
    from rules.html import Rewritten, apply_groups

from rules.operations import Target
from tests.properties.exactness import assert_only_edits_changed
from tests.properties.verbs import VERBS, fitting
from tests.trees import Branch

SELECTORS = (
    *("h1 p div b a li td tr table body head title pre svg textarea select option html form math font nobr".split()),
    *("* .a [class] template script p:first-child td:nth-child(2) :has(b) b~i #x".split()),
)
CHARSETS = ("utf-8", None, "shift_jis", "windows-1252", "gb18030", "utf-16le")
OPERATION_BYTES, OPERATIONS_MAX = 3, 4


def operations_of(chosen: bytes) -> list[Group]:
    """Three bytes for each operation: verb, selector, and what is written."""
    groups = []
    for at in range(0, len(chosen), OPERATION_BYTES):
        verb, selector, content = chosen[at : at + OPERATION_BYTES]
        make = list(VERBS.values())[verb % len(VERBS)]
        parent = Branch("div") if content % 2 else Branch(SELECTORS[content % len(SELECTORS)])
        Branch("#document").add(parent)
        element = Branch("p", {"class": "a", "title": "b"})
        parent.add(element)
        operation = make(Target(selector=SELECTORS[selector % len(SELECTORS)]), element, fitting)
        if operation is not None:
            groups.append(Group(str(at), (operation,)))
    return groups


def try_one(data: bytes) -> None:
    """One page; whatever it raises, atheris reports."""
    if len(data) < 2:
        return
    many = 1 + data[0] % OPERATIONS_MAX
    chosen = data[2 : 2 + many * OPERATION_BYTES]
    groups = operations_of(chosen[: len(chosen) // OPERATION_BYTES * OPERATION_BYTES])
    page = data[2 + len(chosen) :]
    result = apply_groups(page, groups, charset=CHARSETS[data[1] % len(CHARSETS)])
    if isinstance(result, Rewritten):
        assert_only_edits_changed(page, result)


if __name__ == "__main__":
    atheris.Setup(sys.argv, try_one)
    atheris.Fuzz()
