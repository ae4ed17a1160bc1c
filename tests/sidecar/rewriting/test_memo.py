"""Finished pages: exact, bounded, and not for pages that never come twice."""

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.html import Edit, Rewritten
from sidecar.rewriting.memo import ENTRY_OVERHEAD_BYTES, Doorkeeper, Memo, MemoKey

KEY = MemoKey("shop.example/", "d1", "utf-8", None)


def rewritten(page: bytes) -> Rewritten:
    return Rewritten(page=page, outcomes=(), edits=(Edit(0, 0, b""),), style_hashes=(), charset="utf-8")


def test_a_page_is_kept_from_its_second_sighting_on() -> None:
    memo = Memo(1_000_000)
    memo.put(KEY, b"body", rewritten(b"page"))
    assert memo.get(KEY, b"body") is None
    memo.put(KEY, b"body", rewritten(b"page"))
    assert memo.get(KEY, b"body") == rewritten(b"page")
    assert memo.status() == {"hits": 1, "misses": 1, "pages": 1, "bytes": 1032, "bytes_max": 1_000_000}


def test_another_body_address_decision_charset_or_nonce_is_another_page() -> None:
    memo = Memo(1_000_000)
    for _ in range(2):
        memo.put(KEY, b"body", rewritten(b"page"))
    assert memo.get(KEY, b"b0dy") is None
    for other in (("x", *KEY[1:]), (KEY[0], "x", *KEY[2:]), (*KEY[:2], "x", None), (*KEY[:3], "x")):
        assert memo.get(MemoKey(*other), b"body") is None


def test_a_changed_page_takes_the_place_of_the_old_one() -> None:
    memo = Memo(1_000_000)
    for body in (b"old", b"old", b"new", b"new"):
        memo.put(KEY, body, rewritten(body))
    assert memo.get(KEY, b"old") is None
    assert memo.get(KEY, b"new") is not None
    assert (len(memo), memo.bytes) == (1, ENTRY_OVERHEAD_BYTES + 6)


def test_pages_that_never_come_twice_leave_the_others_alone() -> None:
    memo = Memo(1_000_000)
    for _ in range(2):
        memo.put(KEY, b"steady", rewritten(b"page"))
    for number in range(5_000):
        memo.put(MemoKey("token", "d1", None, None), b"token %d" % number, rewritten(bytes(1000)))
    assert memo.get(KEY, b"steady") is not None
    assert len(memo) == 1


@pytest.mark.parametrize("field", ["address", "charset", "nonce"])
def test_what_a_page_is_known_by_counts_too(field: str) -> None:
    """A visitor makes up addresses of 16 KB: of small pages 1 GB was kept where 64 MB may be."""
    memo = Memo(1_000_000)
    for number in range(200):
        texts: dict[str, Any] = {field: f"{number}".ljust(16_000)}
        key = KEY._replace(**texts)
        for _ in range(2):
            memo.put(key, b"body", rewritten(b"page"))
    assert 50 < len(memo) < 1_000_000 // 16_000
    assert memo.bytes <= memo.bytes_max


def test_the_least_recently_used_page_leaves_first() -> None:
    memo = Memo(10 * (ENTRY_OVERHEAD_BYTES + 2000))
    keys = [KEY._replace(address=str(number)) for number in range(12)]
    for key in keys[:10]:
        for _ in range(2):
            memo.put(key, bytes(1000), rewritten(bytes(1000)))
    assert memo.get(keys[0], bytes(1000)) is not None
    for _ in range(2):
        memo.put(keys[10], bytes(1000), rewritten(bytes(1000)))
    assert memo.get(keys[1], bytes(1000)) is None
    assert memo.get(keys[0], bytes(1000)) is not None


def test_one_page_never_becomes_the_memo_and_zero_keeps_nothing() -> None:
    for memo in (Memo(8_000), Memo(0)):
        for _ in range(2):
            memo.put(KEY, bytes(1000), rewritten(bytes(1000)))
        assert len(memo) == 0


def test_the_doorkeeper_forgets_what_is_old() -> None:
    doorkeeper = Doorkeeper(4)
    assert not doorkeeper.saw(1)
    assert doorkeeper.saw(1)
    for number in range(2, 12):
        doorkeeper.saw(number)
    assert not doorkeeper.saw(1)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 3000)), max_size=60))
def test_whatever_is_put_answers_are_exact_and_the_bound_holds(steps: list[tuple[int, int, int]]) -> None:
    memo = Memo(20_000)
    for address, content, size in steps:
        key = KEY._replace(address=str(address))
        body = bytes([content]) * size
        memo.put(key, body, rewritten(b"for " + body))
        known = memo.get(key, body)
        assert known is None or known == rewritten(b"for " + body)
        assert memo.bytes <= 20_000


def kept(memo: Memo, key: MemoKey, body: bytes, page: bytes) -> bytes:
    """A page that the memo has from now on: the object that its answer holds."""
    for _ in range(2):
        memo.put(key, body, rewritten(page))
    known = memo.get(key, body)
    assert isinstance(known, Rewritten)
    return known.page


def test_what_a_page_is_in_a_coding_is_kept_with_it() -> None:
    memo = Memo(1_000_000)
    page = kept(memo, KEY, b"body", b"a page")
    before = memo.bytes
    assert memo.coded(KEY, page, "br") is None
    memo.keep_coded(KEY, page, "br", b"coded")
    memo.keep_coded(KEY, page, "br", b"again")
    assert (memo.coded(KEY, page, "br"), memo.coded(KEY, page, "gzip")) == (b"coded", None)
    assert memo.bytes == before + 5
    newer = kept(memo, KEY, b"newer", b"a newer page")
    assert memo.bytes == ENTRY_OVERHEAD_BYTES + len(b"newer" + b"a newer page")
    assert memo.coded(KEY, newer, "br") is None
    memo.clear()
    assert memo.coded(KEY, newer, "br") is None


def test_bytes_of_another_page_are_never_taken_for_this_ones() -> None:
    memo = Memo(1_000_000)
    page = kept(memo, KEY, b"body", b"a page")
    memo.keep_coded(KEY, b"another page", "br", b"wrong")
    assert memo.coded(KEY, page, "br") is None
    memo.keep_coded(KEY, page, "br", b"right")
    assert memo.coded(KEY, b"another page", "br") is None


def test_coded_bytes_count_and_make_room_as_pages_do() -> None:
    memo = Memo(10 * (ENTRY_OVERHEAD_BYTES + 2000))
    keys = [KEY._replace(address=str(number)) for number in range(10)]
    pages = [kept(memo, key, bytes(1000), bytes(1000)) for key in keys]
    memo.keep_coded(keys[9], pages[9], "br", bytes(500))
    assert memo.bytes <= memo.bytes_max
    assert memo.get(keys[0], bytes(1000)) is None
    memo.keep_coded(keys[5], pages[5], "br", bytes(5_000))
    assert memo.coded(keys[5], pages[5], "br") is None


def test_forgetting_everything() -> None:
    memo = Memo(1_000_000)
    body = os.urandom(100)
    for _ in range(2):
        memo.put(KEY, body, rewritten(body))
    memo.clear()
    assert (len(memo), memo.bytes, memo.get(KEY, body)) == (0, 0, None)
