"""Preview fetches pages of registered origins, and nothing else can be reached through it."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from control_plane.origin_pages import OriginPage, OriginPages, normalised, resolve
from control_plane.refusals import Refusal, Refused

ORIGINS = {"shop.example": "http://10.0.0.5:3000/base", "*": "http://127.0.0.1:8082"}


@pytest.mark.parametrize(
    ("address", "site", "origin", "target"),
    [
        ("https://shop.example/a/b?c=%20d", "shop.example", ORIGINS["shop.example"], "/a/b?c=%20d"),
        ("HTTPS://Shop.Example:8443/%7Ea", "shop.example", ORIGINS["shop.example"], "/%7Ea"),
        ("https://shop.example", "shop.example", ORIGINS["shop.example"], "/"),
        ("/offers/", "127.0.0.1", ORIGINS["*"], "/offers/"),
        ("http://127.0.0.1:8080/", "127.0.0.1", ORIGINS["*"], "/"),
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254", ORIGINS["*"], "/latest/meta-data"),
        ("https://shop.example/a/../../../etc/passwd", "shop.example", ORIGINS["shop.example"], "/etc/passwd"),
        ("https://shop.example/a/%2e%2e/%2E./b/", "shop.example", ORIGINS["shop.example"], "/b/"),
        ("https://shop.example//evil.example/", "shop.example", ORIGINS["shop.example"], "/evil.example/"),
        ("https://shop.example/@evil.example/#x", "shop.example", ORIGINS["shop.example"], "/@evil.example/"),
    ],
)
def test_an_address_chooses_among_the_origins_and_never_names_one(
    address: str, site: str, origin: str, target: str
) -> None:
    found = resolve(address, ORIGINS)
    assert (found.site, found.origin, found.target) == (site, origin, target)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "offers",
        "//evil.example/x",
        "file:///etc/passwd",
        "gopher://shop.example/",
        "javascript:alert(1)",
        "http:/evil.example/",
        "http://",
        "https://user:pw@shop.example/",
        "https://shop.example\\@evil.example/",
        "https://shop.example/a b",
        "https://shop.example/\r\nHost: evil.example",
        "https://shop.example/\x00",
        "https://[::1/",
        "https://shop.example:99999/",
        "https://schöp.example/",
        "https://shop.example/" + "a" * 5000,
    ],
)
def test_what_is_no_plain_address_of_a_page_is_refused(address: str) -> None:
    with pytest.raises(Refused) as caught:
        resolve(address, ORIGINS)
    assert caught.value.refusal is Refusal.PREVIEW_ADDRESS


@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/", "http://localhost/", "http://[::1]:5432/", "http://0x7f000001/", "/x"]
)
def test_without_a_default_site_only_registered_hosts_are_known(address: str) -> None:
    with pytest.raises(Refused, match=r"CONTROL_PLANE_ORIGINS has: shop\.example"):
        resolve(address, {"shop.example": "http://10.0.0.5"})


def test_dot_segments_never_leave_the_origins_folder() -> None:
    assert normalised("/..") == "/"
    assert normalised("/a/./b/../c/") == "/a/c/"
    assert normalised("") == "/"
    assert normalised("/a/%2e%2e") == "/"
    assert normalised("/a..b/.c/") == "/a..b/.c/"


class Origin:
    """A site with every trouble a site can make; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        match request.path:
            case "/page":
                return web.Response(
                    body="<p>Grüße</p>".encode("latin-1"),
                    headers={
                        "Content-Type": "text/html; charset=iso-8859-1",
                        "X-Layout-Id": "home",
                        "X-Layout-Attributes": "{}",
                        "Set-Cookie": "a=b",
                    },
                )
            case "/json":
                return web.json_response({"secret": "of the machine room"})
            case "/untyped":
                return web.Response(body=b"<p>", headers={"Content-Type": ""})
            case "/huge":
                return web.Response(body=b"x" * 5_000_000, content_type="text/html")
            case "/moved":
                raise web.HTTPFound("/page")
            case "/absolute":
                raise web.HTTPFound(f"http://{request.headers['Host']}/page")
            case "/loop":
                raise web.HTTPFound("/loop")
            case "/away":
                raise web.HTTPFound("http://169.254.169.254/latest/meta-data")
            case "/scheme":
                raise web.HTTPFound("file:///etc/passwd")
        return web.Response(status=404, text="<p>nothing</p>", content_type="text/html")


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture
async def base(origin: Origin) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get("/{path:.*}", origin.answer)
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
async def pages(base: str) -> AsyncIterator[OriginPages]:
    found = OriginPages({"shop.example": base})
    yield found
    await found.close()


async def test_a_page_comes_as_it_was_served(pages: OriginPages, origin: Origin) -> None:
    page = await pages.fetch("https://shop.example/page?q=1")
    assert page == OriginPage(
        "https://shop.example/page?q=1", 200, "<p>Grüße</p>".encode("latin-1"), "iso-8859-1", "home", ("{}",)
    )
    assert origin.asked[0].headers["Host"] == "shop.example"
    assert origin.asked[0].path_qs == "/page?q=1"
    await pages.fetch("https://shop.example/page")
    assert "Cookie" not in origin.asked[1].headers
    assert (await pages.fetch("https://shop.example/none")).status == 404


@pytest.mark.parametrize("path", ["/moved", "/absolute"])
async def test_a_redirect_within_the_site_is_followed(pages: OriginPages, path: str) -> None:
    assert (await pages.fetch(f"https://shop.example{path}")).url.endswith("/page")


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("/json", Refusal.PREVIEW_NOT_HTML),
        ("/untyped", Refusal.PREVIEW_NOT_HTML),
        ("/huge", Refusal.PREVIEW_TOO_LARGE),
        ("/loop", Refusal.PREVIEW_REDIRECT),
        ("/away", Refusal.PREVIEW_REDIRECT),
        ("/scheme", Refusal.PREVIEW_REDIRECT),
    ],
)
async def test_what_is_no_page_of_the_site_is_refused(
    pages: OriginPages, origin: Origin, path: str, refusal: Refusal
) -> None:
    with pytest.raises(Refused) as caught:
        await pages.fetch(f"https://shop.example{path}")
    assert caught.value.refusal is refusal
    assert "machine room" not in caught.value.detail


async def test_an_origin_that_is_away_is_said_to_be(base: str) -> None:
    pages = OriginPages({"*": "http://127.0.0.1:1"})
    with pytest.raises(Refused) as caught:
        await pages.fetch("/page")
    await pages.close()
    assert caught.value.refusal is Refusal.PREVIEW_UNREACHABLE
