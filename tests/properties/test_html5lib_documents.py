"""The documents of html5lib's tests, which try every corner of HTML parsing: never an exception, never a wrong page.

For each verb on chosen elements: the rewritten document is what an unrelated parser's tree becomes by the same change,
or the operation was refused. A judge only counts where it reads the original as the rewriter's parser does.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from rules import model
from rules.html import PassedThrough, Rewritten, rewrite
from tests.moved_trees import PLACED, carry_out_moves
from tests.shared_folder import reads_shared_folder, tree_construction_documents
from tests.trees import (
    ORACLES,
    Branch,
    by_turbohtml,
    carry_out,
    selector_of,
    shape,
    with_classes_split,
    with_tidy_body,
)

pytestmark = reads_shared_folder

CONTENTS = tuple(
    [model.Content(text="N & <w"), model.Content(text=" ")]
    + [
        model.Content(html=html)
        for html in (
            "<b class=n>N</b>",
            "<div>D</div>",
            "<p>P</p>",
            "<td>c</td>",
            "<tr></tr>",
            "<option>o</option>",
            "<li>o</li>",
            "<br>",
            "<a>x</a>",
            "<style>a</style>",
            "<table></table>",
        )
    ]
)
VERBS_WITH_CONTENT = (
    model.Before,
    model.After,
    model.Prepend,
    model.Append,
    model.SetInnerContent,
    model.Replace,
)
ELEMENTS_PER_DOCUMENT = 2
OPERATIONS_PER_ELEMENT = 6

Oracle = Callable[[str], Branch]


def operations(selector: str) -> list[model.Operation]:
    """Every verb on one element, with every content; those that move it are in `moves`."""
    target = model.Target(selector=selector)
    found: list[model.Operation] = [
        verb(target=target, content=content) for verb in VERBS_WITH_CONTENT for content in CONTENTS
    ]
    return [
        *found,
        *[model.SetText(target=target, content=content) for content in CONTENTS if content.text is not None],
        model.Remove(target=target),
        model.RemoveAndKeepContent(target=target),
        model.SetAttribute(target=target, name="data-x", value='v"<&'),
        model.SetAttribute(target=target, name="class", value="v"),
        model.RemoveAttribute(target=target, name="class"),
        model.RemoveAttribute(target=target, name="id"),
        model.SetStyle(target=target, properties={"color": "blue", "--a": "'&\"'"}),
        model.SetParameters(target=target, parameters={"a": "b c"}),
        model.AddClass(target=target, names=["n1", "n2"]),
        model.RemoveClass(target=target, names=["a", "b"]),
    ]


def moves(element: Branch, other: Branch) -> list[model.Operation]:
    """Every way in which one element is moved to another, and its children into another order."""
    target, anchor = model.Target(selector=selector_of(element)), model.Target(selector=selector_of(other))
    verbs = (model.MoveBefore, model.MoveAfter, model.MovePrepend, model.MoveAppend)
    found: list[model.Operation] = [verb(target=target, anchor=anchor) for verb in verbs]
    order = [model.Target(selector=selector_of(child)) for child in reversed(element.elements())]
    for listed, adopt in ((order, False), (order[:1], False), ([*order, anchor], True), ([anchor], True)):
        if listed:
            found.append(model.ReorderChildren(target=target, order=listed, adopt=adopt))
    return found


def oracles_that_agree(document: str) -> list[Oracle]:
    """The judges that read this document as the rewriter's parser does."""
    tree = shape(by_turbohtml(document))
    agreeing: list[Oracle] = []
    for oracle in ORACLES:
        try:
            same = shape(oracle(document)) == tree
        except Exception:  # noqa: BLE001 -- html5lib can't read some of its own tests
            continue
        if same:
            agreeing.append(oracle)
    return agreeing


def trials(
    seed: int, documents: list[tuple[str, str]], *, moving: bool = False
) -> Iterator[tuple[str, Branch, model.Operation]]:
    """Document, an element in it, and an operation on that element; every document, always the same for one seed."""
    choose = random.Random(seed)
    for _, document in documents:
        elements = list(by_turbohtml(document).walk())
        if moving:
            elements = [element for element in elements if element.tag not in ("html", "head")]
        for element in choose.sample(elements, min(ELEMENTS_PER_DOCUMENT, len(elements))):
            several = moves(element, choose.choice(elements)) if moving else operations(selector_of(element))
            for operation in choose.sample(several, min(OPERATIONS_PER_ELEMENT, len(several))):
                yield document, element, operation


def test_a_document_without_operations_passes() -> None:
    for name, document in tree_construction_documents():
        assert isinstance(rewrite(document.encode(), (), charset="utf-8"), PassedThrough), (name, document)


def test_what_matches_nothing_changes_no_byte() -> None:
    nothing = model.Target(selector="no-such-element")
    for name, document in tree_construction_documents():
        result = rewrite(document.encode(), [model.Remove(target=nothing)], charset="utf-8")
        assert isinstance(result, PassedThrough), (name, document)


@pytest.mark.parametrize(("seed", "moving", "applied_min"), [(1, False, 2_500), (2, False, 2_500), (3, True, 500)])
def test_a_verb_does_what_it_does_in_a_browser_or_is_refused(seed: int, moving: bool, applied_min: int) -> None:
    documents = tree_construction_documents()
    judges: dict[str, list[Oracle]] = {}
    told: Counter[str] = Counter()
    for document, element, operation in trials(seed, documents, moving=moving):
        result = rewrite(document.encode(), [operation], charset="utf-8")
        if isinstance(result, PassedThrough):
            told["refused"] += 1
            continue
        if document not in judges:
            judges[document] = oracles_that_agree(document)
        told["applied" if judges[document] else "not judged"] += 1
        assert_as_in_a_browser(document, element, operation, result, judges[document])
    assert not documents or told["applied"] > applied_min, told
    assert told["not judged"] <= told["applied"] / 10, told


def assert_as_in_a_browser(
    document: str, element: Branch, operation: model.Operation, result: Rewritten, judges: list[Oracle]
) -> None:
    rewritten = result.page.decode()
    for oracle in judges:
        edited = oracle(document)
        change(operation, edited, element)
        expected, actual = with_classes_split(shape(edited)), with_classes_split(shape(oracle(rewritten)))
        if isinstance(operation, model.Append) and element.tag == "body":
            expected, actual = with_tidy_body(expected), with_tidy_body(actual)
        if expected == actual:
            return
    assert not judges, f"{document!r} became {rewritten!r} by {operation}"


def change(operation: model.Operation, page: Branch, element: Branch) -> None:
    """The operation on the element of another tree that stands where `element` does in its own."""
    if not isinstance(operation, PLACED):
        carry_out(operation, page.at(element.path()))
        return
    named = {selector_of(one): one for one in page.walk()}
    carry_out_moves([(operation, page.at(element.path()))], lambda target: [named[target.selector or ""]])
