"""A policy in the page may be told of the engine's own style block, and of nothing else."""

import pytest

from service.page_policies import expect_permission, nonces, policies
from service.page_trees import SelectolaxPage, first_difference

SHEET = "footer{display:none!important}"


def page(policy: str) -> SelectolaxPage:
    return SelectolaxPage(f'<head><meta http-equiv=Content-Security-Policy content="{policy}"><meta name=x>')


def hash_of(sheet: str) -> str:
    from base64 import b64encode
    from hashlib import sha256

    return f"'sha256-{b64encode(sha256(sheet.encode()).digest()).decode()}'"


@pytest.mark.parametrize(
    ("before", "after", "is_expected"),
    [
        ("style-src 'self'", "style-src 'self' {hash}", True),
        ("style-src 'none'; img-src *", "style-src {hash}; img-src *", True),
        ("default-src 'self'; img-src *", "default-src 'self'; img-src *; style-src 'self' {hash}", True),
        ("style-src 'self'", "style-src 'self' 'unsafe-inline'", False),
        ("style-src 'self'", "style-src 'self' {other}", False),
        ("style-src 'self'; script-src 'self'", "style-src 'self' {hash}; script-src 'self' {hash}", False),
        ("style-src 'self'; script-src 'self'", "style-src 'self' {hash}", False),
        ("img-src *", "img-src *; style-src * {hash}", False),
    ],
)
def test_only_the_permission_of_our_own_block_is_expected(before: str, after: str, is_expected: bool) -> None:
    after = after.format(hash=hash_of(SHEET), other=hash_of("body{}"))
    expected, found = page(before).root, page(after).root
    expect_permission(expected, found, SHEET)
    assert (first_difference(expected, found) is None) is is_expected


def test_policies_and_their_nonces() -> None:
    found = page("style-src 'nonce-abc'; script-src 'nonce-def'").root
    assert [one.attributes["http-equiv"] for one in policies(found)] == ["Content-Security-Policy"]
    assert nonces(found) == {"abc", "def"}
