"""A page fits its skeleton to the byte, or not at all."""

import pytest

from rules import limits, model
from rules.group import Group
from rules.html import Rewritten, apply_groups
from rules.html.lessons import gaps_between, learn
from rules.html.skeleton import Skeleton
from tests.rules.html.making import at, text

GROUPS = [Group("m", (model.SetText(target=at("h1"), content=text("New")),))]


def skeleton(base: bytes, other: bytes, charset: str | None = "utf-8") -> Skeleton:
    gaps = gaps_between(base, other)
    assert gaps is not None
    lesson = learn(base, gaps, GROUPS, charset=charset, with_nonce=False, apply=apply_groups)
    assert lesson is not None
    return Skeleton(base, lesson, charset)


PAGE = skeleton(b"<p title=ab>cd</p><h1>x</h1>", b"<p title=ef>gh</p><h1>x</h1>")


def test_edits_move_with_what_grew_before_them() -> None:
    page = b"<p title=longer>c</p><h1>x</h1>"
    fitted = PAGE.fit(page, None)
    assert isinstance(fitted, Rewritten)
    assert fitted.page == b"<p title=longer>c</p><h1>New</h1>"
    assert fitted == apply_groups(page, GROUPS, charset="utf-8")


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<p title=ab>cd</p><h1>x</h1> ",
        b"<p title=ab>cd</p><h1>y</h1>",
        b"<p title=>cd</p><h1>x</h1>",
        b"<p title=a b>cd</p><h1>x</h1>",
        b"<p title=ab>c<d</p><h1>x</h1>",
        b"<p title=ab>c&d</p><h1>x</h1>",
        b"<p title=ab>c\0d</p><h1>x</h1>",
        b"<p title=ab>self.__next_f</p><h1>x</h1>",
        b"<p title=data-sveltekit-x>c</p><h1>x</h1>",
        b"<p title=ab>cd</p><h1>x</h1",
        b"<p title=ab>" + b"a" * (limits.GAP_BYTES_MAX + 1) + b"</p><h1>x</h1>",
    ],
)
def test_one_byte_off_and_it_is_parsed(page: bytes) -> None:
    assert PAGE.fit(page, None) is None


@pytest.mark.parametrize(("before", "after"), [(b"<!-- ", b" -->"), (b"<script>'", b"'</script>")])
def test_in_comments_and_scripts_a_run_has_no_dash_at_its_ends(before: bytes, after: bytes) -> None:
    pages = [before + token + after + b"<h1>x</h1>" for token in (b"abc", b"def", b"a--b", b"-a", b"a-")]
    known = skeleton(pages[0], pages[1])
    assert [known.fit(page, None) is not None for page in pages] == [True, True, True, False, False]


def test_a_declaration_that_is_pushed_out_of_sight() -> None:
    """Only the first 1,024 bytes are searched for a charset: a longer token before the `<meta>` can hide it."""

    def page(token: str) -> bytes:
        filler = "x" * (1024 - len("<!-- --><meta charset=latin1>") - 10)
        return f"<!-- {token} {filler}--><meta charset=latin1><h1>x</h1>".encode()

    known = skeleton(page("abc"), page("def"), None)
    near, far = page("abcde"), page("a" * 40)
    assert known.fit(near, None) == apply_groups(near, GROUPS, charset=None)
    assert known.fit(far, None) is None


def test_the_base_is_kept() -> None:
    assert PAGE.base == b"<p title=ab>cd</p><h1>x</h1>"


def test_a_run_that_breaks_off_within_a_character_is_parsed() -> None:
    page = skeleton(b"<h1>x</h1><p>ab</p>", b"<h1>x</h1><p>cd</p>", "shift_jis")
    assert page.fit(b"<h1>x</h1><p>\x82\xa0</p>", None) is not None
    assert page.fit(b"<h1>x</h1><p>a\x82</p>", None) is None
