"""Validators of rewritten pages, and conditions on their way to the origin."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from rules.decision import Decision
from rules.group import Group
from rules.reasons import Outcome, Reason
from sidecar.heads import validators


def decision(key: str = "k1", *, changes: bool = True, layouts: bool = False, private: bool = False) -> Decision:
    return Decision(
        groups=(Group("m", ()),) if changes else (),
        outcomes=(Outcome("m", Reason.OTHER_LAYOUT),) if layouts else (),
        assignments={},
        units=frozenset(),
        reads=frozenset(),
        private=private,
        key=key,
    )


def always(answer: Decision) -> Callable[[str | None], Decision]:
    return lambda _layout_id: answer


def derived(origin: str | None, key: str = "k1", layout_id: str | None = None) -> str:
    return validators.derive(decision_key=key, layout_id=layout_id, origin=origin, body=b"body")


@given(st.text(st.characters(min_codepoint=0x23, max_codepoint=0x7E)), st.booleans(), st.none() | st.text(min_size=1))
def test_a_derived_tag_gives_the_origins_back(opaque: str, weak: bool, layout_id: str | None) -> None:
    origin = f'{"W/" if weak else ""}"{opaque}"'
    tag = validators.read(derived(origin, layout_id=layout_id))
    assert tag is not None
    assert (tag.origin, tag.layout_id) == (origin, layout_id)
    assert validators.still_names(tag, "k1")
    assert not validators.still_names(tag, "k2")


def test_without_an_origin_tag_the_body_counts_and_nothing_can_be_revalidated() -> None:
    tag = validators.read(derived(None))
    assert tag is not None
    assert tag.origin is None
    assert not validators.still_names(tag, "k1")
    other = validators.derive(decision_key="k1", layout_id=None, origin=None, body=b"other")
    assert other != derived(None)


@pytest.mark.parametrize("origin", ['"1.2.3.4"', 'W/"a..b"', '""', '"lm.0..s.a"'])
@pytest.mark.parametrize("layout_id", ["caf\udce9", "ünï", None])
def test_dots_in_the_origins_tag_and_odd_layouts_come_back(origin: str, layout_id: str | None) -> None:
    tag = validators.read(derived(origin, layout_id=layout_id))
    assert tag is not None
    assert (tag.origin, tag.layout_id) == (origin, layout_id)
    assert validators.still_names(tag, "k1")


@pytest.mark.parametrize("origin", ["abc", "W/abc", '"a"b"', "w/'a'"])
def test_a_tag_of_the_origins_that_is_none_is_as_good_as_none(origin: str) -> None:
    """Servers without the quotes are common. What cannot be asked for again must not cost the page its rules."""
    assert derived(origin) == derived(None)


@pytest.mark.parametrize(
    "tag",
    [
        *('"abc"', 'W/"lm."', '"lm.a.b"', "lm.x", "", '"lm.a.b.n."', '"lm.a.b.q.c"'),
        *('"lm.a..q.c"', '"xx.0123456789abcdef..s.a"', '"lm.a.ü.s.a"', '"lm.a.b.s.a"', 'W/"0123456789abcdef..s.a"'),
    ],
)
def test_other_tags_are_not_ours(tag: str) -> None:
    assert validators.read(tag) is None


def test_weak_comparison() -> None:
    assert validators.names('"a", W/"b"', 'W/"b"')
    assert validators.names('"b"', 'W/"b"')
    assert not validators.names('"a"', 'W/"b"')


def test_a_page_that_passes_for_certain_keeps_its_conditions() -> None:
    fields = CIMultiDict({"If-None-Match": '"a"', "Range": "bytes=0-1", "If-Modified-Since": "x"})
    assert validators.adapt(fields, None) == validators.UNCHANGED
    assert validators.adapt(fields, always(decision(changes=False))) == validators.UNCHANGED


@pytest.mark.parametrize(
    "answer", [decision(), decision(changes=False, layouts=True), decision(changes=False, private=True)]
)
def test_a_page_that_may_change_loses_the_origins_validators_and_range(answer: Decision) -> None:
    adapted = validators.adapt(CIMultiDict({"If-None-Match": '"a"', "Range": "bytes=0-1"}), always(answer))
    assert {b"if-none-match", b"if-modified-since", b"range", b"if-range"} <= adapted.dropped
    assert adapted.added == ()
    assert adapted.confirms is None


def test_our_tag_is_mapped_back_while_it_holds() -> None:
    ours = derived('"a"')
    adapted = validators.adapt(CIMultiDict({"If-None-Match": f'"x", {ours}'}), always(decision()))
    assert adapted.added == ((b"If-None-Match", b'"a"'),)
    assert adapted.confirms == ours


def test_one_of_several_is_asked_about_since_a_304_need_not_say_which_it_means() -> None:
    """RFC 9110 15.4.5, RFC 9111 4.3.4. Of those whose pages are still what they were."""
    tags = [derived('"old"', key="old"), derived('"a"', layout_id="l"), derived('"b"')]
    adapted = validators.adapt(CIMultiDict({"If-None-Match": ", ".join(tags)}), always(decision()))
    assert adapted.added == ((b"If-None-Match", b'"a"'),)
    assert adapted.confirms == tags[1]


def test_our_tag_means_nothing_outside_the_rollout() -> None:
    fields = CIMultiDict({"If-None-Match": derived('"a"')})
    assert validators.adapt(fields, always(decision()), rewrites=False).confirms is None


@pytest.mark.parametrize("answer", [decision(), decision(changes=False)])
def test_who_is_owed_the_page_itself_gets_no_304_for_it(answer: Decision) -> None:
    """It is owed for one layout of those that the request names, which is enough."""
    fields = CIMultiDict({"If-None-Match": f'{derived(chr(34) + "a" + chr(34), layout_id="new")}, "b"', "Range": "x"})
    adapted = validators.adapt(fields, always(answer), owes_page=lambda layout: layout == "new")
    assert {b"if-none-match", b"if-modified-since", b"range", b"if-range"} <= adapted.dropped
    assert (adapted.added, adapted.confirms) == ((), None)


def test_our_tag_of_another_decision_cannot_bring_its_page_back() -> None:
    adapted = validators.adapt(CIMultiDict({"If-None-Match": derived('"a"', key="old")}), always(decision("new")))
    assert adapted.added == ()
    assert b"if-none-match" in adapted.dropped


def test_our_tag_does_not_survive_the_last_rule() -> None:
    fields = CIMultiDict({"If-None-Match": f'{derived(chr(34) + "a" + chr(34))}, "b"', "If-Modified-Since": "x"})
    adapted = validators.adapt(fields, always(decision(changes=False)))
    assert adapted.added == ((b"If-None-Match", b'"b"'),)
    assert adapted.dropped == {b"if-none-match", b"if-modified-since"}


def test_a_write_on_condition_names_the_origins_tag() -> None:
    adapted = validators.adapt(CIMultiDict({"If-Match": derived('"a"')}), None)
    assert adapted.added == ((b"If-Match", b'"a"'),)
    assert adapted.dropped == {b"if-match"}
    mixed = CIMultiDict([("If-Match", f'"b", {derived(chr(34) + "a" + chr(34))}'), ("If-Match", derived(None))])
    assert validators.adapt(mixed, None).added == ((b"If-Match", f'"b", "a", {derived(None)}'.encode()),)


def test_a_part_of_a_rewritten_page_cannot_be_asked_for() -> None:
    adapted = validators.adapt(CIMultiDict({"Range": "bytes=0-1", "If-Range": derived('"a"')}), None)
    assert adapted.dropped == {b"range", b"if-range"}


@pytest.mark.parametrize("condition", ["own", "foreign"])
def test_a_request_with_a_thousand_validators_costs_no_thousand_decisions(condition: str) -> None:
    """Each of our own names a layout, for which something has to be decided: one request must not hold a worker."""
    asked: list[str | None] = []

    def decide(layout_id: str | None) -> Decision:
        asked.append(layout_id)
        return decision()

    first = derived('"a"', layout_id="first")
    tags = [derived(f'"{number}"', layout_id=str(number)) for number in range(1000)]
    given = [first, *tags] if condition == "own" else ['""'] * 30_000 + [first]
    conditions = validators.adapt(CIMultiDict({"If-None-Match": ", ".join(given)}), decide, owes_page=lambda _: False)
    assert len(asked) < 20
    assert conditions.dropped >= {b"if-none-match"}
    assert conditions.confirms == (first if condition == "own" else None)


@pytest.mark.parametrize(("origin", "layout_id"), [('"{}"', "l" * 9000), ('"{}' + "x" * 9000 + '"', None)])
def test_what_visitors_make_up_is_not_remembered(origin: str, layout_id: str | None) -> None:
    """512 tags as long as a field may be were 60 MB of a worker."""
    validators._derived.cache_clear()
    for number in range(3):
        tag = validators.read(derived(origin.format(number), layout_id=layout_id))
        assert tag is not None
        assert validators.still_names(tag, "k1")
    assert validators._derived.cache_info().currsize == 0
    assert derived('"short"') == derived('"short"')
    assert validators._derived.cache_info().hits == 1
