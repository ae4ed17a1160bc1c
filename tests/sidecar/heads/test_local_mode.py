"""Local mode: redirects, cookies and CSRF checks of an origin that thinks it is itself."""

import pytest

from sidecar.heads.local_mode import Place, request_fields, response_fields

PLACE = Place(upstream_scheme=b"https", upstream_authority=b"shop.example", local_authority=b"localhost:8080")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"https://shop.example/a?b#c", b"http://localhost:8080/a?b#c"),
        (b"HTTP://Shop.Example", b"http://localhost:8080"),
        (b"https://shop.example.evil/a", b"https://shop.example.evil/a"),
        (b"https://other.example/", b"https://other.example/"),
        (b"/relative", b"/relative"),
        (b"http://shop.example#c", b"http://localhost:8080#c"),
        (b"https://shop.example~/a", b"https://shop.example~/a"),
    ],
)
def test_redirects_stay_here(given: bytes, expected: bytes) -> None:
    capital = Place(upstream_scheme=b"http", upstream_authority=b"Shop.Example", local_authority=b"localhost:8080")
    for place in (PLACE, capital):
        for name in (b"Location", b"content-location"):
            assert response_fields([(name, given)], place) == [(name, expected)]
    assert response_fields([(b"Link", given)], PLACE) == [(b"Link", given)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"a=1; Domain=shop.example; Secure; HttpOnly", b"a=1; HttpOnly"),
        (b"a=1; SameSite=None; secure", b"a=1"),
        (b"a=1; SameSite=Lax", b"a=1; SameSite=Lax"),
        (b"a=1; SameSite=None; Domain=x; Path=/; Priority=None", b"a=1; Path=/; Priority=None"),
        (b"__Host-a=1; Secure; Path=/", b"__Host-a=1; Secure; Path=/"),
        (b" __SECURE-a=1; Domain=x; secure; SameSite=None", b" __SECURE-a=1; secure; SameSite=None"),
    ],
)
def test_cookies_fit_this_host(given: bytes, expected: bytes) -> None:
    assert response_fields([(b"set-cookie", given)], PLACE) == [(b"set-cookie", expected)]


def test_the_browser_is_not_sent_elsewhere() -> None:
    assert response_fields(
        [(b"Strict-Transport-Security", b"max-age=9"), (b"Alt-Svc", b"h3"), (b"A", b"b")], PLACE
    ) == [(b"A", b"b")]


def test_the_origin_is_told_its_own_name() -> None:
    given = [
        (b"Origin", b"http://localhost:8080"),
        (b"Referer", b"http://localhost:8080/a"),
        (b"A", b"http://localhost:8080"),
    ]
    assert request_fields(given, PLACE) == [
        (b"Origin", b"https://shop.example"),
        (b"Referer", b"https://shop.example/a"),
        (b"A", b"http://localhost:8080"),
    ]
