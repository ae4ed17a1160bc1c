"""The cookie lm_state: signed, versioned, bounded; whatever else comes under its name is no state."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from multidict import CIMultiDict

from rules.state import State, encoded, minute_of
from sidecar.context.state_cookie import CHARACTERS_MAX, VERSION, Refusal, StateCookies, given, removed

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
OLD, NEW, OTHER = "old-" * 8, "new-" * 8, "other-" * 6
STATE = State(day=minute_of(NOW) // 1440, minute=minute_of(NOW), counters={"looks": 3})


def bringing(*cookies: str) -> CIMultiDict[str]:
    return CIMultiDict([("Cookie", cookie) for cookie in cookies])


def cookie(key: str = NEW, state: State = STATE) -> str:
    """`lm_state=…` as a browser sends it back."""
    return StateCookies([key], days=90).written(state, secure=False).decode().partition(";")[0]


def sealed(raw: bytes) -> str:
    return "lm_state=" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def read(*cookies: str, keys: tuple[str, ...] = (NEW, OLD), now: datetime = NOW) -> State | Refusal | None:
    return StateCookies(keys, days=90).read(bringing(*cookies), now)


def test_a_cookie_says_who_may_have_it_and_for_how_long() -> None:
    written = StateCookies([NEW], days=90).written(STATE, secure=True).decode()
    assert written.endswith("; Max-Age=7776000; Path=/; HttpOnly; SameSite=Lax; Secure")
    assert "Secure" not in StateCookies([NEW], days=90).written(STATE, secure=False).decode()
    assert removed(secure=True) == b"lm_state=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure"


def test_what_is_signed_is_what_the_documentation_says() -> None:
    raw = base64.urlsafe_b64decode(cookie().removeprefix("lm_state=") + "==")
    message = b"layout-mutation visitor state\x00\x01" + encoded(STATE)
    assert raw == b"\x01" + hmac.new(NEW.encode(), message, hashlib.sha256).digest()[:16] + encoded(STATE)


@pytest.mark.parametrize("around", ["{}", "a=b; {}", "{}; a=b", "a=b;{};c=d", "xlm_state=1; {}"])
def test_it_is_found_among_others(around: str) -> None:
    assert read(around.format(cookie())) == STATE


@pytest.mark.parametrize("other", ["", "a=b", "xlm_state=1", "lm_statex=1", "a=lm_state"])
def test_no_cookie_is_no_state_and_no_offence(other: str) -> None:
    assert read(other) is None
    assert given(bringing(other)) == []


def test_all_keys_verify_and_the_first_one_signs() -> None:
    assert read(cookie(OLD)) == read(cookie(NEW)) == STATE
    assert read(cookie(OLD), keys=(NEW,)) is Refusal.FORGED
    assert read(StateCookies([NEW, OLD], days=90).written(STATE, secure=False).decode(), keys=(NEW,)) == STATE
    assert read(cookie(OTHER)) is Refusal.FORGED


def test_one_that_is_right_counts_whatever_stands_behind_it() -> None:
    assert read(cookie(), "lm_state=x", "lm_state=%%%") == STATE


def test_one_that_is_right_counts_whatever_stands_before_it() -> None:
    assert read(f"lm_state=x; {cookie(OTHER)}", cookie()) == STATE
    assert read("lm_state=x; lm_state=x; lm_state=x; lm_state=x", cookie()) is Refusal.MALFORMED


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        ("lm_state=", Refusal.MALFORMED),
        ("lm_state=%%%", Refusal.MALFORMED),
        ("lm_state=é", Refusal.MALFORMED),
        ("lm_state=a", Refusal.MALFORMED),
        ("lm_state=" + "A" * 22, Refusal.MALFORMED),
        ("lm_state=" + "A" * (CHARACTERS_MAX + 1), Refusal.TOO_LONG),
        (sealed(bytes([VERSION + 1]) + b"x" * 40), Refusal.VERSION),
        (sealed(bytes([VERSION]) + b"x" * 40), Refusal.FORGED),
        (cookie() + "A", Refusal.FORGED),
    ],
)
def test_whatever_else_comes_is_no_state(value: str, refusal: Refusal) -> None:
    assert read(value) is refusal


def test_a_signature_of_a_state_is_no_signature_of_another_version() -> None:
    raw = bytearray(base64.urlsafe_b64decode(cookie().removeprefix("lm_state=") + "=="))
    message = b"layout-mutation visitor state\x00\x02" + encoded(STATE)
    raw[1:17] = hmac.new(NEW.encode(), message, hashlib.sha256).digest()[:16]
    assert read(sealed(bytes(raw))) is Refusal.FORGED


def test_what_is_signed_and_no_state_is_malformed() -> None:
    body = b"\xc1"
    signature = hmac.new(NEW.encode(), b"layout-mutation visitor state\x00\x01" + body, hashlib.sha256).digest()[:16]
    assert read(sealed(b"\x01" + signature + body)) is Refusal.MALFORMED


def test_a_browser_that_keeps_one_too_long_gains_nothing() -> None:
    assert read(cookie(), now=NOW + timedelta(days=89)) == STATE
    assert read(cookie(), now=NOW + timedelta(days=90)) is Refusal.EXPIRED


def test_without_keys_there_is_no_state() -> None:
    assert not StateCookies([], days=90).enabled
    assert read(cookie(), keys=()) is Refusal.FORGED
