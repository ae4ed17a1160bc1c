"""Addresses: where rules may lead, and the parameters of a query, as the URL standard has them."""

import pytest

from rules.addresses import (
    Address,
    address_with,
    as_asked,
    keeps_query,
    read_address,
    takes_parameters,
    with_parameters,
)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("/", Address("", "", "/", "", "")),
        ("/a?b=c#d", Address("", "", "/a", "b=c", "d")),
        ("/größe?x='ä'", Address("", "", "/gr%C3%B6%C3%9Fe", "x=%27%C3%A4%27", "")),
        ("/a%2fb%zz|c", Address("", "", "/a%2fb%zz%7Cc", "", "")),
        ("HTTPS://Shop.Example:8443", Address("https://shop.example:8443", "shop.example", "/", "", "")),
        ("http://[::1]/x?", Address("http://[::1]", "[::1]", "/x", "", "")),
    ],
)
def test_an_address_is_read(written: str, address: Address) -> None:
    assert read_address(written) == address


@pytest.mark.parametrize(
    "written",
    [
        "", "a", "?a", "#a", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/a b", "/a\tb",
        "/a\r\nSet-Cookie:x", "/a\u2028b", "/\x85", "javascript:alert(1)", "data:text/html,x", "mailto:a@b", "ftp://a/",
        "http:/a", "http:a", "https://", "https://u@a.example/", "https://u:p@a.example/", "https://@a.example/",
        "https://a.example:99999/", "https://a.example:x/", "https://[::1/", "https://größe.example/", "https://a_b/",
        "/a/../b", "/a/.", "/%2E%2e/a", "/{{page}}", "/<b>", '/"', "https://a.example/..",
    ],
)  # fmt: skip
def test_what_could_lead_anywhere_else_is_refused(written: str) -> None:
    assert isinstance(read_address(written), str)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/a", "/a?u=1+2"),
        ("a.html", "a.html?u=1+2"),
        ("/a?", "/a?u=1+2"),
        ("/a?x", "/a?x&u=1+2"),
        ("/a??", "/a??&u=1+2"),
        ("/a?u=1?", "/a?u=1+2"),
        ("/a?x&", "/a?x&u=1+2"),
        ("/a?x=1#f?u=0", "/a?x=1&u=1+2#f?u=0"),
        ("/a#f", "/a?u=1+2#f"),
        ("/a?u=0&x&u&u=3", "/a?u=1+2&x"),
        ("/a?%75=0", "/a?u=1+2"),
        ("/a?u=1%202", "/a?u=1%202"),
        ("/a?u=1+2&u=3", "/a?u=1+2"),
        (" /a?x ", " /a?x&u=1+2 "),
        ("https://shop.example/?y=%zz;&&", "https://shop.example/?y=%zz;&&u=1+2"),
    ],
)
def test_a_parameter_is_set_and_the_rest_stays(address: str, expected: str) -> None:
    assert address_with(address, {"u": "1 2"}) == expected
    assert address_with(expected, {"u": "1 2"}) == expected


def test_values_are_written_as_forms_write_them() -> None:
    assert address_with("/", {"a": "ä&=#?~*", "b": ""}) == "/?a=%C3%A4%26%3D%23%3F%7E*&b="


def test_an_address_with_line_breaks_inside_is_not_touched() -> None:
    assert with_parameters("/a?b\n=c", {"u": "1"}) is None
    assert with_parameters("\n/a\n", {"u": "1"}) is not None


@pytest.mark.parametrize("address", ["", " ", "#a", "mailto:a@b", " javascript:x", "tel:1", "a:b/c", "data:,"])
def test_what_is_no_link_of_the_web_takes_no_parameters(address: str) -> None:
    assert not takes_parameters(address)
    assert takes_parameters("HTTPS://a")
    assert takes_parameters("a/b:c")


@pytest.mark.parametrize(
    ("own", "visited", "expected"),
    [("", "", ""), ("a=1", "", "a=1"), ("", "b=2&&c", "b=2&c"), ("a=1", "b=2&a=3", "a=1&b=2"), ("a", "%61=2", "a")],
)
def test_a_query_that_is_kept_is_kept_once(own: str, visited: str, expected: str) -> None:
    assert keeps_query(own, visited) == expected
    assert keeps_query(own, expected) == expected


def test_visits_and_addresses_are_compared_in_the_same_characters() -> None:
    assert as_asked("/a%2F?x='ü") == "/a%2F?x=%27%C3%BC"
    assert as_asked(as_asked("/a?x='|")) == as_asked("/a?x='|")
