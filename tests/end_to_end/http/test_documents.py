"""What is inside a page that is rewritten: its encoding, its policies, and what frameworks and integrity count on."""

import base64
import hashlib
import re

import pytest

from tests.end_to_end.http.origin import Origin
from tests.end_to_end.site import response
from tests.end_to_end.stack import Sidecar
from tests.end_to_end.visitor import Answer, load

PYTHON_NAMES = {
    "utf-8": "utf-8",
    "shift_jis": "cp932",
    "gbk": "gbk",
    "euc-kr": "cp949",
    "windows-1251": "cp1251",
    "koi8-r": "koi8-r",
    "iso-8859-1": "cp1252",
    "iso-8859-2": "iso8859-2",
    "windows-874": "cp874",
}


def served(origin: Origin, sidecar: Sidecar, path: str, body: bytes, *fields: str, charset: str = "") -> Answer:
    """The page through the sidecar, which must have changed it."""
    media_type = f"text/html; charset={charset}" if charset else "text/html"
    origin.at(path, response(body, f"Content-Type: {media_type}", *fields))
    answer = load(sidecar.port, path)
    assert answer.verdict == "applied; table=7; mutations=1", answer.verdict
    return answer


# ---- charset


@pytest.mark.parametrize(
    ("page", "declared", "used"),
    [
        (b"\xef\xbb\xbf<meta charset=koi8-r><p>\xd0\xb6</p>", "shift_jis", "utf-8"),
        (b"<meta charset=koi8-r><p>\x83\x41</p>", "shift_jis", "cp932"),
        (b"<meta charset=koi8-r><p>\xd6</p>", "", "koi8-r"),
        (b'<meta http-equiv=Content-Type content="text/html; charset=windows-1251"><p>\xe6</p>', "", "cp1251"),
    ],
    ids=["BOM", "Content-Type", "meta", "http-equiv"],
)
def test_bom_goes_before_content_type_goes_before_meta(
    origin: Origin, sidecar: Sidecar, page: bytes, declared: str, used: str
) -> None:
    """The new headline holds ж, which each encoding writes in another way, or not at all."""
    answer = served(origin, sidecar, "/worded/charset", page + b"<h1>Old</h1>", charset=declared)
    assert answer.body == page + b"<h1>" + "ж ☃".encode(used, "xmlcharrefreplace") + b"</h1>"


@pytest.mark.parametrize("label", PYTHON_NAMES)
def test_the_new_text_is_written_in_the_origins_encoding(origin: Origin, sidecar: Sidecar, label: str) -> None:
    codec = PYTHON_NAMES[label]
    before = "<p>é ж 日 한</p>".encode(codec, "ignore")
    answer = served(origin, sidecar, "/worded/encoding", before + b"<h1>Old</h1>", charset=label)
    assert answer.body == before + b"<h1>" + "ж ☃".encode(codec, "xmlcharrefreplace") + b"</h1>"


def test_what_browsers_would_read_as_another_character_becomes_a_reference(origin: Origin, sidecar: Sidecar) -> None:
    before = "<p>日本</p>".encode("big5")
    answer = served(origin, sidecar, "/worded/big5", before + b"<h1>Old</h1>", charset="big5")
    assert answer.body == before + b"<h1>&#1078; &#9731;</h1>"


def test_what_an_encoding_lacks_becomes_a_character_reference(origin: Origin, sidecar: Sidecar) -> None:
    answer = served(origin, sidecar, "/worded/latin", b"<h1>Old</h1><p>caf\xe9</p>", charset="iso-8859-1")
    assert answer.body == b"<h1>&#1078; &#9731;</h1><p>caf\xe9</p>"


# ---- policies

STYLE = re.compile(rb"<style data-layout-mutation[^>]*>(.*?)</style>", re.DOTALL)
HEAD = b"<!doctype html><html><head>%s</head><body><p>text</p></body></html>"


def hash_of(body: bytes) -> bytes:
    """The source expression for the engine's own style block in a page."""
    match = STYLE.search(body)
    assert match
    return b"'sha256-" + base64.b64encode(hashlib.sha256(match[1]).digest()) + b"'"


def test_the_policy_in_the_head_gets_a_hash_for_the_engines_style(origin: Origin, sidecar: Sidecar) -> None:
    policy = "Content-Security-Policy: default-src 'none'; style-src 'self'"
    answer = served(origin, sidecar, "/styled/header", HEAD % b"", policy)
    said = answer.get(b"content-security-policy") or b""
    assert said == b"default-src 'none'; style-src 'self' " + hash_of(answer.body)


def test_the_policy_in_the_page_gets_a_hash_for_the_engines_style(origin: Origin, sidecar: Sidecar) -> None:
    meta = b"""<meta http-equiv="Content-Security-Policy" content="style-src 'self'">"""
    answer = served(origin, sidecar, "/styled/meta", HEAD % meta)
    assert b"style-src 'self' " + hash_of(answer.body) in answer.body.replace(b"&#39;", b"'")


def test_the_pages_nonce_is_reused_and_the_policy_stays(origin: Origin, sidecar: Sidecar) -> None:
    policy = "style-src 'nonce-abc123' 'strict-dynamic'"
    head = HEAD % b'<style nonce="abc123">p{}</style>'
    answer = served(origin, sidecar, "/styled/nonce", head, f"Content-Security-Policy: {policy}")
    assert answer.get(b"content-security-policy") == policy.encode()
    tag = re.search(rb"<style[^>]*data-layout-mutation[^>]*>", answer.body)
    assert tag
    assert b'nonce="abc123"' in tag[0]


@pytest.mark.parametrize("policy", ["style-src 'unsafe-inline'", "script-src 'self'"])
def test_a_policy_that_forbids_nothing_of_ours_stays_to_the_byte(origin: Origin, sidecar: Sidecar, policy: str) -> None:
    answer = served(origin, sidecar, "/styled/open", HEAD % b"", f"Content-Security-Policy: {policy}")
    assert answer.get(b"content-security-policy") == policy.encode()


def test_the_script_tag_gets_its_nonce_or_a_hash_and_its_data_needs_none(origin: Origin, sidecar: Sidecar) -> None:
    page = HEAD % b"" + b"<h1>Old</h1>"
    for policy, told in (("script-src 'nonce-n1'", b'nonce="n1"'), ("script-src 'sha256-x'", b"integrity=")):
        answer = served(origin, sidecar, "/guarded/script", page, f"Content-Security-Policy: {policy}")
        tag = re.search(rb"<script[^>]*/\.layout-mutation/[^>]*>", answer.body)
        assert tag
        assert told in tag[0]
        assert b'type="application/json"' in answer.body


@pytest.mark.parametrize("path", ["/styled/narrow", "/guarded/narrow", "/page/narrow"])
@pytest.mark.parametrize(
    "policy", ["default-src 'self'", "default-src 'none'; style-src 'none'; script-src 'sha256-x'"]
)
def test_a_policy_is_never_widened_to_unsafe_inline(origin: Origin, sidecar: Sidecar, path: str, policy: str) -> None:
    origin.at(
        path, response(HEAD % b"" + b"<h1>Old</h1>", "Content-Type: text/html", f"Content-Security-Policy: {policy}")
    )
    answer = load(sidecar.port, path)
    assert b"unsafe-inline" not in (answer.get(b"content-security-policy") or b"")
    if path.startswith("/page"):
        assert answer.get(b"content-security-policy") == policy.encode(), "for what an editor wrote nothing is added"


def test_a_304_says_nothing_of_policies(origin: Origin, sidecar: Sidecar) -> None:
    policy = "Content-Security-Policy: style-src 'self'"
    etag = (served(origin, sidecar, "/styled/known", HEAD % b"", policy, 'ETag: "a"').get(b"etag") or b"").decode()
    origin.at("/styled/known", f'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n{policy}\r\n\r\n'.encode())
    answer = load(sidecar.port, "/styled/known", f"If-None-Match: {etag}")
    assert (answer.status, answer.get(b"content-security-policy")) == (304, None)


@pytest.mark.parametrize("attribute", [b'integrity="sha256-x"', b'data-turbo-track="reload"'])
def test_elements_with_integrity_or_turbo_track_are_left_alone(
    origin: Origin, sidecar: Sidecar, attribute: bytes
) -> None:
    tag = b"<link rel=stylesheet href=a.css " + attribute + b">"
    page = HEAD % (tag + b"<link rel=stylesheet href=b.css>")
    answer = served(origin, sidecar, "/linked/integrity", page)
    assert tag in answer.body
    assert b"c.css" in answer.body


# ---- hydration


def test_hiding_by_style_adds_one_block_and_changes_no_element(origin: Origin, sidecar: Sidecar) -> None:
    react = b'<div id="__next"><!--$--><p>text<!-- -->more</p><!--/$--><template id="B:0"></template></div>'
    page = b"<!doctype html><html><head></head><body>" + react + b"</body></html>"
    answer = served(origin, sidecar, "/styled/react", page)
    assert STYLE.sub(b"", answer.body) == page
    assert len(STYLE.findall(answer.body)) == 1
