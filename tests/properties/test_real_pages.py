"""Every real page of `../shared/corpus`: untouched without operations, changed exactly where three operations say."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from rules import model
from rules.html import PassedThrough, Rewritten, rewrite
from rules.reasons import Reason
from tests.shared_folder import reads_shared_folder, shared_files
from tests.trees import (
    NOSCRIPT,
    Branch,
    Leaf,
    by_html5lib,
    by_selectolax,
    carry_out,
    link_with,
    shape,
    style_with,
    with_classes_split,
)

pytestmark = reads_shared_folder

HTML5LIB_BYTES_MAX = 100_000
"""html5lib is slow: beyond this only selectolax judges."""

STYLE = ".a{color:red}"
OPERATIONS: tuple[model.Operation, ...] = (
    model.SetAttribute(target=model.Target(selector="body"), name="data-x", value="1"),
    model.SetText(target=model.Target(selector="h1"), content=model.Content(text="New & <improved>")),
    model.Append(target=model.Target(selector="head"), content=model.Content(html=f"<style>{STYLE}</style>")),
)
STYLING = model.SetStyle(target=model.Target(selector="[style]"), properties={"color": "var(--a, 'b')", "--c": "d"})
LINKING = model.SetParameters(target=model.Target(selector="a[href]"), parameters={"utm_source": "ä &", "q": ""})
REFUSED_MAX = 4
"""Of 195 operations: four pages have an `<iframe>` in their head, so that their body begins before its tag."""


def pages() -> list[Path]:
    return shared_files("corpus/pages", "*.html")


def without_edits(result: Rewritten) -> bytes:
    """The rewritten page with each edit undone: what is left must be the origin's."""
    kept, at, shift = [], 0, 0
    for edit in result.edits:
        start = edit.start + shift
        kept.append((result.page[at:start], edit))
        assert result.page[start : start + len(edit.replacement)] == edit.replacement
        at = start + len(edit.replacement)
        shift += len(edit.replacement) - (edit.end - edit.start)
    return b"".join(piece + b"\0" * (edit.end - edit.start) for piece, edit in kept) + result.page[at:]


def with_gaps(page: bytes, result: Rewritten) -> bytes:
    """The original with the bytes that edits replace blotted out."""
    blotted = bytearray(page)
    for edit in result.edits:
        blotted[edit.start : edit.end] = b"\0" * (edit.end - edit.start)
    return bytes(blotted)


def test_a_page_without_operations_passes() -> None:
    for path in pages():
        result = rewrite(path.read_bytes(), (), charset=None)
        assert isinstance(result, PassedThrough), path.name


def test_removing_the_edits_gives_the_original_back() -> None:
    refused: Counter[str] = Counter()
    for path in pages():
        page = path.read_bytes()
        result = rewrite(page, OPERATIONS, charset="utf-8")
        assert isinstance(result, Rewritten), path.name
        assert without_edits(result) == with_gaps(page, result), path.name
        starts = [(edit.start, edit.end) for edit in result.edits]
        assert starts == sorted(starts), path.name
        assert all(before[1] <= after[0] for before, after in pairwise(starts)), path.name
        for outcome in result.outcomes:
            if outcome.reason not in (Reason.APPLIED, Reason.TARGET_NOT_FOUND):
                refused[f"{path.name} {outcome.mutation_id}: {outcome.reason}"] += 1
    assert refused.total() <= REFUSED_MAX, refused


@pytest.mark.parametrize("oracle", [by_selectolax, by_html5lib])
def test_an_unrelated_parser_sees_just_the_intended_change(oracle: object) -> None:
    assert callable(oracle)
    for path in pages():
        page = path.read_bytes()
        if oracle is by_html5lib and len(page) > HTML5LIB_BYTES_MAX:
            continue
        result = rewrite(page, OPERATIONS, charset="utf-8")
        assert isinstance(result, Rewritten)
        expected, actual = oracle(readable(page)), oracle(readable(result.page))
        applied = [outcome.reason is Reason.APPLIED for outcome in result.outcomes]
        change(expected, applied)
        assert shape(actual) == shape(expected), path.name


def test_styles_and_links_say_what_was_asked_and_no_more() -> None:
    """All of a page's `style` attributes and links at once: each is as an unrelated reading has it, or untouched."""
    told: Counter[str] = Counter()
    for path in pages():
        page = path.read_bytes()
        result = rewrite(page, (STYLING, LINKING), charset="utf-8")
        after = result.page if isinstance(result, Rewritten) else page
        before, now = (list(by_selectolax(readable(one)).walk()) for one in (page, after))
        for old, new in zip(before, now, strict=True):
            said, says = (dict(with_classes_split(shape(Branch(one.tag, one.attributes)))[1]) for one in (old, new))
            wanted = dict(old.attributes)
            if "style" in wanted:
                wanted["style"] = style_with(wanted["style"], STYLING.properties)
            if "href" in wanted and old.tag == "a":
                wanted["href"] = link_with(wanted["href"], LINKING.parameters)
            expected = dict(with_classes_split(shape(Branch(old.tag, wanted)))[1])
            for name in {"style", "href"} & wanted.keys():
                assert says[name] in (said[name], expected[name]), (path.name, old.attributes[name])
                told[f"{name} {'changed' if says[name] == expected[name] else 'left'}"] += 1
            assert {**says, "style": 0, "href": 0} == {**said, "style": 0, "href": 0}, path.name
    assert not pages() or told["style changed"] > 50 * told["style left"], told


def readable(page: bytes) -> str:
    """The page as text for the judges, without what is inside `<noscript>`: they don't run scripts, browsers do."""
    return NOSCRIPT.sub(rb"\1\2", page.removeprefix(b"\xef\xbb\xbf")).decode("utf-8", "replace").replace("\0", "")


def change(page: Branch, applied: list[bool]) -> None:
    for operation, tag, was_applied in zip(OPERATIONS, ("body", "h1", "head"), applied, strict=True):
        if not was_applied:
            continue
        for element in [element for element in page.walk() if element.tag == tag]:
            if tag == "head":
                style = Branch("style")
                style.add(Leaf("text", STYLE))
                element.add(style)
            else:
                carry_out(operation, element)
