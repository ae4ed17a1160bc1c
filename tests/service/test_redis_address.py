"""What REDIS_URL may say: what the client library can do with it, and nothing that breaks what reads Redis."""

from pathlib import Path

import pytest
from redis.asyncio import ConnectionPool

from control_plane.settings import ControlPlaneSettings
from service.redis_address import check
from service.settings import SettingsError, load
from sidecar.settings import SidecarSettings
from tests.control_plane.test_settings import GOOD

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://",
        "redis://valkey",
        "redis://[::1]:6379/15/",
        "redis://user:p%40%2F%23ss@valkey:6379?db=3&protocol=2&client_name=lm&health_check_interval=30",
        "redis://user:p@ss@valkey/0",
        "rediss://:p@valkey:6380/0?ssl_cert_reqs=none&ssl_check_hostname=false&ssl_min_version=771&socket_keepalive=true",
        "rediss://valkey?ssl_cert_reqs=required&ssl_ciphers=ECDHE%2BAESGCM&protocol=3",
        "unix:///run/valkey/valkey.sock?db=1&username=u&password=p",
    ],
)
def test_what_an_address_may_say_the_client_library_takes(url: str) -> None:
    check(url)
    pool = ConnectionPool.from_url(url)
    pool.connection_class(**pool.connection_kwargs)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("valkey:6379", "redis://127.0.0.1:6379/0"),
        ("http://valkey", "redis://127.0.0.1:6379/0"),
        (" redis://valkey", "redis://127.0.0.1:6379/0"),
        ("redis://:hunter2@valkey:99999/0", "65535"),
        ("redis://:hunter2@valkey:port/0", "65535"),
        ("redis://:#hunter2@valkey/0", "%23"),
        ("redis://:1/hunter2@valkey/0", "%2F"),
        ("redis://:1?hunter2=1@valkey/0", "%3F"),
        ("redis://:1?hunter2=1", "leave it out"),
        ("redis://:[hunter2@valkey/0", "%5B"),
        ("redis://valkey/hunter2", "number of a database"),
        ("redis://valkey/0?db=hunter2", "db must be a number"),
        ("redis://:hunter2@valkey/0?decode_responses=true", "decode_responses can't be set"),
        ("redis://:hunter2@valkey/0?max_connections=1", "max_connections can't be set"),
        ("redis://:hunter2@valkey/0?socket_timeout=600", "socket_timeout can't be set"),
        ("redis://:hunter2@valkey/0?parser_class=x", "parser_class can't be set"),
        ("redis://valkey/0?family=hunter2", "a parameter can't be set"),
        ("redis://valkey/0?protocol=4", "protocol must be 2 or 3"),
        ("redis://valkey/0?protocol=2&protocol=hunter2", "protocol must be 2 or 3"),
        ("redis://valkey/0?client_name=a%20hunter2", "client_name must be"),
        ("redis://:hunter2@valkey/0?ssl_cert_reqs=none", "begin with rediss://"),
        ("rediss://:hunter2@valkey/0?ssl_cert_reqs=CERT_NONE", "ssl_cert_reqs must be none, optional or required"),
        ("rediss://valkey/0?ssl_min_version=TLSv1_2", "771 (TLS 1.2)"),
        ("rediss://valkey/0?ssl_ca_certs=/nowhere/hunter2.pem", "nothing where ssl_ca_certs leads"),
        ("unix://", "path of a socket"),
        ("unix:///run/valkey.sock?socket_keepalive=1", "socket_keepalive can't be set"),
    ],
)
def test_what_is_refused_is_said_with_the_fix_and_without_the_password(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"^REDIS_URL") as told:
        check(url)
    assert says in str(told.value)
    assert SECRET not in str(told.value)


def test_a_file_that_is_there_is_taken(tmp_path: Path) -> None:
    check(f"rediss://valkey/0?ssl_ca_path={tmp_path}")


@pytest.mark.parametrize("kind", [SidecarSettings, ControlPlaneSettings])
def test_neither_plane_starts_with_an_address_that_it_can_not_use(
    kind: type[SidecarSettings] | type[ControlPlaneSettings],
) -> None:
    given = {**GOOD, "SIDECAR_UPSTREAM": "http://127.0.0.1:1"}
    wrong = f"redis://:{SECRET}@valkey/0?decode_responses=true"
    with pytest.raises(SettingsError, match=r"^REDIS_URL: decode_responses can't be set there: leave it out") as told:
        load(kind, {**given, "REDIS_URL": wrong})
    assert SECRET not in str(told.value)
    load(kind, {**given, "REDIS_URL": f"redis://:{SECRET}@valkey/0"})
