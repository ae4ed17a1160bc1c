"""The documents of html5lib's tests, which try every corner of HTML parsing: never an exception, never a wrong page.

For each verb on chosen elements, with content that fits and content that does not: the rewritten document is what an
unrelated parser's tree becomes by the same change, or the operation was refused.
"""

import random
from collections import Counter
from collections.abc import Callable
from typing import get_args

import pytest

from rules import model
from rules.html import PassedThrough, rewrite
from rules.operations import Operation
from tests.properties.exactness import assert_only_edits_changed
from tests.properties.judges import Judge
from tests.properties.verbs import Writing, tries
from tests.shared_folder import reads_shared_folder, tree_construction_documents
from tests.trees import ORACLES, Branch, by_turbohtml

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


def anything(seed: str) -> Writing:
    """Content whatever the place."""
    choose = random.Random(seed)

    def chosen(_: Branch | None) -> model.Content:
        return choose.choice(CONTENTS)

    return chosen


def test_every_verb_is_tried() -> None:
    page = by_turbohtml("<div class=a><p class=b title=c>x</p><p>y</p><a href=/>z</a></div><div></div>")
    tried = {type(one.operation) for one in tries(page, "seed", anything("seed"), share=1)}
    assert tried == set(get_args(Operation)), "each verb has a line in tests/properties/verbs.py"


def test_a_document_without_operations_passes() -> None:
    for name, document in tree_construction_documents():
        assert isinstance(rewrite(document.encode(), (), charset="utf-8"), PassedThrough), (name, document)


def test_what_matches_nothing_changes_no_byte() -> None:
    nothing = model.Target(selector="no-such-element")
    for name, document in tree_construction_documents():
        result = rewrite(document.encode(), [model.Remove(target=nothing)], charset="utf-8")
        assert isinstance(result, PassedThrough), (name, document)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (2, 3, 4))])
def test_a_verb_does_what_it_does_in_a_browser_or_is_refused(
    seed: int, soak_share: float, figures: Callable[[str], None]
) -> None:
    documents = tree_construction_documents()
    told: Counter[str] = Counter()
    for name, document in documents:
        judge, page, chosen = Judge(document, ORACLES), document.encode(), f"{seed} {name} {document}"
        for one in tries(judge.tree, chosen, anything(chosen), share=soak_share):
            result = rewrite(page, [one.operation], charset="utf-8")
            if isinstance(result, PassedThrough):
                told[result.outcomes[0].reason] += 1
                continue
            assert_only_edits_changed(page, result)
            told["applied" if judge.oracles else "not judged"] += 1
            if judge.oracles:
                assert judge.agrees(one, result.page.decode()), (document, result.page.decode(), one.operation)
    figures(f"html5lib, seed {seed}: {len(documents)} documents, {told.total()} operations, {dict(told)}")
    assert not documents or told["applied"] > 1_000, told
    assert told["not judged"] <= told["applied"] / 10, told
