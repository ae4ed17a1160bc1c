"""Groups on a page: outcomes, styles, limits, and finding the group that has no proof."""

import gc
from base64 import b64encode
from collections import Counter
from hashlib import sha256

import pytest

from rules import css, limits, model
from rules.errors import RulesError
from rules.group import Group
from rules.html import PassedThrough, Rewritten, apply_groups, rewrite
from rules.reasons import Outcome, Reason
from tests.rules.html.making import at, html, reasons, text

REMOVE_P = model.Remove(target=at("p"))


def hidden(page: str, *selectors: str, nonce: str | None = None, charset: str = "utf-8") -> Rewritten:
    groups = [Group(selector, (model.HideByStyle(target=at(selector)),)) for selector in selectors]
    result = apply_groups(page.encode(), groups, charset=charset, nonce=nonce)
    assert isinstance(result, Rewritten)
    return result


def test_an_operation_that_fits_no_page_is_an_error_with_its_index() -> None:
    broken = model.Append(target=at("p"), content=html("<b>"))
    with pytest.raises(RulesError) as caught:
        rewrite(b"<p>", [REMOVE_P, broken])
    assert caught.value.path == "$[1].content.html"


def test_a_page_has_a_size() -> None:
    page = bytes(limits.PAGE_BYTES_MAX + 1)
    assert apply_groups(page, [], charset=None) == PassedThrough(reason=Reason.TOO_LARGE, detail=f"{len(page):,} bytes")
    assert apply_groups(b"<p>", [], charset=None, page_bytes_max=2) == PassedThrough(
        reason=Reason.TOO_LARGE, detail="3 bytes"
    )


@pytest.mark.parametrize(
    ("page", "detail"),
    [
        (b"<p>" * (limits.TAGS_MAX + 1), f"{limits.TAGS_MAX + 1:,} tags"),
        (b"<div>" * 6_000, "elements more than 512 deep"),
        (b"<div>" * 500 + b"<p>x</p>" * 6_000 + b"<div>" * 20, "elements more than 512 deep"),
    ],
)
def test_a_page_has_so_many_tags_and_is_so_deep(page: bytes, detail: str) -> None:
    asked = [Group("a", (model.AddClass(target=at("p"), names=["n"]),))]
    assert apply_groups(page, asked, charset="utf-8") == PassedThrough(reason=Reason.TOO_LARGE, detail=detail)


@pytest.mark.parametrize("others", [0, 1, 2, 8, 9, *(n * limits.TAGS_MAX for n in (1, 3, 8, 9))])
@pytest.mark.parametrize("begins", [True, False])
def test_tags_are_counted_wherever_they_are(others: int, begins: bool) -> None:
    asked = [Group("a", (model.AddClass(target=at("p"), names=["n"]),))]
    for tags, reason in ((limits.TAGS_MAX, Reason.NOTHING_MATCHED), (limits.TAGS_MAX + 1, Reason.TOO_LARGE)):
        page = b"<" * tags + b"x" * others if begins else b"x" * others + b"<" * tags
        result = apply_groups(page, asked, charset="utf-8")
        assert isinstance(result, PassedThrough)
        assert result.reason is reason


def test_a_large_page_of_ordinary_depth_is_rewritten() -> None:
    page = b"<div>" * 400 + b"<p>x</p>" * 6_000
    assert isinstance(
        apply_groups(page, [Group("a", (model.Remove(target=at("p:first-child")),))], charset="utf-8"), Rewritten
    )


@pytest.mark.parametrize("depth", [10, 100, 2_000])
def test_elements_left_open_inside_each_other_are_no_exception(depth: int) -> None:
    page = ("<body>" + "<div>" * depth + "x</body>").encode()
    for operation in (model.Append(target=at("body"), content=text("n")), model.Remove(target=at("body > div"))):
        result = apply_groups(page, [Group("a", (operation,))], charset="utf-8")
        assert result.outcomes[0].reason in (Reason.APPLIED, Reason.AMBIGUOUS_SPAN)


def test_an_encoding_that_can_not_be_edited() -> None:
    assert apply_groups(b"<p>", [Group("a", (REMOVE_P,))], charset="iso-2022-jp") == PassedThrough(
        reason=Reason.CHARSET, detail="iso-2022-jp"
    )


def test_outcomes_say_how_many_and_which() -> None:
    result = apply_groups(
        b"<p>a</p><p>b</p>",
        [Group("both", (REMOVE_P,)), Group("none", (REMOVE_P, model.Remove(target=at("h1"))))],
        charset="utf-8",
    )
    assert result.outcomes == (
        Outcome("both", Reason.APPLIED, "2 elements"),
        Outcome("none", Reason.SHADOWED, "operation 1: p, shadowed by both"),
    )


def test_required_counts_every_element() -> None:
    target = model.Target(selector="p", required=True)
    group = Group("g", (model.AddClass(target=at("h1"), names=["a"]), model.SetText(target=target, content=text("x"))))
    whole = apply_groups(b"<h1>h</h1><p>a</p>", [group], charset="utf-8")
    assert isinstance(whole, Rewritten)
    assert whole.page == b'<h1 class="a">h</h1><p>x</p>'
    part = apply_groups(b"<h1>h</h1><p>a</p><p><b>b</p>c", [group], charset="utf-8")
    assert isinstance(part, PassedThrough)


def test_required_is_content_with_what_already_is() -> None:
    target = model.Target(selector="p", required=True)
    group = Group("g", (model.AddClass(target=target, names=["a"]), model.Remove(target=at("h1"))))
    result = apply_groups(b"<h1>h</h1><p class=a>x</p>", [group], charset="utf-8")
    assert isinstance(result, Rewritten)
    assert result.page == b"<p class=a>x</p>"


def test_a_style_block_hides_and_has_a_hash() -> None:
    result = hidden("<head></head><p>a</p><i>b</i>", "p", "i", "p")
    css = "p{display:none!important}i{display:none!important}"
    assert result.page.decode() == f"<head><style data-layout-mutation>{css}</style></head><p>a</p><i>b</i>"
    assert result.style_hashes == (b64encode(sha256(css.encode()).digest()).decode(),)
    assert hidden("<head></head><p>a</p>", "p", nonce='"x').page.startswith(
        b'<head><style data-layout-mutation nonce="&quot;x">'
    )


def test_a_style_block_is_ascii_in_any_encoding() -> None:
    assert css.escaped("[a=é]") == "[a=\\e9 ]"
    assert b"[title=\\e9 ]{" in hidden("<head></head><p title=\u00e9>a</p>", "[title=é]").page


def test_what_only_hides_fails_without_a_head() -> None:
    hide = model.HideByStyle(target=at("p"))
    groups = [Group("hides", (hide,)), Group("more", (hide, model.SetText(target=at("p"), content=text("x"))))]
    result = apply_groups(b"<p>a</p>", groups, charset="utf-8")
    assert isinstance(result, Rewritten)
    assert result.page == b"<p>x</p>"
    assert [outcome.reason for outcome in result.outcomes] == [Reason.AMBIGUOUS_SPAN, Reason.APPLIED]
    assert result.style_hashes == ()


def test_the_one_group_without_proof_is_found() -> None:
    page = b"<pre><i id=x>c</i></pre>" + b"".join(b"<h2 id=h%d>t</h2>" % number for number in range(9))
    good = [Group(f"g{n}", (model.SetText(target=at(f"#h{n}"), content=text("n")),)) for n in range(9)]
    bad = Group("bad", (model.Before(target=at("#x"), content=text("\ny")),))
    for place in (0, 4, 9):
        groups = [*good[:place], bad, *good[place:]]
        result = apply_groups(page, groups, charset="utf-8")
        assert isinstance(result, Rewritten)
        told = {outcome.mutation_id: outcome.reason for outcome in result.outcomes}
        assert [outcome.mutation_id for outcome in result.outcomes] == [group.mutation_id for group in groups]
        assert told.pop("bad") is Reason.AMBIGUOUS_SPAN
        assert set(told.values()) == {Reason.APPLIED}


def test_on_a_large_page_it_is_looked_for_less_often() -> None:
    page = b"<pre><i id=x>c</i><i id=y>d</i></pre><h2 id=a>t</h2>"
    safe = [Group(f"safe{n}", (model.AddClass(target=at("#a"), names=[f"n{n}"]),)) for n in range(9)]
    good = [Group(f"good{n}", (model.Before(target=at("#y"), content=text(f"n{n}")),)) for n in range(20)]
    bad = [Group(f"bad{n}", (model.Before(target=at("#x"), content=text("\ny")),)) for n in range(3)]
    groups = [bad[0], *safe, *good[:10], bad[1], *good[10:], bad[2]]
    for breaks, proven in ((100, range(20, 21)), (2_000, range(5, 20)), (30_000, range(1))):
        outcomes = apply_groups(page + b"<br>" * breaks, groups, charset="utf-8").outcomes
        applied = Counter(one.mutation_id.rstrip("0123456789") for one in outcomes if one.reason is Reason.APPLIED)
        assert (applied["safe"], applied["bad"]) == (9, 0), "those that need no proof are not looked for"
        assert applied["good"] in proven, breaks


def test_a_utf_16_page_has_edits_in_its_own_bytes() -> None:
    page = b"\xfe\xff" + "<p>ä</p>😀<p>b</p>".encode("utf-16-be")
    result = rewrite(page, [model.SetText(target=at("p"), content=text("漢😀"))])
    assert isinstance(result, Rewritten)
    assert result.page == b"\xfe\xff" + "<p>漢😀</p>😀<p>漢😀</p>".encode("utf-16-be")
    assert [page[edit.start : edit.end].decode("utf-16-be") for edit in result.edits] == ["ä", "b"]
    assert result.charset == "UTF-16BE"


def test_many_edits_of_a_utf_16_page_take_no_longer_each() -> None:
    page = ("<p>ä</p>" * 9_000).encode("utf-16-le")
    result = rewrite(page, [model.SetAttribute(target=at("p"), name="id", value="x")], charset="utf-16le")
    assert isinstance(result, Rewritten)
    assert len(result.edits) == 9_000


def test_too_many_matches() -> None:
    page = "<i></i>" * (limits.MATCHES_MAX + 1)
    assert reasons(page, model.Remove(target=at("i"))) == ["too_many_matches"]
    assert reasons("<i></i><i></i>", model.Remove(target=model.Target(selector="i", max_matches=1))) == [
        "too_many_matches"
    ]


def test_a_page_s_tree_is_gone_when_its_rewriting_is() -> None:
    """A cycle would keep it until the next collection: the trees of a dozen pages, and cold caches."""
    operations = (
        model.SetAttribute(target=at("p"), name="title", value="n"),
        model.AddClass(target=at("p"), names=["n"]),
        model.After(target=at("p"), content=html("<b>n</b>")),
        model.SetText(target=at("b"), content=text("n")),
        model.HideByStyle(target=at("i")),
        model.SetTokens(tokens={"--a": "1"}),
        model.SetStyle(target=at("p"), properties={"top": "0"}),
        model.Remove(target=model.Target(selector="i + i", required=True)),
    )
    gc.collect()
    gc.disable()
    try:
        for page in (b"<head></head><p>x<b>y</b><i></i>", b"<p><b><p></b><i></i>"):
            rewrite(page, operations, charset="utf-8")
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_page_whose_policy_is_told_of_the_style_block_is_proven_as_a_whole() -> None:
    meta = "<meta http-equiv=content-security-policy content=\"style-src 'none'\">"
    page = f"<html><head>{meta}<title>t</title></head><body><p>x</body></html>".encode()
    groups = [
        Group("a", (model.SetTokens(tokens={"--a": "1"}), model.SetStyle(target=at("p"), properties={"top": "0"})))
    ]
    result = apply_groups(page, groups, charset="utf-8", prove_all=True)
    assert isinstance(result, Rewritten)
    assert result == apply_groups(page, groups, charset="utf-8")
    assert f"'sha256-{result.style_hashes[0]}'".encode() in result.page
    assert b"'none'" not in result.page


def test_a_wide_page_has_its_policy_told_too() -> None:
    meta = "<meta http-equiv=content-security-policy content=\"style-src 'self'\">"
    page = f"<html><head>{meta}</head><body>x</body></html>".encode("utf-16")
    result = apply_groups(page, [Group("a", (model.SetTokens(tokens={"--a": "1"}),))], charset=None)
    assert isinstance(result, Rewritten)
    assert f"style-src 'self' 'sha256-{result.style_hashes[0]}'" in result.page.decode("utf-16")
