"""One policy: does it let the engine's style block pass, and what has to be added to it?"""

import pytest

from rules.html.policy import allowing_style, style_nonce
from rules.splices import spliced


def allowed(policy: str, nonce: str | None = None) -> str:
    return spliced(policy, allowing_style(policy, ["H="], nonce))


@pytest.mark.parametrize(
    ("policy", "nonce"),
    [
        ("style-src 'self' 'nonce-a+/='", "a+/="),
        ("STYLE-SRC 'NONCE-a'", "a"),
        ("default-src 'nonce-d'; style-src 'self'", None),
        ("style-src-elem 'nonce-e'; style-src 'nonce-s'", "e"),
        ("style-src 'self'; style-src 'nonce-second'", None),
        ("script-src 'nonce-s'", None),
        ("style-src nonce-a", None),
        ("", None),
    ],
)
def test_the_nonce_for_styles(policy: str, nonce: str | None) -> None:
    assert style_nonce(policy) == nonce


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("style-src 'self'", "style-src 'self' 'sha256-H='"),
        ("style-src", "style-src 'sha256-H='"),
        ("style-src 'none' ; img-src *", "style-src 'sha256-H=' ; img-src *"),
        ("\tStyle-Src\n'self' ;x", "\tStyle-Src\n'self' 'sha256-H=' ;x"),
        ("default-src 'self' 'none'; ", "default-src 'self' 'none'; style-src 'self' 'sha256-H='"),
        ("style-src a; style-src b", "style-src a 'sha256-H='; style-src b"),
        ("style-src-elem a; style-src b", "style-src-elem a 'sha256-H='; style-src b"),
        ("style-src 'unsafe-inline' 'sha256-X='", "style-src 'unsafe-inline' 'sha256-X=' 'sha256-H='"),
        ("style-src 'unsafe-inline' 'nonce-a'", "style-src 'unsafe-inline' 'nonce-a' 'sha256-H='"),
        ("style-src-attr 'none'; default-src *", "style-src-attr 'none'; default-src *; style-src * 'sha256-H='"),
    ],
)
def test_a_policy_that_forbids_it_gets_the_hash(policy: str, expected: str) -> None:
    assert allowed(policy) == expected
    assert allowed(expected) == expected


@pytest.mark.parametrize(
    "policy", ["", ";;", "script-src 'none'", "style-src 'Unsafe-Inline' x", "style-src-attr 'none'", "sandbox"]
)
def test_a_policy_that_allows_it_stays(policy: str) -> None:
    assert allowed(policy) == policy


def test_a_nonce_counts_where_the_policy_names_it() -> None:
    assert allowed("style-src 'nonce-a'", "a") == "style-src 'nonce-a'"
    assert allowed("style-src 'nonce-A'", "a") == "style-src 'nonce-A' 'sha256-H='"
    assert allowed("style-src-elem 'self'; style-src 'nonce-a'", "a").startswith("style-src-elem 'self' 'sha256-H='")
    assert allowing_style("style-src 'none'", [], None) == ()
