"""Settings of the control plane."""

import base64

import pytest

from control_plane.settings import ControlPlaneSettings
from service.settings import SettingsError, load, variables

GOOD = {
    "DATABASE_URL": "postgresql://u:p@h/d",
    "CONTROL_PLANE_SIGNING_KEY": base64.b64encode(b"k" * 32).decode(),
    "CONTROL_PLANE_JWT_SECRET": "s" * 32,
}


def test_what_is_left_out_has_its_default() -> None:
    settings = load(ControlPlaneSettings, GOOD)
    assert settings.address == ("127.0.0.1", 8081)
    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert settings.layout_mutation_environment == "local"
    assert settings.origins == {}
    assert settings.database_pooled is None


def test_what_is_given_counts() -> None:
    given = {
        "CONTROL_PLANE_LISTEN": "[::1]:9000",
        "CONTROL_PLANE_ORIGINS": '{"shop.example": "http://10.0.0.5:3000"}',
        "CONTROL_PLANE_DATABASE_POOLED": "true",
    }
    settings = load(ControlPlaneSettings, {**GOOD, **given})
    assert settings.address == ("::1", 9000)
    assert settings.origins == {"shop.example": "http://10.0.0.5:3000"}
    assert settings.database_pooled is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONTROL_PLANE_LISTEN", "8081"),
        ("CONTROL_PLANE_LISTEN", "127.0.0.1:http"),
        ("CONTROL_PLANE_LISTEN", "127.0.0.1:70000"),
        ("CONTROL_PLANE_SIGNING_KEY", "c2hvcnQ="),
        ("CONTROL_PLANE_SIGNING_KEY", "not base64 at all"),
        ("CONTROL_PLANE_AUDIT_KEYS", "c2hvcnQ="),
        ("CONTROL_PLANE_AUDIT_KEYS", "lost:somebody's"),
        ("CONTROL_PLANE_JWT_SECRET", "short-secret"),
        ("CONTROL_PLANE_PUBLIC_URL", "mutations.example"),
        ("CONTROL_PLANE_ORIGINS", '{"shop.example": "file:///etc"}'),
        ("CONTROL_PLANE_ORIGINS", '{"shop.example": "http://user@h/"}'),
        ("CONTROL_PLANE_ORIGINS", "shop.example"),
        ("CONTROL_PLANE_SITE_URLS", '{"shop.example": "shop.example"}'),
        ("CONTROL_PLANE_PEERS", '{"berlin": "http://mutations.example"}'),
        ("CONTROL_PLANE_PEERS", '{"a b": "https://mutations.example"}'),
        ("CONTROL_PLANE_PEER_TOKENS", '{"berlin": "a-token-without-a-peer"}'),
        ("CONTROL_PLANE_DATABASE_CONNECTIONS", "0"),
        ("LAYOUT_MUTATION_ENVIRONMENT", "a}b"),
    ],
)
def test_what_can_not_be_used_is_named_and_secrets_are_not_shown(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        load(ControlPlaneSettings, {**GOOD, name: value})
    if "SECRET" in name or "KEY" in name:
        assert value not in str(caught.value)
    assert "a-token" not in str(caught.value)


def test_secrets_are_marked_and_everything_is_described() -> None:
    found = {variable.name: variable for variable in variables(ControlPlaneSettings)}
    assert {name for name, variable in found.items() if variable.secret} == {
        "DATABASE_URL",
        "REDIS_URL",
        "CONTROL_PLANE_SIGNING_KEY",
        "CONTROL_PLANE_AUDIT_KEYS",
        "CONTROL_PLANE_BACKUP_IDENTITY",
        "CONTROL_PLANE_JWT_SECRET",
        "CONTROL_PLANE_MOVE_FROM",
        "CONTROL_PLANE_PEER_TOKENS",
    }
    assert all(variable.description for variable in found.values())
