"""Skeletons of a worker: when pages are studied, what is kept, and what gives way."""

import pytest

from rules import model
from rules.group import Group
from rules.html import Rewritten, apply_groups
from rules.html.lessons import gaps_between, learn
from rules.html.skeleton import EditShape, Gap, Lesson
from sidecar.rewriting.memo import ENTRY_OVERHEAD_BYTES, MemoKey
from sidecar.rewriting.skeletons import Skeletons, Study

KEY = MemoKey("shop.example/", "d", "utf-8", None)
GROUPS = (Group("m", (model.SetText(target=model.Target(selector="h1"), content=model.Content(text="New")),)),)
MEGABYTE = 1024 * 1024


def page(token: str, rest: str = "") -> bytes:
    return f"<p title={token}>x</p><h1>a</h1>{rest}".encode()


def lesson_of(study: Study) -> Lesson | None:
    gaps = gaps_between(study.base, study.other, study.known)
    if gaps is None:
        return None
    with_nonce = study.key.nonce is not None
    return learn(study.base, gaps, GROUPS, charset="utf-8", with_nonce=with_nonce, apply=apply_groups)


def taught(skeletons: Skeletons, *pages: bytes, key: MemoKey = KEY) -> list[Study]:
    """Offer pages one after another, learning at once; the studies that were made."""
    studies = []
    for one in pages:
        if (study := skeletons.offer(key, one)) is not None:
            studies.append(study)
            skeletons.learned(study, lesson_of(study))
    return studies


def test_the_third_page_of_a_key_is_studied_and_the_fourth_fits() -> None:
    skeletons = Skeletons(MEGABYTE)
    assert skeletons.offer(KEY, page("a")) is None
    assert skeletons.offer(KEY, page("b")) is None
    study = skeletons.offer(KEY, page("c"))
    assert study == Study(KEY, page("b"), page("c"), ())
    assert skeletons.offer(KEY, page("d")) is None, "one study at a time"
    assert skeletons.fit(KEY, page("d")) is None
    skeletons.learned(study, lesson_of(study))
    answer = skeletons.fit(KEY, page("d"))
    assert isinstance(answer, Rewritten)
    assert answer.page == page("d").replace(b"<h1>a", b"<h1>New")
    assert skeletons.status() | {"bytes": 0} == {
        "hits": 1,
        "misses": 0,
        "pages": 1,
        "lessons": 1,
        "bytes": 0,
        "bytes_max": MEGABYTE,
    }


def test_a_page_that_differs_elsewhere_too_widens_the_skeleton() -> None:
    skeletons = Skeletons(MEGABYTE)
    first, second = taught(skeletons, page("a"), page("b"), page("c"), page("d").replace(b">x<", b">y<"))
    assert (len(first.known), len(second.known)) == (0, 1)
    assert skeletons.fit(KEY, page("e").replace(b">x<", b">z<")) is not None


def test_pages_with_a_nonce_share_a_skeleton() -> None:
    skeletons = Skeletons(MEGABYTE)
    with_nonce = [KEY._replace(nonce=nonce) for nonce in "abcd"]
    for key, token in zip(with_nonce[:3], "abc", strict=True):
        taught(skeletons, page(token), key=key)
    assert skeletons.fit(with_nonce[3], page("q")) is not None
    assert skeletons.fit(KEY, page("q")) is None


def test_what_cannot_be_learned_is_tried_again_ever_more_rarely() -> None:
    skeletons = Skeletons(MEGABYTE)
    pages = [page(str(number), "<i>" * number) for number in range(40)]
    studied_at = []
    for number, one in enumerate(pages):
        if taught(skeletons, one):
            studied_at.append(number)
    assert studied_at == [2, 4, 8, 16, 32]


def test_another_page_is_learned_from_once_the_first_was_the_odd_one() -> None:
    skeletons = Skeletons(MEGABYTE)
    taught(skeletons, page("a"), page("b", "<i>odd</i>"), page("c"), page("d"), page("e"))
    assert skeletons.fit(KEY, page("f")) is not None


def test_memory_is_bounded_and_the_least_recently_used_leaves() -> None:
    skeletons = Skeletons(64 * 1024)
    keys = [KEY._replace(address=str(number)) for number in range(12)]
    padding = "y" * 3000
    for key in keys:
        taught(skeletons, *(page(token, padding) for token in "abc"), key=key)
        assert skeletons.bytes <= skeletons.bytes_max
        skeletons.fit(keys[0], page("q", padding))
    assert skeletons.fit(keys[0], page("q", padding)) is not None
    assert skeletons.fit(keys[1], page("q", padding)) is None
    assert skeletons.fit(keys[11], page("q", padding)) is not None
    taught(skeletons, *(page(token, "y" * 5000) for token in "abc"), key=KEY)
    assert skeletons.fit(KEY, page("q", "y" * 5000)) is None, "one page would be too much of it"


def test_none_are_kept_where_there_is_no_room() -> None:
    skeletons = Skeletons(0)
    assert taught(skeletons, *(page(token) for token in "abcdef")) == []
    assert (skeletons.bytes, len(skeletons)) == (0, 0)


@pytest.mark.parametrize(
    "lesson",
    [
        Lesson((Gap(5, 4),), (), (), (), "UTF-8", False),
        Lesson((Gap(0, 1000),), (), (), (), "UTF-8", False),
        Lesson((Gap(9, 10), Gap(9, 12)), (), (), (), "UTF-8", False),
        Lesson((), (EditShape(3, 1000, ()),), (), (), "UTF-8", False),
        Lesson((Gap(9, 10),), (EditShape(3, 4, (1,)),), (), (), "UTF-8", False),
        Lesson((Gap(9, 10),), (EditShape(3, 4, (-2,)),), (), (), "UTF-8", False),
    ],
)
def test_a_lesson_that_cannot_be_of_its_page_is_nonsense(lesson: Lesson) -> None:
    skeletons = Skeletons(MEGABYTE)
    skeletons.offer(KEY, page("a"))
    skeletons.offer(KEY, page("b"))
    study = skeletons.offer(KEY, page("c"))
    assert study is not None
    with pytest.raises(ValueError, match=r"can't be of a page|no gap"):
        skeletons.learned(study, lesson)
    skeletons.learned(study, None)
    assert skeletons.fit(KEY, page("d")) is None


def test_a_lesson_for_what_has_left_is_dropped() -> None:
    skeletons = Skeletons(MEGABYTE)
    for token in "ab":
        skeletons.offer(KEY, page(token))
    study = skeletons.offer(KEY, page("c"))
    assert study is not None
    lesson = lesson_of(study)
    skeletons.learned(study, lesson)
    skeletons.learned(study._replace(base=page("z")), lesson)
    assert len(skeletons) == 1


def test_the_address_of_a_page_counts_too() -> None:
    skeletons = Skeletons(MEGABYTE)
    for number in range(200):
        key = KEY._replace(address=f"shop.example/?{number}".ljust(16_000))
        for token in "ab":
            skeletons.offer(key, page(token))
    kept = skeletons.bytes // (16_000 + ENTRY_OVERHEAD_BYTES)
    assert kept in range(50, MEGABYTE // 16_000)
    assert skeletons.bytes <= MEGABYTE


@pytest.mark.parametrize(("characters", "kept"), [(15_000, range(5, 12)), (60_000, range(1))])
def test_what_is_written_counts_too(characters: int, kept: range) -> None:
    """A page of a hundred bytes may become a large one, at each of its addresses; one is not to push out all others."""
    content = model.Content(html="x" * characters)
    groups = (Group("m", (model.Append(target=model.Target(selector="p"), content=content),)),)
    skeletons = Skeletons(MEGABYTE)
    for key in (KEY._replace(address=f"shop.example/?{number}") for number in range(20)):
        for token in ("a", "b", "c"):
            if (study := skeletons.offer(key, page(token, "<p>" * 5))) is not None:
                gaps = gaps_between(study.base, study.other)
                assert gaps is not None
                skeletons.learned(
                    study, learn(study.base, gaps, groups, charset="utf-8", with_nonce=False, apply=apply_groups)
                )
    assert len(skeletons) in kept
    assert skeletons.bytes <= MEGABYTE
