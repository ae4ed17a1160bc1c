"""CSP: the engine's own style block passes, everything else stays as it was."""

import pytest

from rules.html import Script
from sidecar.heads.content_security import (
    PARTS_MAX,
    POLICIES_MAX,
    allowing_script,
    allowing_styles,
    has_policy,
    is_too_long,
    script_for,
    style_nonce,
)

NAME = b"Content-Security-Policy"


def allowed(policy: bytes, nonce: str | None = None) -> bytes:
    [(_, value)] = allowing_styles([(NAME, policy)], ["HASH="], nonce)
    return value


def test_the_pages_own_nonce_is_found() -> None:
    assert style_nonce([(NAME, b"script-src 'nonce-no'; style-src 'self' 'nonce-yes+/='")]) == "yes+/="
    assert style_nonce([(NAME, b"default-src 'nonce-d'")]) == "d"
    assert style_nonce([(NAME, b"default-src 'nonce-d'; style-src 'self'")]) is None
    assert style_nonce([(NAME, b"style-src 'nonce-a'; style-src-elem 'nonce-b'")]) == "b"
    assert style_nonce([(b"X", b"style-src 'nonce-a'")]) is None
    assert has_policy([(b"content-security-policy-report-only", b"x")])
    assert has_policy([(b"A", b"b"), (NAME, b"x")])
    assert not has_policy([(b"A", b"b")])


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (b"style-src 'self'", b"style-src 'self' 'sha256-HASH='"),
        (b"img-src *; style-src 'none'; x", b"img-src *; style-src 'sha256-HASH='; x"),
        (b"default-src 'self';", b"default-src 'self'; style-src 'self' 'sha256-HASH='"),
        (b"default-src 'none'", b"default-src 'none'; style-src 'sha256-HASH='"),
        (b"style-src 'nonce-other'", b"style-src 'nonce-other' 'sha256-HASH='"),
        (b"style-src 'unsafe-inline' 'nonce-a'", b"style-src 'unsafe-inline' 'nonce-a' 'sha256-HASH='"),
    ],
)
def test_a_policy_without_our_nonce_gets_the_hash(policy: bytes, expected: bytes) -> None:
    assert allowed(policy) == expected


@pytest.mark.parametrize(
    "policy", [b"script-src 'self'", b"style-src 'self' 'unsafe-inline'", b"upgrade-insecure-requests"]
)
def test_a_policy_that_does_not_forbid_it_stays_to_the_byte(policy: bytes) -> None:
    assert allowed(policy) == policy


def test_a_policy_with_our_nonce_stays_and_its_neighbour_does_not() -> None:
    assert allowed(b"style-src 'nonce-a'", "a") == b"style-src 'nonce-a'"
    assert (
        allowed(b"style-src 'nonce-a',style-src 'self'", "a") == b"style-src 'nonce-a',style-src 'self' 'sha256-HASH='"
    )


def test_every_policy_of_every_field_has_its_say() -> None:
    fields = [
        (NAME, b"style-src 'self', style-src 'nonce-b' ,script-src 'none'"),
        (b"X", b"style-src 'self'"),
        (b"content-security-policy-report-only", b"default-src 'none'"),
        (NAME, b"style-src 'unsafe-inline'"),
    ]
    assert style_nonce(fields) == "b"
    assert allowing_styles(fields, ["H="], "b") == [
        (NAME, b"style-src 'self' 'sha256-H=', style-src 'nonce-b' ,script-src 'none'"),
        (b"X", b"style-src 'self'"),
        (b"content-security-policy-report-only", b"default-src 'none'; style-src 'sha256-H='"),
        (NAME, b"style-src 'unsafe-inline'"),
    ]
    assert allowing_styles(fields, [], None) == fields


def test_other_bytes_of_a_policy_stay() -> None:
    assert allowed(b"\xff ; style-src\ta ;;x\xa0") == b"\xff ; style-src\ta 'sha256-HASH=' ;;x\xa0"


@pytest.mark.parametrize("part", [b";", b"a ", b"a\t", b"'none' ", b"a; "])
def test_how_many_parts_the_policies_of_a_head_may_have(part: bytes) -> None:
    longest = b"style-src " + b"https://some.host.example " * (PARTS_MAX - 1)
    assert not is_too_long([(NAME, longest), (b"X", part * PARTS_MAX)])
    assert not is_too_long([(NAME, b"x" * 64_000)])
    assert is_too_long([(NAME, longest), (b"content-security-policy-report-only", part)])
    assert is_too_long([(NAME, part * (PARTS_MAX + 1))])


def test_how_many_policies_a_head_may_have() -> None:
    several = [(NAME, b"default-src 'self'" + b", default-src 'self'" * (POLICIES_MAX // 2 - 1))] * 2
    assert not is_too_long(several)
    assert is_too_long([*several, (b"content-security-policy-report-only", b"")])
    assert is_too_long([(NAME, b"," * POLICIES_MAX)])


REPORTS = b"Content-Security-Policy-Report-Only"


def test_the_browser_script_comes_by_nonce_or_by_its_place_or_by_its_hash() -> None:
    def called(*policies: bytes) -> Script | None:
        return script_for([(NAME, policy) for policy in policies], "/s.js", "sha256-H=")

    assert called() == called(b"script-src 'self'") == Script("/s.js")
    assert called(b"script-src 'nonce-a' 'strict-dynamic'") == Script("/s.js", nonce="a")
    assert called(b"script-src http://cdn.example") == Script("/s.js", integrity="sha256-H=")
    assert called(b"script-src 'nonce-a', script-src 'none'") == Script("/s.js", integrity="sha256-H=", nonce="a")
    assert called(b"script-src http://cdn.example 'unsafe-inline'") is None
    assert script_for([(REPORTS, b"script-src 'none' 'unsafe-inline'")], "/s.js", "sha256-H=") == Script("/s.js")


def test_only_a_policy_that_needs_the_hash_gets_it() -> None:
    given = [(NAME, b"script-src 'self', default-src 'none'"), (REPORTS, b"script-src 'none'"), (b"X", b"y")]
    script = Script("/s.js", integrity="sha256-H=")
    assert allowing_script(given, script) == [
        (NAME, b"script-src 'self', default-src 'none'; script-src 'sha256-H='"),
        *given[1:],
    ]
    assert allowing_script(given, Script("/s.js")) == given
