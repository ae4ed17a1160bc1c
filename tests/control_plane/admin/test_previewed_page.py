"""A previewed document loads from its origin, keeps its bytes and its doctype, and may do nothing."""

import pytest

from control_plane.admin.previewed_page import content_security_policy, with_base

ADDRESS = "http://origin.example/shop/page"
BASE = b'<base href="http://origin.example/shop/page">'


@pytest.mark.parametrize(
    ("page", "charset", "expected"),
    [
        (b"<!doctype html><p>x", "utf-8", b"<!doctype html>" + BASE + b"<p>x"),
        (b"<p>x", None, BASE + b"<p>x"),
        (b"", None, BASE),
        (
            b"\n<!-- a --> <!-- b --><!DOCTYPE html>\n<p>",
            None,
            b"\n<!-- a --> <!-- b --><!DOCTYPE html>" + BASE + b"\n<p>",
        ),
        (b"\xef\xbb\xbf<!doctype html>x", "utf-8", b"\xef\xbb\xbf<!doctype html>" + BASE + b"x"),
        (b"\xef\xbb\xbf<p>", "utf-8", b"\xef\xbb\xbf" + BASE + b"<p>"),
        (b"<!doctype html>\xff\xe4\x80", "latin-1", b"<!doctype html>" + BASE + b"\xff\xe4\x80"),
        (b"<!-- never closed", None, BASE + b"<!-- never closed"),
        (b"<!-- --> " * 2_000 + b"x", None, BASE + b"<!-- --> " * 2_000 + b"x"),
    ],
)
def test_the_base_stands_behind_the_doctype(page: bytes, charset: str | None, expected: bytes) -> None:
    assert with_base(page, address=ADDRESS, charset=charset) == expected


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", None])
def test_utf_16_stays_utf_16(charset: str | None) -> None:
    page = "\ufeff<!doctype html><p>ä".encode("utf-16-le")
    assert with_base(page, address=ADDRESS, charset=charset).decode("utf-16") == (f"<!doctype html>{BASE.decode()}<p>ä")


def test_a_base_of_its_own_keeps_its_meaning() -> None:
    page = b'<!doctype html><html><head><base href="/assets/"><p>'
    assert b'<!doctype html><base href="http://origin.example/assets/"><html>' in with_base(
        page, address=ADDRESS, charset=None
    )


def test_an_address_can_not_leave_its_attribute() -> None:
    found = with_base(b"x", address='http://origin.example/"><script>', charset=None)
    assert b"<script>" not in found


def test_the_policy_names_the_origin_alone() -> None:
    policy = content_security_policy("http://user:word@10.0.0.5:3000/base")
    assert policy.startswith("sandbox; default-src 'none'")
    assert "http://10.0.0.5:3000 " in policy
    assert "word" not in policy
    assert "script-src" not in policy
