"""Tokens belong to one secret, differ every time, and nothing else passes."""

import pytest

from demo import forgery


def test_every_token_of_a_secret_is_different_and_valid() -> None:
    secret = forgery.new_secret()
    tokens = {forgery.mask(secret) for _ in range(20)}
    assert len(tokens) == 20
    assert all(forgery.is_ours(token, secret) for token in tokens)
    assert not any(secret in token for token in tokens)


def test_a_token_of_another_secret_is_refused() -> None:
    assert not forgery.is_ours(forgery.mask(forgery.new_secret()), forgery.new_secret())


@pytest.mark.parametrize("text", ["", "A", "A" * 31, "A" * 33, "ü" * 32, "A" * 31 + "\n", "=" * 32])
def test_what_is_malformed_is_refused(text: str) -> None:
    secret = forgery.new_secret()
    assert not forgery.is_secret(text)
    assert not forgery.is_ours(forgery.mask(secret), text)
    assert not forgery.is_ours(text, secret)
    assert not forgery.is_ours(text * 2, secret)
