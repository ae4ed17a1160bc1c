"""What is known about a request before anything is decided."""

import pytest
from aiohttp.test_utils import make_mocked_request

from rules.reasons import Reason
from sidecar.exchange import Exchange


@pytest.mark.parametrize(
    ("raw", "target", "authority"),
    [
        ("/a?b", "/a?b", "here"),
        ("/a?u=http://x/y", "/a?u=http://x/y", "here"),
        ("http://there:1/a?b", "/a?b", "there:1"),
        ("http://there", "/", "there"),
        ("http://there?b", "/?b", "there"),
        ("http://there?b=http://x/y", "/?b=http://x/y", "there"),
        ("http://there#/x?y", "/#/x?y", "there"),
        ("http://there?b@other/c", "/?b@other/c", "there"),
        ("http://user@there/a", "/a", "there"),
        ("*", "*", "here"),
    ],
)
def test_targets(raw: str, target: str, authority: str) -> None:
    exchange = Exchange(make_mocked_request("GET", raw), "here")
    assert (exchange.target, exchange.authority) == (target, authority)
    assert exchange.line == f"GET {target} HTTP/1.1".encode()


def test_until_something_is_decided_a_failure_is_one_of_deciding() -> None:
    exchange = Exchange(make_mocked_request("GET", "/a?secret"), "here")
    assert exchange.stage is Reason.DECIDE_FAILED
    assert exchange.path == "/a"
