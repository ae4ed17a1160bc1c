"""From where a change comes, as the audit says it: the way it came in and the network of who asked, never a whole address.

Counterpart: the API and the admin pages ask, `Intent.origin` carries it. Pure. Never: an address that identifies a person.
"""

from collections.abc import Sequence
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

KEPT_BITS = {4: 24, 6: 48}
"""What is kept of an address: the network of a site, not the machine in it."""
FORWARDED_MAX = 20  # entries of X-Forwarded-For that are looked at, the nearest first


class Way(StrEnum):
    """How a change came in."""

    API = "API"
    ADMIN = "admin"
    COMMAND_LINE = "command line"
    SYSTEM = "system"


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks separated by commas; ValueError where one is none."""
    return tuple(ip_network(word.strip(), strict=False) for word in text.split(",") if word.strip())


def origin_of(way: Way, peer: str | None, forwarded: Sequence[str] = (), trusted: Sequence[Network] = ()) -> str:
    """`API 192.0.2.0/24`. `forwarded`: the values of X-Forwarded-For, which count as far as trusted proxies wrote them."""
    hops = [hop.strip() for value in forwarded for hop in value.split(",")][-FORWARDED_MAX:]
    client, network = peer or "", _network(peer or "")
    while network is not None and hops and _is_trusted(client, trusted):
        client = hops.pop()
        network = _network(client)
    return f"{way.value} {network}" if network is not None else way.value


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    found = ip_address(address.partition("%")[0])
    return any(found in network for network in trusted)


def _network(address: str) -> Network | None:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    plain = found if mapped is None else mapped
    return ip_network(f"{plain}/{KEPT_BITS[plain.version]}", strict=False)
