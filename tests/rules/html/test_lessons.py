"""Where two pages differ, and what may be learned from that: inert runs in values that nothing looks at."""

import pytest

from rules import model
from rules.group import Group
from rules.html import Rewritten, apply_groups
from rules.html.lessons import gaps_between, learn
from rules.html.skeleton import Gap, Lesson, Skeleton
from tests.rules.html.making import at, html, text

GROUPS = [Group("m", (model.SetText(target=at("h1"), content=text("New")),))]


def learned(before: str, after: str, *operations: model.Operation, nonce: bool = False) -> Lesson | None:
    """From two pages of `before`, a token and `after`; about one operation, by default a new text for `h1`."""
    base, other = (f"{before}{token}{after}".encode() for token in ("abc1", "xyz22"))
    gaps = gaps_between(base, other)
    assert gaps is not None
    groups = [Group("m", operations)] if operations else GROUPS
    return learn(base, gaps, groups, charset="utf-8", with_nonce=nonce, apply=apply_groups)


def test_pages_differ_in_whole_runs() -> None:
    base, other = b'<p title="a-1 b">x 10:22:05 y</p>', b'<p title="a-2 b">x 10:23:59 y</p>'
    gaps = gaps_between(base, other)
    assert gaps is not None
    assert [base[gap.start : gap.end] for gap in gaps] == [b"a-1", b"10:22:05"]


def test_known_gaps_stay() -> None:
    assert gaps_between(b"<a b=c>d</a>", b"<a b=c>e</a>", (Gap(5, 6),)) == (Gap(5, 6), Gap(7, 8))
    assert gaps_between(b"<a b=c>d</a>", b"<a b=c>e</a>", (Gap(7, 8),)) == (Gap(7, 8),)


@pytest.mark.parametrize("other", [b"<p>a b</p>", b"<p></p>", b"<p>a</p><p>", b"<p>a!</p>", b"<p>a</p> "])
def test_what_differs_by_more_than_runs(other: bytes) -> None:
    assert gaps_between(b"<p>a</p>", other) is None


def test_there_may_be_many_gaps_but_not_any_number() -> None:
    base, other = b"<i>a" * 300, b"<i>b" * 300
    assert gaps_between(base, other) is None
    assert gaps_between(base[:800], other[:800]) is not None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<h1>a</h1><p>", "</p>"),
        ('<meta name=csrf content="', '"><h1>a</h1>'),
        ("<h1>a</h1><input value=", ">"),
        ("<h1>a</h1><a href='/x?t=", "'>b</a>"),
        ("<script>let t = '", "'</script><h1>a</h1>"),
        ("<!-- made at ", " --><h1>a</h1>"),
        ("<h1>", "</h1>"),
        ("<title>", "</title><h1>a</h1>"),
        ("<h1>a</h1><svg><text>", "</text></svg>"),
        ("<h1>a</h1><table>", "<tr><td></table>"),
        ("<h1>a</h1><template><p>", "</p></template>"),
        ("<body><body lang=", "><h1>a</h1>"),
    ],
)
def test_a_value_that_nothing_looks_at_may_differ(before: str, after: str) -> None:
    lesson = learned(before, after)
    assert lesson is not None
    base = f"{before}abc1{after}".encode()
    skeleton = Skeleton(base, lesson, "utf-8")
    for token in ("q", "a/b+c", "0" * 300, "Ü"):
        page = f"{before}{token}{after}".encode()
        assert skeleton.fit(page, None) == apply_groups(page, GROUPS, charset="utf-8")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<", "><h1>a</h1>"),
        ("<p ", "=a><h1>a</h1>"),
        ("<h1>a</h1>&", ";"),
        ("<h1>a</h1>&#", ";"),
        ("<!", "><h1>a</h1>"),
        ("<?", "><h1>a</h1>"),
        ("<!doctype html PUBLIC '", "'><h1>a</h1>"),
        ("<h1 class='", "'>a</h1>"),
        ("<h1>a</h1><p id=", ">"),
        ("<h1>a</h1><table><input type=", "></table>"),
        ("<meta http-equiv=refresh content='", "'><h1>a</h1>"),
        ("<h1>a</h1><b title=", ">"),
        ("<h1>a</h1></p title=", ">"),
        ("<h1>a</h1><!--$", "-->"),
        ("<h1>a</h1><p title='<!--$", "-->'>"),
        ("<h1>a</h1><textarea><!--[", "--></textarea>"),
    ],
)
def test_what_could_mean_something_may_not(before: str, after: str) -> None:
    assert learned(before, after) is None


def test_an_attribute_that_a_selector_or_verb_names_may_not_differ() -> None:
    page = "<p title=", ">x</p><h1>a</h1>"
    assert learned(*page) is not None
    assert learned(*page, model.Remove(target=at("[title=abc1]"))) is None
    assert learned(*page, model.SetAttribute(target=at("p"), name="title", value="abc1")) is None
    assert learned(*page, model.Remove(target=at("p:lang(de)"))) is None


def test_an_edit_may_swallow_a_gap() -> None:
    before, after = "<h1>a</h1><p>", "</p><i>z</i>"
    groups = [Group("m", (model.Remove(target=at("p")), model.After(target=at("i"), content=html("<b>n</b>"))))]
    lesson = learned(before, after, *groups[0].operations)
    assert lesson is not None
    page = f"{before}a-longer-token{after}".encode()
    assert Skeleton(f"{before}abc1{after}".encode(), lesson, "utf-8").fit(page, None) == apply_groups(
        page, groups, charset="utf-8"
    )


def test_what_is_moved_has_the_pages_own_value() -> None:
    before, after = "<h1>a</h1><p title=", ">x</p><i>z</i>"
    operations = (
        model.MoveBefore(target=at("p"), anchor=at("h1")),
        model.SetText(target=at("p"), content=text("n")),
        model.ReorderChildren(target=at("body"), order=[at("i")]),
    )
    page = f"<body>{before}a-longer-token{after}".encode()
    lesson = learned(f"<body>{before}", after, *operations)
    assert lesson is not None
    wanted = apply_groups(page, [Group("m", operations)], charset="utf-8")
    assert isinstance(wanted, Rewritten)
    assert b"<p title=a-longer-token>n</p>" in wanted.page
    assert Skeleton(f"<body>{before}abc1{after}".encode(), lesson, "utf-8").fit(page, None) == wanted


def test_the_nonce_of_each_page_is_written() -> None:
    operation = model.HideByStyle(target=at("h1"))
    lesson = learned("<head></head><script nonce=", ">1</script><h1>a</h1>", operation, nonce=True)
    assert lesson is not None
    skeleton = Skeleton(b"<head></head><script nonce=abc1>1</script><h1>a</h1>", lesson, "utf-8")
    page = b"<head></head><script nonce=k9>1</script><h1>a</h1>"
    assert skeleton.fit(page, "k9") == apply_groups(page, [Group("m", (operation,))], charset="utf-8", nonce="k9")
    assert skeleton.fit(page, None) is None
    assert skeleton.fit(page, 'a" onload="x') is None


def test_whether_a_policy_in_the_page_has_the_nonce_of_its_head_is_not_learned() -> None:
    policy = "<meta http-equiv=Content-Security-Policy content=\"style-src 'nonce-k9'\">"
    before, after = f"<head>{policy}</head><h1>a</h1><p title=", ">x</p>"
    assert learned(before, after, model.HideByStyle(target=at("h1")), nonce=True) is None
    assert learned(before, after, model.HideByStyle(target=at("h1"))) is not None
    other = before.replace("nonce-k9", "self")
    assert learned(other, after, model.HideByStyle(target=at("h1")), nonce=True) is not None


def test_a_slash_that_ends_a_value_ends_no_element() -> None:
    before, after = "<h1>a</h1><svg><g data-t=", "><path></path></g></svg>"
    operation = model.Append(target=at("g"), content=html("<path></path>"))
    lesson = learned(before, after, operation)
    assert lesson is not None
    page = f"{before}abc1/{after}".encode()
    wanted = apply_groups(page, [Group("m", (operation,))], charset="utf-8")
    assert isinstance(wanted, Rewritten)
    assert Skeleton(f"{before}abc1{after}".encode(), lesson, "utf-8").fit(page, None) == wanted


def test_a_wide_or_unknown_charset_teaches_nothing() -> None:
    base, other = ("<p>abc1</p>".encode("utf-16-le"), "<p>xyz1</p>".encode("utf-16-le"))
    gaps = gaps_between(base, other)
    assert gaps is not None
    for charset in ("utf-16le", "no-such-charset"):
        assert learn(base, gaps, GROUPS, charset=charset, with_nonce=False, apply=apply_groups) is None


def test_a_page_without_targets_has_a_skeleton_too() -> None:
    lesson = learned("<p>", "</p>")
    assert lesson is not None
    page = b"<p>another</p>"
    assert Skeleton(b"<p>abc1</p>", lesson, "utf-8").fit(page, None) == apply_groups(page, GROUPS, charset="utf-8")
