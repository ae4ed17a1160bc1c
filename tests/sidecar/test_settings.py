"""Settings of the data plane: what is refused, and how it says so."""

import base64

import pytest

from service.settings import SettingsError, load
from sidecar.settings import SidecarSettings, address

UPSTREAM = {"SIDECAR_UPSTREAM": "http://127.0.0.1:3000"}


def test_only_the_upstream_is_required() -> None:
    settings = load(SidecarSettings, UPSTREAM)
    assert settings.listen == "127.0.0.1:8080"
    assert settings.worker_count >= 1
    with pytest.raises(SettingsError, match="SIDECAR_UPSTREAM is not set"):
        load(SidecarSettings, {})


@pytest.mark.parametrize(
    "upstream",
    ["ftp://a", "127.0.0.1:3000", "http://", "http://a/shop", "http://a?x", "http://user:secret@a", "http://a:99999"],
)
def test_an_upstream_is_an_origin(upstream: str) -> None:
    with pytest.raises(SettingsError, match="SIDECAR_UPSTREAM must be"):
        load(SidecarSettings, {"SIDECAR_UPSTREAM": upstream})


@pytest.mark.parametrize("listen", ["8080", "host", "a:b", "1.2.3.4:70000", "http://a:1"])
def test_an_address_to_listen_on_is_host_and_port(listen: str) -> None:
    with pytest.raises(SettingsError, match="SIDECAR_LISTEN must be host:port"):
        load(SidecarSettings, {**UPSTREAM, "SIDECAR_LISTEN": listen})


def test_a_short_key_for_events_is_refused_and_not_shown() -> None:
    assert load(SidecarSettings, {**UPSTREAM, "SIDECAR_EVENTS_KEY": "k" * 32}).events_key == "k" * 32
    with pytest.raises(SettingsError, match="SIDECAR_EVENTS_KEY must have at least 32 characters") as refusal:
        load(SidecarSettings, {**UPSTREAM, "SIDECAR_EVENTS_KEY": "hunter2"})
    assert "hunter2" not in str(refusal.value)


def test_addresses() -> None:
    assert address("127.0.0.1:8080") == ("127.0.0.1", 8080)
    assert address("[::1]:0") == ("::1", 0)
    assert address(":80") == ("", 80)


def test_keys_are_checked_and_decoded() -> None:
    keys = [base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2)]
    settings = load(SidecarSettings, {**UPSTREAM, "SIDECAR_TABLE_PUBLIC_KEYS": ", ".join(keys)})
    assert settings.public_keys == (b"\1" * 32, b"\2" * 32)
    with pytest.raises(SettingsError, match="SIDECAR_TABLE_PUBLIC_KEYS"):
        load(SidecarSettings, {**UPSTREAM, "SIDECAR_TABLE_PUBLIC_KEYS": "c2hvcnQ="})


def test_a_short_operators_secret_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError, match="SIDECAR_OPS_TOKEN") as refusal:
        load(SidecarSettings, {**UPSTREAM, "SIDECAR_OPS_TOKEN": "hunter2"})
    assert "hunter2" not in str(refusal.value)


def test_keys_of_the_state_are_long_and_several_and_not_shown() -> None:
    one, other = "a" * 32, "b" * 40
    settings = load(SidecarSettings, {**UPSTREAM, "SIDECAR_STATE_KEYS": f" {one}, {other},"})
    assert settings.state_keys_listed == (one, other)
    assert load(SidecarSettings, UPSTREAM).state_keys_listed == ()
    with pytest.raises(SettingsError, match="SIDECAR_STATE_KEYS: each key must have at least 32") as refusal:
        load(SidecarSettings, {**UPSTREAM, "SIDECAR_STATE_KEYS": f"{one},hunter2"})
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("days", ["0", "396", "-1", "a"])
def test_a_state_lives_for_a_bounded_time(days: str) -> None:
    with pytest.raises(SettingsError, match="SIDECAR_STATE_DAYS"):
        load(SidecarSettings, {**UPSTREAM, "SIDECAR_STATE_DAYS": days})


def test_units_are_checked_at_the_start_and_keys_are_not_shown() -> None:
    assert load(SidecarSettings, {**UPSTREAM, "SIDECAR_UNITS": "a=header:X"}).unit_sources[0].name == "a"
    tokens = {**UPSTREAM, "SIDECAR_UNITS": "user=jwt:Authorization:sub"}
    with pytest.raises(SettingsError, match="set SIDECAR_UNIT_JWT_KEYS"):
        load(SidecarSettings, tokens)
    with pytest.raises(SettingsError, match="at least 32 characters") as refused:
        load(SidecarSettings, {**tokens, "SIDECAR_UNIT_JWT_KEYS": "hush"})
    assert "hush" not in str(refused.value)
    with pytest.raises(SettingsError, match="SIDECAR_UNIT_JWT_ALGORITHM"):
        load(SidecarSettings, {**tokens, "SIDECAR_UNIT_JWT_KEYS": "k" * 32, "SIDECAR_UNIT_JWT_ALGORITHM": "none"})
