"""The judge agrees with what is right, finds what is wrong, and holds its tongue where it can't know."""

from typing import Any, get_args

import msgspec
import pytest

from rules import model
from rules.group import Group
from rules.html import PassedThrough, Rewritten, Script, Touched, apply_groups
from service import dom_verbs
from service.opinions import PAGE_BYTES_MAX, Case, Doubt, Opinion, Verdict
from service.second_opinion import ATTRIBUTES_MAX, DEPTH_MAX, TAGS_MAX, blamed, judge
from tests.service.judging import PAGE, groups_of, one, opinion, rewritten

HTML, TEXT = {"html": '<b class="n">N</b>'}, {"text": "N & <w>"}
AGREES = Opinion(Verdict.AGREES)


VERBS = [
    one("before", "li", content={"html": "<li>new</li>"}),
    one("after", "#d p", content=HTML),
    one("prepend", "h1", content=TEXT),
    one("append", "body", content=HTML),
    one("setInnerContent", "#d", content=HTML),
    one("setText", "h1", content=TEXT),
    one("replace", "footer", content={"html": "<footer><p>new</p></footer>"}),
    one("remove", "li.x"),
    one("removeAndKeepContent", "#d"),
    one("setAttribute", "li", name="Title", value='a"b\r\nc'),
    one("removeAttribute", "h1", name="ID"),
    one("addClass", "h1", names=["a", "c"]),
    one("removeClass", "h1", names=["b"]),
    one("hideByStyle", "footer, .\u00fc"),
    one("orderByStyle", "#d", order=[{"selector": "p + p"}, {"selector": "p"}]),
    one("setTokens", ":root", tokens={"--accent": "#0a7"}),
    one("moveBefore", "li", anchor={"selector": "h1"}),
    one("moveAfter", "li", anchor={"selector": "footer"}),
    one("movePrepend", "li.x, footer", anchor={"selector": "#d"}),
    one("moveAppend", "h1, footer", anchor={"selector": "body"}),
    one("reorderChildren", "#d", order=[{"selector": "#d p + p"}]),
]


@pytest.mark.parametrize("operation", VERBS, ids=lambda operation: str(operation["verb"]))
def test_what_is_right_is_agreed_with_and_what_was_not_done_is_missed(operation: dict[str, object]) -> None:
    case = rewritten(PAGE, groups_of([operation]))
    assert judge(case) == AGREES
    undone = judge(msgspec.structs.replace(case, rewritten=PAGE))
    assert undone.verdict is Verdict.DIFFERS, "the change is missing"
    elsewhere = case.rewritten.replace(b"<title>t", b"<title>u")
    assert judge(msgspec.structs.replace(case, rewritten=elsewhere)).detail == (
        "html > head > title: expected text 't', found text 'u'"
    )


def test_what_was_carried_out_in_an_operations_place_is_judged() -> None:
    page = b"<head></head><main data-v-app><i>1</i><b>2</b></main><h1>Old</h1>"
    [group] = groups_of(
        [
            one("reorderChildren", "main", order=[{"selector": "b"}]),
            one("after", "h1", content=TEXT),
            one("setText", "h1", content=TEXT),
        ]
    )
    for delivery in model.Delivery:
        asked = (msgspec.structs.replace(group, delivery=delivery),)
        result = apply_groups(page, asked, charset=None, script=Script("/s.js", nonce="n"))
        assert isinstance(result, Rewritten)
        case = Case.of(page, result, asked)
        assert judge(case) == AGREES
        assert bool(case.touched) is (delivery is not model.Delivery.CLIENT)
        elsewhere = case.rewritten.replace(b"<i>1", b"<i>3")
        assert judge(msgspec.structs.replace(case, rewritten=elsewhere)).verdict is Verdict.DIFFERS


WITHOUT_OPINION = {"setStyle", "setParameters"}
"""Verbs that are never verified, until they have a function in `service.dom_verbs` and a case above."""


def test_every_verb_has_an_opinion() -> None:
    named = {dom_verbs.name_of(kind) for kind in dom_verbs.VERBS}  # type: ignore[arg-type]  # a tag is the class's
    assert named | WITHOUT_OPINION == {str(kind.__struct_config__.tag) for kind in get_args(model.Operation)}
    assert not named & WITHOUT_OPINION
    assert {operation["verb"] for operation in VERBS} == named


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (b"<p>two</p>", b"<p>New</p>", "html > body > div > p:2: expected text 'two', found text 'New'"),
        (b"\n<!--", b"<!--", r"html > body: expected text '\n', found comment"),
        (b"<!-- note -->", b"", "html > body: expected comment 'note', found <footer>"),
        (b"<!-- note -->", b"<!-- note ", "html > body: expected comment 'note', found comment"),
        (b"<footer>", b"<footer class=x>", "html > body > footer [class]: expected nothing, found 'x'"),
        (b"</ul>", b"</ul><textarea>", "html > body: expected <div>, found <textarea>"),
        (b"<ul>", b"", "html > body: expected <ul>, found <li>"),
        (b"</h1>", b"", "html > body > h1"),
        (b'<li class="x">', b"<li>", "html > body > ul > li:2 [class]: expected 'x', found nothing"),
        (b"</head>", b"<style>h1{}</style></head>", "html > head: expected nothing, found <style>"),
        (b"</head>", b"<style data-layout-mutation>h1{}</style></head>", "the engine's style"),
        (b"</title>", b"</title><script>x</script>", "html > head: expected nothing, found <script>"),
    ],
)
def test_an_extra_change_or_a_swallowed_page_is_found(old: bytes, new: bytes, found: str) -> None:
    headline = one("setText", "h1", content={"text": "New"})
    said = opinion(PAGE, headline, spoil=lambda page: page.replace(old, new, 1))
    assert said.verdict is Verdict.DIFFERS
    assert found in said.detail


def test_a_page_cut_short_is_found() -> None:
    said = opinion(PAGE, one("remove", "li.x"), spoil=lambda page: page[: page.index(b"<footer>")])
    assert (said.verdict, said.detail) == (Verdict.DIFFERS, "html > body: expected <footer>, found nothing")


def test_the_wrong_element_is_found() -> None:
    case = rewritten(PAGE, groups_of([one("addClass", "p:first-child", names=["new"])]))
    wrong = PAGE.replace(b"<p>two", b'<p class="new">two')
    said = judge(msgspec.structs.replace(case, rewritten=wrong))
    assert said.verdict is Verdict.DIFFERS
    assert said.detail == "html > body > div > p:1 [class]: expected 'new', found nothing"


def test_too_few_elements_are_found() -> None:
    """The rewriter says that it found one paragraph, and selectolax finds two."""
    case = msgspec.structs.replace(
        rewritten(PAGE, groups_of([one("addClass", "p", names=["new"])])),
        rewritten=PAGE.replace(b"<p>one", b'<p class="new">one'),
        touched=(Touched("m-0", 0, 1),),
    )
    assert judge(case) == Opinion(Verdict.DIFFERS, detail="p: expected 2 elements, found 1")


def test_what_was_left_alone_is_known() -> None:
    """One of two list items has the class already: the rewriter changed the other one and says so."""
    case = rewritten(PAGE, groups_of([one("addClass", "li", names=["x"])]))
    assert case.touched == (Touched("m-0", 0, 2, (1,)),)
    assert judge(case) == AGREES
    claimed = msgspec.structs.replace(case, touched=(Touched("m-0", 0, 2, (0,)),))
    assert judge(claimed).verdict is Verdict.DIFFERS


def test_operations_that_can_not_both_be() -> None:
    groups = groups_of([one("remove", "#d"), one("remove", "#d")])
    case = msgspec.structs.replace(rewritten(PAGE, groups), touched=(Touched("m-0", 0, 1), Touched("m-0", 1, 1)))
    said = judge(case)
    assert said.verdict is Verdict.DIFFERS
    assert "can't both be" in said.detail


@pytest.mark.parametrize("element", ["svg", "math", "g", "use", "br", "p", "i", "i2"])
@pytest.mark.parametrize("name", ["viewBox", "definitionURL", "DATA-X", "xlink:href"])
def test_an_attribute_has_the_name_that_the_parser_gives_it(element: str, name: str) -> None:
    page = b"<!doctype html><html><head></head><body><svg><g></g><use /><desc><p></p></desc></svg>"
    page += b"<svg><mi><i2></i2></mi></svg><math><mi><i></i></mi></math><br></body></html>"
    assert opinion(page, one("setAttribute", element, name=name, value="#0")) == AGREES


@pytest.mark.parametrize("moved", ["h1", "p"])
def test_an_anchor_that_the_two_take_otherwise_condemns_nobody(moved: str) -> None:
    page = b"<!doctype html><html><head></head><body><p>\n</p><p id=a></p><h1>x</h1></body></html>"
    said = opinion(page, {**one("moveBefore", moved), "anchor": {"selector": "p:empty"}})
    assert (said.verdict, said.doubt) == (Verdict.NO_OPINION, Doubt.SELECTOR)


def test_a_declaration_that_comes_into_sight_by_the_edit_is_none() -> None:
    page = b"<!doctype html><html><head><script>" + b"x" * 1100 + b"</script><meta charset=utf-8></head><body><p>"
    page += "ü</p></body></html>".encode()
    assert judge(rewritten(page, groups_of([one("remove", "script")]), charset=None)) == AGREES


def test_noscript_is_an_element_like_others_in_svg() -> None:
    page = b"<!doctype html><html><head></head><body><svg><noscript><g>a</g></noscript></svg></body></html>"
    assert opinion(page, one("setAttribute", "g", name="title", value="b")) == AGREES
    assert opinion(page, one("setText", "svg > noscript", content={"text": "b"})) == AGREES


def test_a_page_is_not_made_to_differ_by_a_return_that_a_visitor_brings() -> None:
    """Behind a carriage return a new line that is written is no second line end."""
    groups = groups_of([one("append", "p", content={"html": "\n<b>n</b>"}), one("remove", "h1")])
    page = b"<!doctype html><html><head></head><body><h1>x</h1><p>You sought \r</p><p>y</p></body></html>"
    assert judge(rewritten(page, groups)) == AGREES


def test_a_stray_tag_before_the_last_place_of_an_order_condemns_nobody() -> None:
    page = b"<!doctype html><html><head></head><body><ul><li>1</li>&euro;\r\n </b><li>2</li></ul><p>3</p></body></html>"
    order = one("reorderChildren", "ul", order=[{"selector": "p"}], adopt=True)
    case = rewritten(page, groups_of([order]))
    assert b"<ul><p>3</p>&euro;\r\n </b><li>1</li>\r\n <li>2</li></ul>" in case.rewritten
    assert judge(case) == AGREES


def test_what_loses_its_tags_has_its_part_in_an_order() -> None:
    page = b"<!doctype html><html><head></head><body><ul> <li class=f> <i>1</i>\n</li>\n<li>2</li> <li id=c>3</li></ul></body></html>"
    unwrap, order = one("removeAndKeepContent", ".f"), one("reorderChildren", "ul", order=[{"selector": "#c"}])
    assert judge(rewritten(page, groups_of([unwrap], [order]))) == AGREES
    assert judge(rewritten(page, groups_of([order], [unwrap]))) == AGREES
    assert judge(rewritten(page, groups_of([one("remove", ".f")], [order]))) == AGREES


def test_no_more_than_a_few_characters_of_a_page_are_told() -> None:
    secret = b"Dear Ms Doe, your balance is 1,234.56 and your address is 1 Long Street, Anytown " * 20
    page = PAGE.replace(b"two", secret)
    said = opinion(page, one("remove", "li.x"), spoil=lambda page: page.replace(secret, b"DEAR " + secret))
    assert said.verdict is Verdict.DIFFERS
    assert "Dear" in said.detail
    assert len(said.detail) < 160


# -- the engine's own blocks


def test_the_engine_s_own_blocks_are_expected_and_not_judged_further() -> None:
    hide = one("hideByStyle", "footer")
    island = b'<script type="application/json" data-layout-mutation>{"any":"data"}</script></head>'
    assert opinion(PAGE, hide, spoil=lambda page: page.replace(b"</head>", island)) == AGREES
    ours = PAGE.replace(b"</head>", b"<style data-layout-mutation>p{}</style></head>")
    assert opinion(ours, hide) == AGREES, "an engine before this one wrote a block of its own"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"footer{", b"header{"),
        (b"</style>", b"body{display:none}</style>"),
        (b"<style data-layout-mutation>footer{display:none!important}</style>", b""),
        (b"<style data-layout-mutation>", b'<style data-layout-mutation nonce="guessed">'),
    ],
)
def test_a_style_block_that_does_otherwise_is_found(old: bytes, new: bytes) -> None:
    said = opinion(PAGE, one("hideByStyle", "footer"), spoil=lambda page: page.replace(old, new))
    assert said.verdict is Verdict.DIFFERS
    assert "style" in said.detail


def test_the_block_has_the_page_s_nonce() -> None:
    assert judge(rewritten(PAGE, groups_of([one("hideByStyle", "footer")]), nonce="n0nce")) == AGREES


# -- known differences, and other doubts


def doubt(page: bytes, *operations: dict[str, object], **spoil: object) -> Doubt | None:
    said = opinion(page, *operations, **spoil)  # type: ignore[arg-type]
    assert said.verdict is Verdict.NO_OPINION
    return said.doubt


@pytest.mark.parametrize(
    "page",
    [
        b"\xef\xbb\xbf" + PAGE,
        PAGE.replace(b"</head>", b"<noscript><img src=x><link></noscript><link></head>"),
        PAGE.replace(b"<footer>", b"<noscript><p>no</noscript><footer>"),
        PAGE.replace(b"<footer>", b"<template><h1>t</h1><template>u</template></template><footer>"),
        PAGE.replace(b"<footer>", b"<b>1<i>2</b>3</i><table>x<tr><td>y</table><footer>"),
        PAGE.replace(b"\n", b"\r\n"),
        PAGE.replace(b"end", "\u00fc\u6f22".encode()),
        PAGE.replace(b"end", b"\xff\xc3"),
        PAGE.replace(b"<footer>", b"<svg viewBox='0 0 1 1'><title>x</title></svg><math><mi>x</mi></math><footer>"),
        PAGE.replace(b"<!doctype html>", b""),
    ],
)
def test_what_is_odd_about_a_page_does_not_condemn_a_good_mutation(page: bytes) -> None:
    assert (
        opinion(page, one("setText", "h1", content={"text": "\u00e9"}), one("append", "footer", content=HTML)) == AGREES
    )


def test_other_encodings() -> None:
    for codec, name in (("utf-16-le", "utf-16le"), ("shift_jis", "shift_jis"), ("latin-1", "latin1"), ("gbk", "gbk")):
        page = PAGE.decode().replace("end", "\u00b1").encode(codec)
        groups = groups_of([one("setText", "h1", content={"text": "\u00b1 \u20ac"})])
        assert judge(rewritten(page, groups, charset=name)) == AGREES, codec
    assert judge(rewritten(PAGE, groups_of([one("remove", "h1")]), charset=None)) == AGREES
    case = msgspec.structs.replace(rewritten(PAGE, groups_of([one("remove", "h1")])), charset="no-such")
    assert judge(case).doubt is Doubt.CHARSET


def test_a_page_that_the_parsers_read_otherwise_gives_no_opinion() -> None:
    """A declarative shadow root is a template to selectolax; what is wrong with the page can't be told from that."""
    page = PAGE.replace(b"<footer>", b"<div><template shadowrootmode=open><p>x</p></template></div><footer>")
    remove = one("remove", "h1")
    assert opinion(page, remove) == AGREES
    assert doubt(page, remove, spoil=lambda page: page.replace(b"two", b"TWO")) is Doubt.READ_OTHERWISE


def test_selectors() -> None:
    """A plain selector has one meaning, whatever the rewriter says that it found; others may be taken otherwise."""
    add = one("addClass", "html:first-child", names=["x"])
    case = rewritten(PAGE, groups_of([add, one("remove", "h1")]))
    assert judge(case).doubt is Doubt.SELECTOR
    for selector in ("footer", "ul > li.x", "div#d p + p", '[class="x"]', "h1, footer", ".\u00fc, footer", "*"):
        more = msgspec.structs.replace(
            rewritten(PAGE, groups_of([one("addClass", selector, names=["y"])])), touched=(Touched("m-0", 0, 99),)
        )
        assert judge(more).verdict is Verdict.DIFFERS, selector
    assert doubt(PAGE, one("addClass", "p:lang(en), p", names=["x"])) is Doubt.SELECTOR


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (PAGE + b" " * PAGE_BYTES_MAX, Doubt.TOO_LARGE),
        (PAGE + b"<br>" * TAGS_MAX, Doubt.TOO_LARGE),
        (PAGE + b"<div>" * 40_000, Doubt.TOO_DEEP),
        (PAGE + b"<template>" * (DEPTH_MAX + 1), Doubt.TOO_DEEP),
        (PAGE + b"<p %s>" % b" ".join(b"a%d" % n for n in range(ATTRIBUTES_MAX + 1)), Doubt.ATTRIBUTES),
    ],
)
def test_what_would_take_selectolax_long_is_not_given_to_it(page: bytes, why: Doubt) -> None:
    touched = (Touched("m-0", 0, 1),)
    case = Case(page=PAGE, rewritten=page, charset="UTF-8", groups=groups_of([one("remove", "h1")]), touched=touched)
    assert judge(case).doubt is why
    assert judge(msgspec.structs.replace(case, page=page, rewritten=PAGE)).doubt is why


def test_a_verb_that_it_does_not_know() -> None:
    class Strange(model.Remove, tag="strange", frozen=True):
        """Somebody else's."""

    groups = (Group("m-0", (Strange(target=model.Target(selector="h1")),)),)
    case = Case(page=PAGE, rewritten=PAGE, charset="UTF-8", groups=groups, touched=(Touched("m-0", 0, 1),))
    assert judge(case) == Opinion(Verdict.NO_OPINION, Doubt.VERB, "strange")


# -- who is to blame


def test_the_mutation_to_blame_is_found_where_it_differs_alone() -> None:
    """On this page the rewriter is right, so nobody differs alone and all that were applied are named."""
    groups = groups_of([one("remove", "h1")], [one("remove", "nothing")], [one("remove", "footer")])
    assert blamed(rewritten(PAGE, groups)) == ("m-0", "m-2")
    assert blamed(rewritten(PAGE, groups[:2])) == ("m-0",)


def test_one_of_several_differs_alone() -> None:
    groups = groups_of([one("remove", "h1")], [one("remove", "li.x")])

    def careless(page: bytes, groups: tuple[Group, ...], **manner: Any) -> Rewritten | PassedThrough:
        """A rewriter that takes the list's end for the item's."""
        result = apply_groups(page, groups, **manner)
        if isinstance(result, PassedThrough) or all(group.mutation_id != "m-1" for group in groups):
            return result
        return msgspec.structs.replace(result, page=result.page.replace(b"</ul>", b""))

    result = careless(PAGE, groups, charset="utf-8", nonce=None)
    assert isinstance(result, Rewritten)
    case = Case.of(PAGE, result, groups)
    assert judge(case).verdict is Verdict.DIFFERS
    assert blamed(case, careless) == ("m-1",)
