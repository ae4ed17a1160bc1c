"""From where a change came, and no more of an address than its network."""

import pytest

from control_plane.origin import Way, networks, origin_of
from tests.control_plane.plane import Plane

TRUSTED = networks("127.0.0.1, 10.0.0.0/8, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "told"),
    [
        ("192.0.2.77", [], "API 192.0.2.0/24"),
        ("2001:db8:1:2::3", [], "API 2001:db8:1::/48"),
        ("::ffff:192.0.2.77", [], "API 192.0.2.0/24"),
        ("fe80::1%eth0", [], "API fe80::/48"),
        (None, [], "API"),
        ("unix:", ["192.0.2.77"], "API"),
        ("203.0.113.9", ["192.0.2.77"], "API 203.0.113.0/24"),
        ("127.0.0.1", ["192.0.2.77"], "API 192.0.2.0/24"),
        ("127.0.0.1", ["1.1.1.1, 192.0.2.77", "10.1.2.3"], "API 192.0.2.0/24"),
        ("127.0.0.1", ["1.1.1.1, nonsense"], "API"),
        ("127.0.0.1", ["10.9.9.9"], "API 10.9.9.0/24"),
    ],
)
def test_it_is_the_nearest_that_no_trusted_proxy_is(peer: str | None, forwarded: list[str], told: str) -> None:
    assert origin_of(Way.API, peer, forwarded, TRUSTED) == told


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert origin_of(Way.ADMIN, "127.0.0.1", ["192.0.2.77"]) == "admin 127.0.0.0/24"
    with pytest.raises(ValueError, match="nonsense"):
        networks("10.0.0.0/8, nonsense")


async def test_an_entry_says_it_and_what_was_changed(plane: Plane) -> None:
    await plane.ask("POST", "modules", {"id": "hero", "selector": "h1"})
    await plane.ask("PATCH", "modules/hero", {"selector": "h2"})
    listed = (await plane.ask("GET", "audit?kind=module")).json()["items"][0]
    assert listed["origin"] == "API 127.0.0.0/24"
    assert (listed["before"], listed["after"]) == ("modules/hero/versions/1", "modules/hero/versions/2")
    entry = (await plane.ask("GET", f"audit/{listed['number']}")).json()
    assert entry["differences"] == [{"path": "$.selector", "before": '"h1"', "after": '"h2"'}]
    assert (await plane.ask("GET", listed["before"])).json()["document"]["selector"] == "h1"
    start = (await plane.ask("GET", "audit/1")).json()
    assert (start["origin"], start["before"], start["differences"]) == ("system", None, [])
    assert (await plane.ask("GET", "audit/999")).status == 404
