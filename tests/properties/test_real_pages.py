"""Every real page of `../shared/corpus`: untouched without operations, and by each verb changed exactly there.

What counts as refused: an operation that an author could mean (`tests.properties.verbs`) and that did not apply.
"""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from rules import model
from rules.html import PassedThrough, Rewritten, rewrite
from rules.reasons import Reason
from tests.properties.exactness import assert_only_edits_changed
from tests.properties.judges import Judge, readable
from tests.properties.verbs import VERBS, Try, an_author_could_mean, fitting, tries
from tests.shared_folder import reads_shared_folder, shared_files
from tests.trees import (
    ORACLES,
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
TENTH_BYTES_MAX = 400_000
"""Larger pages take most of the judge's time; they are tried where everything is."""
SHARE_IN_A_HURRY = 0.02
"""Of all tries without `--soak`: twenty of each verb, spread over all pages."""
REFUSED_SHARE_MAX = 0.02

STYLE = ".a{color:red}"
OPERATIONS: tuple[model.Operation, ...] = (
    model.SetAttribute(target=model.Target(selector="body"), name="data-x", value="1"),
    model.SetText(target=model.Target(selector="h1"), content=model.Content(text="New & <improved>")),
    model.Append(target=model.Target(selector="head"), content=model.Content(html=f"<style>{STYLE}</style>")),
)
STYLING = model.SetStyle(target=model.Target(selector="[style]"), properties={"color": "var(--a, 'b')", "--c": "d"})
LINKING = model.SetParameters(target=model.Target(selector="a[href]"), parameters={"utm_source": "ä &", "q": ""})


@lru_cache(maxsize=1)
def pages() -> list[Path]:
    return shared_files("corpus/pages", "*.html")


def test_a_page_without_operations_passes() -> None:
    for path in pages():
        result = rewrite(path.read_bytes(), (), charset=None)
        assert isinstance(result, PassedThrough), path.name


@pytest.mark.timeout(3600)
def test_each_verb_does_what_it_does_in_a_browser_and_is_seldom_refused(
    soak_share: float, figures: Callable[[str], None]
) -> None:
    share = soak_share if soak_share == 1 else SHARE_IN_A_HURRY
    told: dict[str, Counter[str]] = {verb: Counter() for verb in VERBS}
    refusals: Counter[tuple[str, str, str, str]] = Counter()
    for path in pages():
        page = path.read_bytes()
        if share < 1 and len(page) > TENTH_BYTES_MAX:
            continue
        judge = Judge(readable(page), [by_selectolax])
        assert judge.oracles, f"{path.name}: selectolax reads it otherwise"
        for one in filter(an_author_could_mean, tries(judge.tree, path.name, fitting, share=share)):
            reason = tried(page, one, judge, path.name)
            told[one.verb][reason] += 1
            if reason not in (Reason.APPLIED, Reason.NO_CHANGE):
                refusals[one.verb, reason, path.name, one.element.tag] += 1
    for verb, counts in told.items():
        figures(f"real pages, {verb}: {', '.join(f'{count} {reason}' for reason, count in counts.most_common())}")
    tries_made, refused = sum(counts.total() for counts in told.values()), refusals.total()
    if pages():
        figures(f"real pages: {refused} of {tries_made} refused ({refused / tries_made:.2%})")
        assert refused <= REFUSED_SHARE_MAX * tries_made, refusals.most_common(20)


def tried(page: bytes, one: Try, judge: Judge, name: str) -> Reason:
    """What became of one operation, once the bytes and the judge had their say."""
    result = rewrite(page, [one.operation], charset="utf-8")
    if isinstance(result, Rewritten):
        assert_only_edits_changed(page, result)
        done = one._replace(
            operation=result.touched[0].instead or one.operation
        )  # an order, where a framework hydrates
        assert judge.agrees(done, readable(result.page)), (name, done.operation)
    return result.outcomes[0].reason


@pytest.mark.parametrize("oracle", ORACLES)
def test_an_unrelated_parser_sees_just_the_intended_changes(oracle: Callable[[str], Branch]) -> None:
    for path in pages():
        page = path.read_bytes()
        if oracle is by_html5lib and len(page) > HTML5LIB_BYTES_MAX:
            continue
        result = rewrite(page, OPERATIONS, charset="utf-8")
        assert isinstance(result, Rewritten)
        assert_only_edits_changed(page, result)
        expected, actual = oracle(readable(page)), oracle(readable(result.page))
        change(expected, [outcome.reason is Reason.APPLIED for outcome in result.outcomes])
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
