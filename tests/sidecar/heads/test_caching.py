"""What caches are told: Cache-Control in whatever spelling, fields that speak to some caches alone, lifetimes."""

from itertools import product
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.heads import caching, headers
from sidecar.heads.headers import LISTED_BYTES_MAX, Field


def cache_control(*values: bytes) -> list[Field]:
    return [(b"Cache-Control", value) for value in values]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], [b"private"]),
        ([b"public, max-age=60, s-maxage=600"], [b"private, max-age=60"]),
        ([b"max-age=60", b"must-revalidate"], [b"private, max-age=60, must-revalidate"]),
        ([b"no-store"], [b"no-store"]),
        ([b"Private, max-age=0"], [b"Private, max-age=0"]),
        ([b'private="set-cookie, x", max-age=5'], [b"private, max-age=5"]),
        ([b"PUBLIC , S-MaxAge = 600,\tmax-age=1"], [b"private, max-age=1"]),
        ([b"private, s-maxage=600"], [b"private"]),
        ([b"private", b"public, max-age=9"], [b"private, max-age=9"]),
        ([b"no-store, s-maxage=600"], [b"no-store"]),
        ([b"NO-STORE, public, max-age=1"], [b"no-store, max-age=1"]),
        ([b'x="y', b"private"], [b'private, x="y']),
        ([b'x="y', b"No-Store"], [b'no-store, x="y']),
        ([b'no-store="x", max-age=1'], [b'private, no-store="x", max-age=1']),
        ([b"public; max-age=60"], [b"private"]),
        ([b"s-maxage=60;public"], [b"private"]),
        ([b",, ,public,"], [b"private"]),
        ([b'ext="public, s-maxage=1", no-cache'], [b'private, ext="public, s-maxage=1", no-cache']),
        ([b'ext="never ends, public'], [b'private, ext="never ends, public']),
        ([b"max-age=60, stale-while-revalidate=30"], [b"private, max-age=60, stale-while-revalidate=30"]),
    ],
)
def test_for_one_visitor(given: list[bytes], expected: list[bytes]) -> None:
    assert caching.for_one_visitor(cache_control(*given)) == cache_control(*expected)


TARGETED = [
    b"Surrogate-Control",
    b"surrogate-control",
    b"CDN-Cache-Control",
    b"Cloudflare-CDN-Cache-Control",
    b"Akamai-Cache-Control",
    b"X-LiteSpeed-Cache-Control",
    b"X-Accel-Expires",
    b"Edge-Control",
]


@pytest.mark.parametrize("name", TARGETED)
def test_no_field_overrules_what_is_for_one_visitor_or_for_nobody(name: bytes) -> None:
    for value in (b"max-age=9", b"public", b"9"):
        fields = [(name, value), (b"A", b"b"), *cache_control(b"private")]
        assert caching.for_one_visitor(fields) == [(b"A", b"b"), *cache_control(b"private")]
        assert caching.not_stored(fields) == [(b"A", b"b"), *cache_control(b"no-store")]
        assert name not in dict(caching.redirecting(fields, "/x", b"no-cache"))


DIRECTIVES = [
    b"public",
    b"Public",
    b"private",
    b"no-store",
    b"s-maxage=60",
    b"S-MAXAGE = 60",
    b"max-age=60",
    b'private="a, public"',
    b"public;s-maxage=9",
    b'x="y',
]


@given(st.lists(st.lists(st.sampled_from(DIRECTIVES), max_size=4), max_size=3), st.sampled_from([b",", b" , ", b",,"]))
def test_whatever_the_origin_says_no_shared_cache_may_keep_it(lines: list[list[bytes]], comma: bytes) -> None:
    fields = caching.for_one_visitor(cache_control(*map(comma.join, lines)))
    told = b", ".join(value for _, value in fields).lower()
    parts = [part.strip() for part in told.split(b",") if part.strip()]
    # Where a quote could swallow the word that closes, it stands before the quote.
    assert {b"private", b"no-store"} & set(parts[:1] if b'"' in told else parts)
    assert b'"' in told or not any(part.partition(b"=")[0].strip() in {b"public", b"s-maxage"} for part in parts)


def test_quotes_without_end_cost_no_more_than_they_are_long() -> None:
    began = process_time()
    caching.for_one_visitor([(b"Cache-Control", b'"' * 400_000)])
    assert process_time() - began < 1.0, "seconds, where each quote has all before it copied"


LONG = LISTED_BYTES_MAX // 2 + 1


def test_a_cache_control_that_is_too_long_is_stored_nowhere() -> None:
    lines = cache_control(b"public, max-age=60," + b"a" * LONG, b"," * LONG)
    assert caching.for_one_visitor(lines) == cache_control(b"no-store")
    assert caching.is_closed(lines)
    assert caching.shared_s(lines, b"CDN-Cache-Control") == 0
    assert not caching.is_closed(lines[:1])


@pytest.mark.parametrize("name", [b"Vary", b"pragma", b"CDN-Cache-Control", b"Surrogate-Control"])
def test_other_lists_that_are_too_long_are_closed_to_caches(name: bytes) -> None:
    fields = [*cache_control(b"public, max-age=60"), (name, b"max-age=60," + b"a" * LONG), (name, b"b" * LONG)]
    assert caching.is_closed(fields)
    assert caching.shared_s(fields, name) == 0
    assert not caching.is_closed(fields[:2])


def test_half_a_megabyte_of_a_list_costs_next_to_nothing() -> None:
    names = (b"Cache-Control", b"Vary", b"Pragma", b"CDN-Cache-Control", b"X-Accel-Expires")
    fields = [(name, b"a," * 32_000) for name in names for _ in range(8)]
    began = process_time()
    caching.is_closed(fields)
    caching.shared_s(fields, b"CDN-Cache-Control")
    headers.varying_by(caching.for_one_visitor(fields), [b"X-Country"])
    assert process_time() - began < 0.05, "seconds; taken apart it is one"


@pytest.mark.parametrize(
    ("reads", "kept"),
    [({"campaign"}, False), ({"url", "path"}, False), ({"query"}, False), ({"path"}, True), (set(), True)],
)
def test_a_page_decided_by_its_query_is_not_the_same_for_others(reads: set[str], kept: bool) -> None:
    fields = [(b"no-vary-search", b'params=("utm_source")'), (b"Cache-Control", b"max-age=60")]
    assert caching.by_whole_address(fields, reads) == (fields if kept else fields[1:])


def test_what_an_operator_shaped_is_stored_nowhere() -> None:
    validators = [(b"ETag", b'"a"'), (b"Last-Modified", b"x")]
    given = [(b"Cache-Control", b"public"), *validators, (b"Expires", b"x"), (b"Content-Type", b"text/html")]
    assert caching.not_stored(given) == [(b"Content-Type", b"text/html"), (b"Cache-Control", b"no-store")]


def test_a_redirect_keeps_what_is_true_of_the_site_and_nothing_of_the_page() -> None:
    page = [
        (name, b"x")
        for name in (b"AGE", b"Expires", b"Link", b"LOCATION", b"No-Vary-Search", b"Pragma", b"Refresh", b"ETag")
    ]
    coded = [(b"content-language", b"de"), (b"CONTENT-TYPE", b"text/html"), (b"Last-Modified", b"x")]
    site = [(b"Set-Cookie", b"a=b"), (b"Vary", b"Cookie"), (b"Strict-Transport-Security", b"max-age=9")]
    told = caching.redirecting([*page, *coded, *cache_control(b"max-age=60"), *site], "/new", b"no-cache")
    assert told == [*site, (b"Location", b"/new"), *cache_control(b"no-cache")]


@pytest.mark.parametrize(
    ("field", "closed"),
    [
        ((b"Cache-Control", b"max-age=60, no-cache"), True),
        ((b"PRAGMA", b"No-Cache"), True),
        ((b"CDN-Cache-Control", b"max-age=9, private"), True),
        ((b"VARY", b"Cookie, *"), True),
        ((b"Vary", b"Cookie"), False),
        ((b"Accept", b"*"), False),
        ((b"X-Note", b"private, no-store"), False),
        ((b"Cache-Control", b"max-age=60"), False),
    ],
)
def test_a_page_that_some_cache_may_not_keep_is_closed(field: Field, *, closed: bool) -> None:
    assert caching.is_closed([field]) is closed


DATE = (b"Date", b"Fri, 27 Nov 2026 08:00:00 GMT")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], 0),
        (cache_control(b"max-age=60"), 60),
        (cache_control(b"Public, MAX-AGE = 60"), 60),
        (cache_control(b'max-age="60"'), 60),
        (cache_control(b"max-age=60, s-maxage=600"), 600),
        (cache_control(b"max-age=60", b"max-age=30"), 30),
        (cache_control(b"max-age=9999999999"), 2**31),
        (cache_control(b"max-age=soon"), 0),
        (cache_control(b"max-age=-1"), 0),
        *(
            (cache_control(b"max-age=60, " + closed), 0)
            for closed in (b"private", b"no-store", b'no-cache="a"', b"PRIVATE")
        ),
        ([*cache_control(b"max-age=60"), (b"Age", b"20")], 40),
        ([*cache_control(b"max-age=60"), (b"Age", b"90")], 0),
        ([*cache_control(b"max-age=60"), (b"Age", b"old")], 0),
        ([*cache_control(b"max-age=60"), (b"Set-Cookie", b"a=b")], 0),
        ([*cache_control(b"max-age=60"), (b"Vary", b"Origin, *")], 0),
        ([*cache_control(b"max-age=60"), (b"Pragma", b"no-cache")], 0),
        ([DATE, (b"Expires", b"Fri, 27 Nov 2026 08:01:00 GMT")], 60),
        ([DATE, (b"Expires", b"Fri, 27 Nov 2026 07:00:00 GMT")], 0),
        ([DATE, (b"Expires", b"0")], 0),
        ([DATE, (b"Expires", b"Fri, 31 Dec 9999 23:59:59 GMT")], 2**31),
        ([DATE, (b"Expires", b"Fri, 27 Nov 2026 08:01:00 GMT" + b" " * 128)], 0),
        ([DATE, (b"Expires", b"Fri, 27 Nov 2026 08:01:00 -0000")], 0),
        ([DATE, (b"Expires", b"Fri, 27 Nov 99999999999999999999 08:01:00 GMT")], 0),
        ([DATE, (b"Expires", b"Fri, 27 Nov 2026 08:01:00 GMT \xe9")], 0),
        # Python reads no number of more than 4,300 digits: such a one must not cost the page its rules.
        (cache_control(b"max-age=" + b"9" * 5000), 0),
        ([*cache_control(b"max-age=60"), (b"Age", b"0" * 5000)], 0),
        ([*cache_control(b"max-age=60"), (b"Age", b" 20 ")], 40),
        ([*cache_control(b"max-age=60"), (b"Accept", b"*")], 60),
        ([*cache_control(b"max-age=60"), (b"pragma", b"x, NO-CACHE")], 0),
        ([*cache_control(b"max-age=60"), (b"X-Note", b"no-store")], 60),
        ([(b"Expires", b"Fri, 27 Nov 2026 08:01:00 GMT")], 0),
        ([DATE, (b"Expires", b"Fri, 27 Nov 2026 08:01:00 GMT"), *cache_control(b"max-age=5")], 5),
        ([*cache_control(b"no-cache"), (b"Surrogate-Control", b"max-age=300")], 300),
        ([*cache_control(b"max-age=60"), (b"CDN-Cache-Control", b"no-store")], 0),
        ([*cache_control(b"max-age=60"), (b"CDN-Cache-Control", b"private, max-age=9")], 0),
        ([(b"surrogate-control", b"max-age=300, content=x"), (b"Surrogate-Control", b"S-MaxAge=20")], 20),
        ([(b"Surrogate-Control", b'content="ESI/1.0", max-age=20')], 20),
        ([(b"Surrogate-Control", b"content=x"), *cache_control(b"max-age=60")], 0),
        ([*cache_control(b"private"), (b"CDN-Cache-Control", b"max-age=300")], 0),
        ([*cache_control(b"max-age=60"), (b"X-Accel-Expires", b"300")], 60),
        ([*cache_control(b"no-store"), (b"X-LiteSpeed-Cache-Control", b"public, max-age=300")], 0),
    ],
)
def test_how_long_the_origin_lets_a_shared_cache_answer(fields: list[Field], expected: int) -> None:
    assert caching.shared_s(fields, b"Surrogate-Control") == expected


@pytest.mark.parametrize(("name", "closed"), list(product(TARGETED[:4], [b"no-store", b"private", b"no-cache"])))
def test_no_lifetime_where_a_targeted_field_closes(name: bytes, closed: bytes) -> None:
    fields = [(name, b"max-age=60, " + closed), *cache_control(b"public, max-age=60")]
    assert caching.shared_s(fields, b"Surrogate-Control") == 0


@pytest.mark.parametrize(
    ("value", "expected"), [(b"30", 30), (b" 30 ", 30), (b"0", 0), (b"@1700000000", 0), (b"", 0), (b"off", 0)]
)
def test_the_field_of_nginx_has_a_number(value: bytes, expected: int) -> None:
    fields = [(b"X-Accel-Expires", value), *cache_control(b"private")]
    assert caching.shared_s(fields, b"X-Accel-Expires") == expected
