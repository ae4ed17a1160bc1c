"""SIDECAR_SITES and SIDECAR_UPSTREAM: what they mean, and what is refused."""

import pytest

from sidecar.site_origins import ORIGINS_OF_SITE_MAX, sites_of


def shown(declared: str, upstream: str = "") -> dict[str, list[str]]:
    return {site.pattern: [origin.label for origin in site.origins] for site in sites_of(declared, upstream)}


def test_the_plain_case_is_a_site_for_every_host() -> None:
    assert shown("", "https://shop.example") == {"*": ["https://shop.example"]}


def test_sites_and_the_origins_of_each() -> None:
    declared = "Shop.Example.=http://10.0.0.5:3000  http://[::1]/, *.example=https://10.0.0.7:8443#WWW.example,"
    assert shown(declared, "http://rest:80") == {
        "shop.example": ["http://10.0.0.5:3000", "http://[::1]"],
        "*.example": ["https://10.0.0.7:8443#www.example"],
        "*": ["http://rest"],
    }


@pytest.mark.parametrize(
    ("address", "authority"),
    [
        ("http://shop.example", b"shop.example"),
        ("http://shop.example:443", b"shop.example:443"),
        ("https://[::1]:443", b"[::1]"),
        ("https://10.0.0.5:8443#shop.example", b"shop.example:8443"),
    ],
)
def test_what_an_origin_calls_itself(address: str, authority: bytes) -> None:
    [site] = sites_of("", address)
    assert site.origins[0].authority == authority


@pytest.mark.parametrize(
    ("declared", "upstream", "message"),
    [
        ("", "", "SIDECAR_UPSTREAM is not set"),
        (" , ", "", "SIDECAR_UPSTREAM is not set"),
        ("shop.example", "", "SIDECAR_SITES must hold host=origin"),
        ("shop.example= ", "", "SIDECAR_SITES must hold host=origin"),
        ("http://shop.example=http://a", "", "SIDECAR_SITES must hold host=origin.*the host 'http://shop"),
        ("a.*=http://a", "", "the host 'a"),
        ("a=http://a, A=http://b", "", "SIDECAR_SITES has a twice"),
        ("a=http://a http://a:80", "", "SIDECAR_SITES has an origin twice"),
        ("a=ftp://a", "", r"SIDECAR_SITES must be http://host.*ftp://a"),
        ("a=http://a:0", "", "SIDECAR_SITES must be http://host"),
        ("a=http://a/shop", "", "SIDECAR_SITES must be an origin without path"),
        ("a=http://a#b", "", "what follows # is the name that the certificate of an https origin"),
        ("a=https://a#", "", "what follows #"),
        ("a=https://a#b/c", "", "what follows #"),
        ("*=http://a", "http://b", "leave one of them out"),
        ("", "http://b#c", "SIDECAR_UPSTREAM: what follows #"),
        (f"a={' '.join(f'http://a:{port}' for port in range(1, ORIGINS_OF_SITE_MAX + 2))}", "", "64 is the most"),
        (",".join(f"h{number}=http://a" for number in range(1001)), "", "1000 is the most"),
    ],
)
def test_what_is_no_site(declared: str, upstream: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sites_of(declared, upstream)


def test_a_password_in_an_address_is_not_shown() -> None:
    with pytest.raises(ValueError, match="without path, query or user") as refused:
        sites_of("a=http://me:hunter2@a", "")
    assert "hunter2" not in str(refused.value)
