"""TLS to origins as it is configured: what is refused at the start, naming the variable, and never asking on a terminal."""

import ssl
from pathlib import Path

import pytest

from sidecar.origin_tls import client_context
from tests.sidecar.certificates import Authority


def context(**changes: str) -> ssl.SSLContext:
    given = {"ca_file": "", "certificate_file": "", "key_file": "", "key_password": "", **changes}
    return client_context(**given)


def test_what_is_spoken_is_verified_whatever_is_set(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issued("sidecar", password=b"open sesame")
    for made in (
        context(),
        context(ca_file=str(authority.file)),
        context(certificate_file=str(certificate), key_file=str(key), key_password="open sesame"),
    ):
        assert (made.verify_mode, made.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_certificate_and_key_may_share_a_file(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).issued("sidecar")
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    context(certificate_file=str(both))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ca_file": "missing.pem"}, r"SIDECAR_UPSTREAM_CA_FILE can't be read: No such file"),
        ({"ca_file": "key"}, r"SIDECAR_UPSTREAM_CA_FILE has no certificates"),
        ({"certificate_file": "missing.pem"}, r"SIDECAR_UPSTREAM_CERTIFICATE_FILE can't be read"),
        ({"certificate_file": "certificate"}, r"SIDECAR_UPSTREAM_CERTIFICATE_FILE has no key"),
        ({"certificate_file": "certificate", "key_file": "missing.pem"}, r"SIDECAR_UPSTREAM_KEY_FILE can't be read"),
        ({"certificate_file": "certificate", "key_file": "other"}, r"SIDECAR_UPSTREAM_KEY_FILE has no key .* belongs"),
        ({"certificate_file": "certificate", "key_file": "locked"}, r"SIDECAR_UPSTREAM_KEY_PASSWORD is not set"),
        (
            {"certificate_file": "certificate", "key_file": "locked", "key_password": "hunter2"},
            r"SIDECAR_UPSTREAM_KEY_PASSWORD does not open",
        ),
        ({"key_file": "key"}, r"SIDECAR_UPSTREAM_KEY_FILE needs SIDECAR_UPSTREAM_CERTIFICATE_FILE"),
        ({"key_password": "hunter2"}, r"SIDECAR_UPSTREAM_KEY_PASSWORD needs SIDECAR_UPSTREAM_CERTIFICATE_FILE"),
    ],
)
def test_a_file_that_is_no_use_is_named(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issued("one")
    files = {
        "certificate": certificate,
        "key": key,
        "other": authority.issued("two")[1],
        "locked": authority.issued("three", password=b"open sesame")[1],
        "missing.pem": tmp_path / "missing.pem",
    }
    given = {name: str(files.get(value, value)) for name, value in changes.items()}
    with pytest.raises(ValueError, match=message) as refused:
        context(**given)
    assert "hunter2" not in str(refused.value)
