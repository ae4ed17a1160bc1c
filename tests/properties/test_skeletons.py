"""A page that fits a skeleton becomes what parsing it would have given, whatever the page and wherever it differs."""

import random
import re
from collections.abc import Iterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from rules import model
from rules.group import Group
from rules.html import PassedThrough, Rewritten, apply_groups
from rules.html.lessons import gaps_between, learn
from rules.html.skeleton import RUN, Skeleton
from tests.properties.markup import PIECES, WORDS, operations
from tests.shared_folder import reads_shared_folder, shared_files

bounded = settings(max_examples=300, deadline=None)

TOKEN = "\uffff"
"""Stands for a token while a page is drawn."""
VALUES = st.sampled_from(
    "a 7 -- -a a- script /script body frameset copy amp x41 hidden text/html utf-8 td DOCTYPE q/q+ 10:22 Ä漢 !".split()
) | st.text(alphabet="ab-/:.é", min_size=1, max_size=9)
PLACED = st.sampled_from(
    """<p title=T> <input value="T"> <!--\tT\t--> <script>'T'</script> <b id=T> <a href='/?t=T'> &T; <T> <p\tT> <td>T
    <i title='T'> <svg><title>T</title></svg> <body lang=T> <!--T <script><!--T <T <title>T </T> <pre>T <b\tT=T>""".split()
).map(lambda piece: piece.replace("\t", " ").replace("T", TOKEN))
PAGES = st.lists(PIECES | PIECES | WORDS | st.just(TOKEN) | PLACED, min_size=1, max_size=25).map("".join)
GROUPS = st.lists(st.lists(operations(), min_size=1, max_size=3), min_size=1, max_size=3).map(
    lambda found: [Group(str(index), tuple(some)) for index, some in enumerate(found)]
)
CHARSETS = st.sampled_from(["utf-8", "shift_jis", "latin-1", None])


def filled(page: str, values: Sequence[str]) -> bytes:
    """The page with values, over and over, in place of its tokens."""
    pieces = page.split(TOKEN)
    written = [piece + values[index % len(values)] for index, piece in enumerate(pieces[:-1])]
    return "".join([*written, pieces[-1]]).encode("utf-8", "replace")


def assert_as_parsed(
    pages: Sequence[bytes], groups: Sequence[Group], charset: str | None, nonces: Sequence[str | None]
) -> int:
    """Learn from the first two pages and compare on all; how many fitted."""
    gaps = gaps_between(pages[0], pages[1])
    if gaps is None:
        return 0
    lesson = learn(pages[0], gaps, groups, charset=charset, with_nonce=nonces[0] is not None, apply=apply_groups)
    if lesson is None:
        return 0
    skeleton, fitting = Skeleton(pages[0], lesson, charset), 0
    assert skeleton.base == pages[0]
    for page, nonce in zip(pages, nonces, strict=True):
        answer = skeleton.fit(page, nonce)
        if answer is not None:
            fitting += 1
            assert answer == apply_groups(page, groups, charset=charset, nonce=nonce)
    return fitting


@bounded
@given(
    PAGES, st.lists(st.lists(VALUES, min_size=1, max_size=4), min_size=3, max_size=5), GROUPS, CHARSETS, st.booleans()
)
def test_what_fits_becomes_what_parsing_gives(
    page: str, fillings: list[list[str]], groups: list[Group], charset: str | None, has_nonce: bool
) -> None:
    pages = [filled(page, values) for values in fillings]
    nonces = [f"n{number}" if has_nonce else None for number in range(len(pages))]
    assert_as_parsed(pages, groups, charset, nonces)


def varied(page: bytes, chance: random.Random, spots: Sequence[tuple[int, int]]) -> bytes:
    """The page with other inert runs in these places."""
    changed = bytearray(page)
    for start, end in sorted(spots, reverse=True):
        run = bytes(chance.choices(b"abcXYZ019-_/.:\xe9", k=chance.randint(1, 20)))
        changed[start:end] = run.rstrip(b"\xe9") or b"a"  # a run that breaks off within a character does not fit
    return bytes(changed)


def trials(chance: random.Random) -> Iterator[tuple[bytes, list[tuple[int, int]]]]:
    """Real pages, each with a few runs that are to differ: in most trials where tokens stand, in some anywhere."""
    for path in shared_files("corpus/pages", "*.html"):
        page = path.read_bytes()
        anywhere = [match.span() for match in RUN.finditer(page)]
        values = [match.span(1) for match in re.finditer(rb'="([A-Za-z0-9_.,:+/%@*~-]+)"', page)]
        for spots in (values, values, anywhere):
            if spots:
                yield page, chance.sample(spots, min(len(spots), chance.randint(1, 3)))


@reads_shared_folder
def test_real_pages_that_differ_by_a_token() -> None:
    chance, fitting, tried = random.Random(7), 0, 0
    groups = [
        Group("0", (model.SetText(target=model.Target(selector="h1"), content=model.Content(text="New")),)),
        Group("1", (model.HideByStyle(target=model.Target(selector="footer")),)),
        Group("3", (model.MoveAfter(target=model.Target(selector="p"), anchor=model.Target(selector="h1")),)),
        Group("2", (model.Before(target=model.Target(selector="p"), content=model.Content(html="<b>n</b>")),)),
    ]
    for page, spots in trials(chance):
        tried += 1
        pages = [varied(page, chance, spots) for _ in range(4)]
        fitting += assert_as_parsed(pages, groups, "utf-8", ["n"] * 4) > 2
    assert tried == 0 or fitting > tried / 3, (fitting, tried)


def test_the_drawn_pages_do_fit_often_enough() -> None:
    """The property above says nothing where nothing is learned; so much is, on a page as it draws them."""
    groups = [Group("0", (model.SetText(target=model.Target(selector="h1"), content=model.Content(text="New")),))]
    page = f"<body lang={TOKEN}><h1>{TOKEN}</h1><p title={TOKEN}>{TOKEN}<td>{TOKEN}<!-- {TOKEN} --></table>"
    pages = [filled(page, values) for values in (["a"], ["b", "c"], ["7", "q/q+", "é"], ["a-"])]
    assert assert_as_parsed(pages, groups, "utf-8", [None] * 4) == 3
    assert isinstance(apply_groups(pages[0], groups, charset="utf-8"), Rewritten | PassedThrough)
