"""Where an edit may skip the proof of the whole page, the proof would have held: tried on every odd document there is."""

import random
from collections.abc import Iterator

import turbohtml

from rules.decision import Group
from rules.html import Rewritten, apply_groups
from rules.operations import (
    After,
    Append,
    Before,
    Content,
    Operation,
    Prepend,
    Remove,
    Replace,
    SetInnerContent,
    SetText,
    Target,
)
from tests.shared_folder import reads_shared_folder, tree_construction_documents

pytestmark = reads_shared_folder

WRAPPER = b"<!doctype html><html><head><title>t</title></head><body>%s</body></html>"
TAGS_PER_DOCUMENT, VERBS_PER_TAG = 4, 5


def _operations(selector: str) -> list[Operation]:
    target = Target(selector=selector)
    return [
        Before(target=target, content=Content(html="<i>x</i>")),
        Before(target=target, content=Content(html="<div>x</div>")),
        After(target=target, content=Content(html="<p>x</p>")),
        After(target=target, content=Content(text="x")),
        Prepend(target=target, content=Content(text="x")),
        Append(target=target, content=Content(html="<b>x</b>")),
        SetText(target=target, content=Content(text="x")),
        SetInnerContent(target=target, content=Content(html="<table><tr><td>1</table>")),
        Replace(target=target, content=Content(html="<section>x</section>")),
        Remove(target=target),
    ]


def _tries(documents: list[bytes]) -> Iterator[tuple[bytes, Group]]:
    chance = random.Random(5)
    for document in documents:
        for page in (document, WRAPPER.replace(b"%s", document)):
            elements = turbohtml.parse(page.decode("latin-1"), scripting=True).find_all()
            tags = sorted({element.tag for element in elements if element.tag.isalnum()})
            for tag in chance.sample(tags, min(len(tags), TAGS_PER_DOCUMENT)):
                for operation in chance.sample(_operations(tag), VERBS_PER_TAG):
                    yield page, Group("tried", (operation,))


def test_no_page_comes_out_that_its_proof_would_have_refused() -> None:
    documents = [text.encode() for _, text in tree_construction_documents()]
    rewritten = 0
    for page, group in _tries(documents):
        result = apply_groups(page, [group], charset="utf-8")
        if isinstance(result, Rewritten):
            rewritten += 1
            assert apply_groups(page, [group], charset="utf-8", prove_all=True) == result, (page, group)
    assert rewritten >= len(documents)
