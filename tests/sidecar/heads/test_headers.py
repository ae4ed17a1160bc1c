"""Header fields: hop-by-hop ones, forwarding, codings."""

import pytest

from sidecar.heads import headers
from sidecar.heads.headers import Forwarding

FORWARDING = Forwarding(address="192.0.2.1", scheme="http", host=b"shop.example:8080", trusted=False)


def to_origin(
    fields: list[tuple[bytes, bytes]],
    forwarding: Forwarding | None = FORWARDING,
    dropped: frozenset[bytes] = frozenset(),
) -> list[tuple[bytes, bytes]]:
    return headers.to_origin(fields, dropped=dropped, host=b"h", forwarding=forwarding, accept_encoding=None)


def test_hop_by_hop_fields_and_those_connection_names_go() -> None:
    given = [(name.title(), b"x") for name in sorted(headers.HOP_BY_HOP)] + [(b"X-Secret-Hop", b"1"), (b"Cookie", b"a")]
    named = headers.connection_names("keep-alive, X-Secret-Hop")
    assert to_origin(given, None, named) == [(b"Host", b"h"), (b"Cookie", b"a")]


def test_what_is_for_everybody_is_never_taken_for_a_hop() -> None:
    """RFC 9110 7.6.1: Cache-Control is never a connection option. A response would lose its `private`, or its coding."""
    assert headers.connection_names("Cache-Control, close, SET-COOKIE, Content-Encoding, X-Hop") == {b"close", b"x-hop"}
    assert headers.connection_names("Expires, content-range, Location") == frozenset()


def test_the_first_of_a_name_in_any_spelling() -> None:
    fields = [(b"A", b"1"), (b"X-Id", b"2"), (b"x-id", b"3")]
    assert headers.first(fields, b"x-id") == b"2"
    assert headers.first(fields, b"b") is None


HOPS = ["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade"]


@pytest.mark.parametrize("name", HOPS)
def test_what_is_for_one_connection_goes_no_further_either_way(name: str) -> None:
    given = [(name.encode(), b"x"), (b"A", b"b")]
    assert to_origin(given, None)[1:] == given[1:]
    for dropped in ((), {b"c"}):
        assert headers.to_client(given, dropped=dropped) == given[1:]


@pytest.mark.parametrize("name", ["Host", "ACCEPT-ENCODING", "Expect", "content-length", "Content_Length"])
def test_what_is_said_anew_to_the_origin_is_not_said_twice(name: str) -> None:
    assert to_origin([(name.encode(), b"7"), (b"A", b"b")], None)[1:] == [(b"A", b"b")]


@pytest.mark.parametrize(
    "name", ["Authorization", "Content-Length", "Content-Type", "Cookie", "Vary", "Set-Cookie", "Content-Encoding"]
)
def test_no_connection_field_takes_away_what_a_message_means(name: str) -> None:
    assert headers.connection_names(f"close, {name}") == {b"close"}


def test_spelling_order_and_bytes_stay() -> None:
    given = [(b"x-ODD", b"\xe9"), (b"Cookie", b"a"), (b"Accept", b""), (b"Cookie", b"b")]
    assert to_origin(given, None)[1:] == given


def test_what_became_of_a_page_is_not_the_origins_to_say() -> None:
    given = [(b"x-Layout-Mutation", b"applied"), (b"X-Layout-Mutation-Explain", b"of one behind us"), (b"A", b"b")]
    assert headers.to_client(given, dropped=()) == given[1:]
    assert headers.to_client(given, dropped={b"a"}) == given[1:2]


def test_our_own_request_fields_never_reach_the_origin() -> None:
    given = [(b"X-Layout-Mutation", b"off"), (b"x-layout-mutation-token", b"secret"), (b"X-Layout-Id", b"kept")]
    assert to_origin(given, None)[1:] == [(b"X-Layout-Id", b"kept")]


def test_forwarding_fields_from_a_stranger() -> None:
    given = [(b"X-Forwarded-For", b"10.0.0.1"), (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"evil")]
    assert to_origin(given)[1:] == [
        (b"X-Forwarded-For", b"10.0.0.1, 192.0.2.1"),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"shop.example:8080"),
        (b"Forwarded", b'for=192.0.2.1;host="shop.example:8080";proto=http'),
    ]


def test_a_stranger_does_not_get_by_with_another_spelling() -> None:
    """CGI and WSGI know no difference between `-` and `_`: what one may not say, the other may not either."""
    given = [
        (name, b"1")
        for name in (
            b"X_Forwarded_For",
            b"x-forwarded_proto",
            b"X_Layout_Mutation_Token",
            b"Transfer_Encoding",
            b"X_Real-IP",
            b"X_Forwarded_Port",
        )
    ]
    kept = [(b"X_Other", b"1"), (b"X_Reality", b"1")]
    trusted = Forwarding(address="::1", scheme="https", host=b"h", trusted=True)
    assert to_origin([*given, *kept], None)[1:] == kept
    assert to_origin([*given, *kept], trusted)[1:3] == kept


CLAIMS = [
    (b"X-Real-IP", b"10.0.0.1"),
    (b"x-forwarded-port", b"443"),
    (b"X-Forwarded-Server", b"a"),
    (b"X-Forwarded-Prefix", b"/admin"),
    (b"X-Forwarded-Client-Cert", b"Subject=admin"),
    (b"X-Forwarded", b"for=10.0.0.1"),
    (b"X-Client-IP", b"10.0.0.1"),
    (b"TRUE-CLIENT-IP", b"10.0.0.1"),
    (b"CF-Connecting-IP", b"10.0.0.1"),
    (b"Fastly-Client-IP", b"10.0.0.1"),
    (b"X-Original-URL", b"/admin"),
]


def test_what_only_a_proxy_could_say_goes_no_further_from_a_stranger() -> None:
    """An origin that believes X-Real-IP has no other way to know who wrote it."""
    others = [(b"X-Forward", b"1"), (b"CF-IPCountry", b"DE"), (b"Via", b"1.1 a"), (b"X-Request-Id", b"1")]
    given = [field for pair in zip(CLAIMS, [*others, *[(b"A", b"b")] * 7], strict=True) for field in pair]
    assert [name for name, _ in to_origin(given)[1:]][:11] == [
        b"X-Forward",
        b"CF-IPCountry",
        b"Via",
        b"X-Request-Id",
        *[b"A"] * 7,
    ]
    assert to_origin(CLAIMS, None) == [(b"Host", b"h")]


def test_what_a_trusted_proxy_says_goes_on_as_it_came() -> None:
    trusted = Forwarding(address="::1", scheme="https", host=b"h", trusted=True)
    assert to_origin(CLAIMS, trusted)[1 : 1 + len(CLAIMS)] == CLAIMS


def test_forwarding_fields_from_a_trusted_proxy() -> None:
    trusted = Forwarding(address="::1", scheme="https", host=b"h", trusted=True)
    given = [(b"X-Forwarded-Proto", b"https"), (b"Forwarded", b"for=a")]
    assert to_origin(given, trusted)[1:] == [
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-For", b"::1"),
        (b"X-Forwarded-Host", b"h"),
        (b"Forwarded", b'for=a, for="[::1]";host="h";proto=https'),
    ]


def test_a_trusted_proxy_says_for_which_host_it_was_asked_and_a_strangers_word_hides_nothing() -> None:
    given = [(b"x-forwarded-host", b"www.shop.example"), (b"Cookie", b"a")]
    trusted = Forwarding(address="192.0.2.1", scheme="https", host=b"h", trusted=True)
    told = to_origin(given, trusted)
    assert [field for field in told if b"host" in field[0].lower()] == [(b"Host", b"h"), given[0]]
    assert dict(told)[b"X-Forwarded-Proto"] == b"https"
    assert (b"Cookie", b"a") in to_origin(given)


def test_a_host_cannot_say_more_than_a_host() -> None:
    """Whose visitor it is stands in the same field."""
    spoken = Forwarding(address="", scheme="http", host=b'a";for=10.0.0.1;by="\\', trusted=False)
    told = dict(to_origin([], spoken))
    assert told[b"Forwarded"] == b'for=unknown;host="a;for=10.0.0.1;by=";proto=http'
    assert told[b"X-Forwarded-For"] == b"unknown"


def test_the_origin_is_asked_for_the_codings_that_are_agreed_on() -> None:
    given = [(b"Accept-Encoding", b"dcz"), (b"A", b"b")]
    for coding, expected in ((b"gzip", [(b"Accept-Encoding", b"gzip")]), (None, [])):
        told = headers.to_origin(given, dropped=(), host=b"h", forwarding=None, accept_encoding=coding)
        assert told == [(b"Host", b"h"), (b"A", b"b"), *expected]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([b'for=1.1.1.1;by="'], []),
        ([b'for="a\\"'], []),
        ([b'for=1.1.1.1;host="a, b";by="\\"x\\""', b'for="'], [b'for=1.1.1.1;host="a, b";by="\\"x\\""']),
        ([b'"' * 60_001], []),
    ],
)
def test_a_quote_that_never_ends_hides_nobody(given: list[bytes], expected: list[bytes]) -> None:
    fields = to_origin([(b"Forwarded", value) for value in given])
    own = b'for=192.0.2.1;host="shop.example:8080";proto=http'
    assert dict(fields)[b"Forwarded"] == b", ".join([*expected, own])


@pytest.mark.parametrize("refused", ["br;q=0", "br;q=0.001, gzip;q=0.001, br;q=0"])
def test_a_weight_that_stands_at_a_bound_is_not_lost(refused: str) -> None:
    """Wherever a bound falls, what is said behind it takes nothing that is said before it for the whole."""
    for junk in range(headers.ACCEPT_ENCODING_CHARACTERS_MAX + 8):
        accepted = f"{'x' * junk}, {refused}"
        assert headers.preferred_coding(accepted, "br") in {"", "gzip"}
        asked = headers.codings_for_origin(accepted)
        assert asked == b"identity" or asked.endswith(b"br;q=0")
    taken_back = f"gzip, {'x' * headers.ACCEPT_ENCODING_CHARACTERS_MAX}, gzip;q=0"
    assert headers.preferred_coding(taken_back, "gzip") == ""
    assert headers.codings_for_origin(taken_back) == b"identity"


def test_what_is_remembered_of_a_visitors_words_is_short() -> None:
    for remembered in (headers._codings_for_origin, headers._preferred_coding):
        remembered.cache_clear()
    for long in ("br, " * 20_000 + "gzip", "gzip" + " " * headers.ACCEPT_ENCODING_CHARACTERS_MAX):
        assert headers.codings_for_origin(long) == b"identity"
        assert headers.preferred_coding(long, "") == ""
    assert headers._codings_for_origin.cache_info().currsize == 0
    assert headers._preferred_coding.cache_info().currsize == 0
    whole = "br" + " " * (headers.ACCEPT_ENCODING_CHARACTERS_MAX - 2)
    assert headers.preferred_coding(whole, "") == "br"


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("gzip, deflate, br, zstd", b"gzip, deflate, br, zstd"),
        ("gzip;q=1.0,br", b"gzip;q=1.0,br"),
        ("gzip ;q=1.0, br", b"gzip ;q=1.0, br"),
        ("gzip, dcb, compress", b"gzip"),
        ("X-GZIP, identity;q=0.5 ,, dcz", b"X-GZIP, identity;q=0.5"),
        ("compress, *", b"identity"),
    ],
)
def test_only_codings_that_can_be_undone_are_asked_for(given: str, asked: bytes) -> None:
    assert headers.codings_for_origin(given) == asked


@pytest.mark.parametrize(
    ("accepted", "came_as", "expected"),
    [
        ("gzip, br", "", "br"),
        ("gzip, deflate, br, zstd", "", "zstd"),
        ("gzip, deflate, br, zstd", "gzip", "zstd"),
        ("gzip;q=0.5, br;q=0.4", "br", "gzip"),
        ("gzip;q=1.0, br;q=0.9", "br", "gzip"),
        ("gzip;q=1, br;q=0.999, zstd;q=0.", "br", "gzip"),
        ("deflate;q=1.000;x=y, br;q=0.999", "br", "deflate"),
        ("gzip;q=0, zstd;q=0.1", "gzip", "zstd"),
        ("", "gzip", ""),
        ("identity", "br", ""),
        ("identity;q=0.5, gzip", "", "gzip"),
        ("identity, gzip;q=0.9", "gzip", ""),
        ("identity;q=0, *;q=0", "gzip", ""),
        ("*", "br", "br"),
        ("*", "zstd", "zstd"),
        ("*", "", "gzip"),
        ("br;q=0, *;q=0.1", "br", "gzip"),
        ("X-Gzip", "", "gzip"),
        ("gzip;q=0.5", "x-gzip", "gzip"),
        ("deflate", "", "deflate"),
        ("compress, dcz", "gzip", ""),
        ("GZIP ; Q = 0.5 , br ; q=0.25", "", "gzip"),
        ("GZIP ; Q = 0.1 , br ; q=0.25", "", "br"),
        ("br;q=1, gzip", "", "br"),
        ("gzip, identity", "", "gzip"),
    ],
)
def test_the_coding_that_the_client_prefers(accepted: str, came_as: str, expected: str) -> None:
    assert headers.preferred_coding(accepted, came_as) == expected


def test_after_an_edit_nothing_describes_the_old_bytes() -> None:
    names = [b"Content-Length", b"Accept-Ranges", b"Content-MD5", b"Digest", b"Last-Modified", b"ETag", b"Repr-Digest"]
    names += [b"Content-Digest", b"want-digest"]
    assert headers.after_edit([*((name, b"x") for name in names), (b"Date", b"now")]) == [(b"Date", b"now")]


@pytest.mark.parametrize("weight", ["nonsense", "nan", "inf", "-1", "1.5", "0.1234", "1e0", "", "0.5;q=1.5"])
def test_a_weight_that_is_none_asks_for_nothing(weight: str) -> None:
    assert headers.preferred_coding(f"zstd;q={weight}, gzip;q=0.001", "") == "gzip"
    assert headers.preferred_coding(f"gzip;q={weight}", "gzip") == ""


def test_a_recoded_page_says_its_coding() -> None:
    given = [(b"content-encoding", b"gzip"), (b"A", b"b")]
    assert headers.coded(given, "br") == [(b"A", b"b"), (b"Content-Encoding", b"br")]
    assert headers.coded(given, "") == [(b"A", b"b")]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([], [b"Accept-Encoding, X-Country"]),
        ([b"accept-encoding , x"], [b"accept-encoding , x, X-Country"]),
        ([b"X-Accept-Encoding"], [b"X-Accept-Encoding, Accept-Encoding, X-Country"]),
        ([b"Cookie", b"", b"Origin"], [b"Cookie, Origin, Accept-Encoding, X-Country"]),
        ([b"Cookie", b"x-country,ACCEPT-ENCODING"], [b"Cookie", b"x-country,ACCEPT-ENCODING"]),
        ([b"Origin, *"], [b"Origin, *"]),
        ([b" Origin\t"], [b"Origin, Accept-Encoding, X-Country"]),
    ],
)
def test_vary_names_what_is_missing_in_one_line(there: list[bytes], expected: list[bytes]) -> None:
    other = (b"Server", b"x-country, *")
    given = [other, *((b"VARY", value) for value in there)]
    told = headers.varying_by(given, [b"Accept-Encoding", b"X-Country"])
    assert [value for name, value in told if name.lower() == b"vary"] == expected
    assert told[0] == other


def test_a_vary_that_is_too_long_varies_by_everything() -> None:
    given = [(b"Vary", b"x" * headers.LISTED_BYTES_MAX), (b"A", b"b"), (b"vary", b"y")]
    assert headers.varying_by(given, [b"Accept-Encoding"]) == [(b"A", b"b"), (b"Vary", b"*")]
    assert headers.varying_by(given[:2], [b"Y"])[1] == (b"Vary", given[0][1] + b", Y")


@pytest.mark.parametrize("value", [b"a\r\nX: y", b"a\nb", b"a\rb", b"a\0b"])
def test_no_line_break_hides_in_a_field(value: bytes) -> None:
    assert headers.serialise(b"GET / HTTP/1.1", [(b"A", b"b")]) == b"GET / HTTP/1.1\r\nA: b\r\n\r\n"
    with pytest.raises(ValueError, match="line break"):
        headers.serialise(b"GET / HTTP/1.1", [(b"A", value)])
