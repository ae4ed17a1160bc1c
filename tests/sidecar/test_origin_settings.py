"""Settings of the origin's end: what is checked when the sidecar starts, with the variable's name."""

from pathlib import Path

import pytest

from service.settings import SettingsError, load, variables
from sidecar.settings import SidecarSettings
from tests.sidecar.certificates import Authority


def test_sites_stand_in_for_an_upstream() -> None:
    settings = load(SidecarSettings, {"SIDECAR_SITES": "a=http://10.0.0.5, b=http://10.0.0.6"})
    assert [site.pattern for site in settings.site_origins] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIDECAR_SITES", "a"),
        ("SIDECAR_UPSTREAM_CA_FILE", "/nowhere.pem"),
        ("SIDECAR_UPSTREAM_CERTIFICATE_FILE", "/nowhere.pem"),
        ("SIDECAR_UPSTREAM_KEY_FILE", "/nowhere.pem"),
        ("SIDECAR_UPSTREAM_KEY_PASSWORD", "hunter2"),
        ("SIDECAR_UPSTREAM_STALL_S", "-1"),
        ("SIDECAR_UPSTREAM_BREAKER_FAILURES", "-1"),
        ("SIDECAR_UPSTREAM_BREAKER_S", "0"),
        ("SIDECAR_UPSTREAM_CHECK_PATH", "health"),
        ("SIDECAR_UPSTREAM_CHECK_PATH", "/a b"),
        ("SIDECAR_UPSTREAM_CHECK_S", "0"),
        ("SIDECAR_UPSTREAM_CHECK_TIMEOUT_S", "0"),
        ("SIDECAR_UPSTREAM_CHECK_DOWN", "0"),
        ("SIDECAR_UPSTREAM_CHECK_UP", "0"),
    ],
)
def test_what_can_not_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        load(SidecarSettings, {"SIDECAR_UPSTREAM": "http://a", name: value})
    assert "hunter2" not in str(refused.value)


def test_the_password_of_a_key_is_a_secret() -> None:
    secret = {variable.name for variable in variables(SidecarSettings) if variable.secret}
    assert "SIDECAR_UPSTREAM_KEY_PASSWORD" in secret


def test_certificates_that_are_there_are_no_error(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issued("sidecar")
    settings = load(
        SidecarSettings,
        {
            "SIDECAR_UPSTREAM": "https://a",
            "SIDECAR_UPSTREAM_CA_FILE": str(authority.file),
            "SIDECAR_UPSTREAM_CERTIFICATE_FILE": str(certificate),
            "SIDECAR_UPSTREAM_KEY_FILE": str(key),
        },
    )
    assert settings.tls_context().cert_store_stats()["x509_ca"] == 1
