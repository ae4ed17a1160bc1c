"""What holds for every page and every operation, whatever the bytes."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rules import model
from rules.group import Group
from rules.html import PassedThrough, Rewritten, apply_groups
from rules.reasons import Reason
from tests.moved_trees import carry_out_all
from tests.properties.exactness import assert_only_edits_changed
from tests.properties.markup import IDS, moves, operations, pages, well_formed
from tests.trees import ORACLES, by_html5lib, shape, with_classes_split

bounded = settings(max_examples=150, deadline=None)

STYLE_BLOCK = model.HideByStyle | model.SetTokens | model.OrderByStyle
"""They change no element, only the style block."""

GROUPS = st.lists(st.lists(operations(), min_size=1, max_size=3), min_size=1, max_size=4).map(
    lambda found: [Group(str(index), tuple(some)) for index, some in enumerate(found)]
)
ON_IDS = st.lists(operations(st.sampled_from(IDS).map("#{}".format)), min_size=1, max_size=5).map(
    lambda found: [Group(str(index), (one,)) for index, one in enumerate(found)]
)

ON_ID = st.sampled_from(IDS).map("#{}".format)
MOVING_ON_IDS = st.lists(moves(ON_ID) | moves(ON_ID) | operations(ON_ID), min_size=2, max_size=7).map(
    lambda found: [Group(str(index), (one,)) for index, one in enumerate(found)]
)


def page_of(page: bytes, result: Rewritten | PassedThrough) -> bytes:
    return result.page if isinstance(result, Rewritten) else page


@bounded
@given(pages(), GROUPS)
def test_only_the_bytes_of_edits_change(given_page: tuple[bytes, str | None], groups: list[Group]) -> None:
    page, charset = given_page
    result = apply_groups(page, groups, charset=charset, nonce="n")
    if isinstance(result, PassedThrough):
        return
    assert_only_edits_changed(page, result)


@bounded
@given(pages(), GROUPS)
def test_an_outcome_for_each_group(given_page: tuple[bytes, str | None], groups: list[Group]) -> None:
    page, charset = given_page
    result = apply_groups(page, groups, charset=charset)
    if isinstance(result, PassedThrough) and result.reason is not Reason.NOTHING_MATCHED:
        assert result.outcomes == ()
    else:
        assert [outcome.mutation_id for outcome in result.outcomes] == [group.mutation_id for group in groups]


@bounded
@given(pages(), GROUPS)
def test_the_same_again(given_page: tuple[bytes, str | None], groups: list[Group]) -> None:
    page, charset = given_page
    assert apply_groups(page, groups, charset=charset) == apply_groups(page, groups, charset=charset)


@bounded
@given(pages(), GROUPS)
def test_higher_precedence_never_notices_lower(given_page: tuple[bytes, str | None], groups: list[Group]) -> None:
    page, charset = given_page
    alone, together = apply_groups(page, groups[:1], charset=charset), apply_groups(page, groups, charset=charset)
    assert together.outcomes[:1] == alone.outcomes


@bounded
@given(pages(), GROUPS)
def test_a_proof_that_was_skipped_would_have_held(given_page: tuple[bytes, str | None], groups: list[Group]) -> None:
    page, charset = given_page
    result = apply_groups(page, groups, charset=charset)
    assert page_of(page, result) == page_of(page, apply_groups(page, groups, charset=charset, prove_all=True))


@bounded
@given(pages(), GROUPS)
def test_what_did_not_apply_left_no_trace(given_page: tuple[bytes, str | None], groups: list[Group]) -> None:
    page, charset = given_page
    result = apply_groups(page, groups, charset=charset)
    for refused in [i for i, outcome in enumerate(result.outcomes) if outcome.reason is not Reason.APPLIED]:
        others = groups[:refused] + groups[refused + 1 :]
        assert page_of(page, apply_groups(page, others, charset=charset)) == page_of(page, result)


@bounded
@given(pages(), GROUPS)
def test_those_that_apply_get_along_without_the_others(
    given_page: tuple[bytes, str | None], groups: list[Group]
) -> None:
    page, charset = given_page
    result = apply_groups(page, groups, charset=charset)
    if isinstance(result, PassedThrough):
        return
    applied = [i for i, outcome in enumerate(result.outcomes) if outcome.reason is Reason.APPLIED]
    alone = apply_groups(page, [groups[i] for i in applied], charset=charset)
    assert alone.outcomes == tuple(result.outcomes[i] for i in applied)
    assert page_of(page, alone) == result.page
    places = sorted((edit.start, edit.end) for edit in result.edits)
    assert all(before[1] <= after[0] for before, after in pairwise(places))


@bounded
@given(pages(), GROUPS)
def test_a_required_target_makes_its_group_whole(given_page: tuple[bytes, str | None], groups: list[Group]) -> None:
    page, charset = given_page
    missing = model.Remove(target=model.Target(selector="no-such-element", required=True))
    broken = Group("broken", (*groups[0].operations, missing))
    result = apply_groups(page, [broken, *groups[1:]], charset=charset)
    assert page_of(page, result) == page_of(page, apply_groups(page, groups[1:], charset=charset))
    if result.outcomes:
        assert result.outcomes[0].reason is not Reason.APPLIED


@bounded
@given(well_formed(), ON_IDS | MOVING_ON_IDS)
def test_several_operations_are_what_a_browser_would_do(text: str, groups: list[Group]) -> None:
    page = text.encode()
    result = apply_groups(page, groups, charset="utf-8")
    applied = [
        group.operations[0]
        for group, outcome in zip(groups, result.outcomes, strict=True)
        if outcome.reason is Reason.APPLIED and not isinstance(group.operations[0], STYLE_BLOCK)
    ]
    groups = [group for group in groups if not isinstance(group.operations[0], STYLE_BLOCK)]
    rewritten = page_of(page, apply_groups(page, groups, charset="utf-8")).decode()
    for oracle in ORACLES:
        if oracle is by_html5lib and "<main" in rewritten:
            continue  # it knows no <main>: an <li> moved into one ends the <li> around it there, and nowhere else
        edited = oracle(text)
        carry_out_all(applied, edited)
        assert with_classes_split(shape(edited)) == with_classes_split(shape(oracle(rewritten)))


@bounded
@given(well_formed(), operations(st.sampled_from(IDS).map("#{}".format)))
def test_on_a_well_formed_page_spans_are_certain(text: str, operation: model.Operation) -> None:
    written = getattr(operation, "content", None)
    if written is not None and (written.text or "").startswith(("\n", "\r")):
        return  # before the first child of a <pre> a leading newline would be no content
    result = apply_groups(text.encode(), [Group("0", (operation,))], charset="utf-8")
    assert result.outcomes[0].reason is not Reason.AMBIGUOUS_SPAN
