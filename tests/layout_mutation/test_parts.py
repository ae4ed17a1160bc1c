"""What the options mean for the services."""

import pytest

from layout_mutation.parts import Options, check_upstream, origins, without
from layout_mutation.processes import RunError


def test_the_preview_knows_the_site_by_every_name_it_has_here() -> None:
    origin = "http://shop.example:3000"
    assert origins(Options(upstream=f"{origin}/")) == dict.fromkeys(
        ("127.0.0.1", "localhost", "shop.example", "*"), origin
    )


def test_the_demo_site_is_the_origin_unless_there_is_another() -> None:
    assert Options(upstream=None, demo_port=9).origin_url == "http://127.0.0.1:9"
    assert list(Options(upstream=None).ports) == ["--port", "--admin-port", "--demo-port"]
    assert list(Options(upstream="http://a.test").ports) == ["--port", "--admin-port"]


@pytest.mark.parametrize("url", ["http://a.test", "https://a.test/", "http://127.0.0.1:3000", "http://[::1]:3000"])
def test_the_address_of_a_site(url: str) -> None:
    assert check_upstream(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.test",
        "ftp://a.test",
        "http://",
        "http://a.test:x",
        "http://a.test:99999",
        "http://a/b",
        "http://u:secret@a",
    ],
)
def test_what_is_no_address_of_a_site(url: str) -> None:
    with pytest.raises(RunError, match="--upstream") as caught:
        check_upstream(url)
    assert "secret" not in str(caught.value)


def test_variables_are_withheld_by_their_beginning() -> None:
    assert without({"A_B": "1", "AB": "2"}, "A_") == {"AB": "2"}
