"""Settings of traces: what is wrong is one sentence that names the variable and the fix, and never a secret."""

from pathlib import Path

import pytest

from service.settings import SettingsError, load
from sidecar.settings import SidecarSettings

ENDPOINT = "http://127.0.0.1:4318/v1/traces"


def given(**variables: str) -> SidecarSettings:
    return load(SidecarSettings, {"SIDECAR_UPSTREAM": "http://127.0.0.1:1", **variables})


def test_there_are_no_traces_unless_somebody_wants_them() -> None:
    settings = given()
    assert (settings.traces_endpoint, settings.traces_trust) == ("", False)


def test_fields_for_the_collector() -> None:
    settings = given(
        SIDECAR_TRACES_HEADERS="X-Key = abc=, Authorization=Basic dXNlcg==,", SIDECAR_TRACES_ENDPOINT=ENDPOINT
    )
    assert settings.traces_fields == {"X-Key": "abc=", "Authorization": "Basic dXNlcg=="}


@pytest.mark.parametrize("fields", ["secret", "X Key=secret", "X-Key=secret\u00e9", "X-Key=secret\n"])
def test_what_is_no_field_is_refused_and_not_repeated(fields: str) -> None:
    with pytest.raises(SettingsError, match="SIDECAR_TRACES_HEADERS must hold name=value") as caught:
        given(SIDECAR_TRACES_HEADERS=fields + "\x7f")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint", ["127.0.0.1:4318", "grpc://a:4317", "http://", "http://a:99999/", "http://me:secret@a/v1/traces"]
)
def test_an_endpoint_that_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(SettingsError, match="SIDECAR_TRACES_ENDPOINT must be an address") as caught:
        given(SIDECAR_TRACES_ENDPOINT=endpoint)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("share", ["-0.1", "1.5", "x"])
def test_a_share_is_between_0_and_1(share: str) -> None:
    with pytest.raises(SettingsError, match="SIDECAR_TRACES_SHARE"):
        given(SIDECAR_TRACES_SHARE=share)


def test_authorities_that_are_not_there_are_refused_at_start(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for file in (empty, tmp_path / "missing.pem"):
        with pytest.raises(SettingsError, match="SIDECAR_TRACES_CA_FILE must be a PEM file"):
            given(SIDECAR_TRACES_ENDPOINT=ENDPOINT, SIDECAR_TRACES_CA_FILE=str(file))
