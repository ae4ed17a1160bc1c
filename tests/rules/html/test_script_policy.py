"""What a policy says of the browser script. A real Chromium says the same: tests/browser/test_browser_script.py."""

import pytest

from rules.html.script_policy import Verdict, script_nonce, verdict, with_hash
from rules.splices import spliced

ALLOWED, WITH_HASH, FORBIDDEN = Verdict


@pytest.mark.parametrize(
    ("policy", "nonce", "expected"),
    [
        ("", "", ALLOWED),
        ("style-src 'none'", "", ALLOWED),
        ("script-src 'nonce-a'", "a", ALLOWED),
        ("script-src 'nonce-a'", "b", WITH_HASH),
        ("script-src 'nonce-a' 'unsafe-inline'", "", WITH_HASH),
        ("default-src 'self'", "", ALLOWED),
        ("default-src 'self'; script-src 'none'", "", WITH_HASH),
        ("script-src *; script-src-elem http://cdn.example", "", WITH_HASH),
        ("script-src 'self' 'unsafe-inline'", "", ALLOWED),
        ("script-src https: 'unsafe-inline'", "", ALLOWED),
        ("script-src 'self' 'strict-dynamic' 'sha256-x='", "", WITH_HASH),
        ("script-src http://cdn.example 'unsafe-inline'", "", FORBIDDEN),
        ("SCRIPT-SRC HTTP://cdn.example 'UNSAFE-INLINE'", "", FORBIDDEN),
        ("script-src 'self'; script-src 'none'", "", ALLOWED),
    ],
)
def test_a_policy_is_judged(policy: str, nonce: str, expected: Verdict) -> None:
    assert verdict(policy, nonce) is expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("script-src 'none'", "script-src 'sha256-x='"),
        ("a b; Script-Src http://c.example ;d", "a b; Script-Src http://c.example 'sha256-x=' ;d"),
        ("default-src 'none';", "default-src 'none'; script-src 'sha256-x='"),
    ],
)
def test_the_least_is_added(policy: str, expected: str) -> None:
    assert spliced(policy, with_hash(policy, "sha256-x=")) == expected
    assert verdict(policy, "") is WITH_HASH


def test_the_pages_own_nonce_is_found() -> None:
    assert script_nonce(["style-src 'nonce-no'", "script-src 'self' 'nonce-yes+/='"]) == "yes+/="
    assert script_nonce(["default-src 'nonce-d'; script-src-elem 'self'"]) == ""
