"""Requests that are answered here, since they can't be forwarded as one thing: by version, host, target and hops."""

import asyncio

import pytest

from sidecar.visitor.refusals import HOPS_MAX
from tests.sidecar.wire import Conversation, answering, client, origin, response, serving


async def asked(request: bytes) -> tuple[int, list[bytes]]:
    """What a request is answered with, and the heads that the origin got."""
    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(request)
        return (await visitor.answer()).status, site.heads


@pytest.mark.parametrize("version", [b" HTTP/2.0", b" HTTP/0.9", b""], ids=repr)
async def test_a_version_that_is_not_spoken_here_is_505(version: bytes) -> None:
    """A parser that is kind to HTTP/0.9 and 2.0 takes them for requests whose bodies nobody knows the end of."""
    assert await asked(b"GET /%s\r\nHost: a\r\n\r\n" % version) == (505, [])


@pytest.mark.parametrize(
    "host",
    [b"a b", b"a/../b", b"visitor@a", b'a"', b"a\\b", b"a\xff", b"a?b", b"a#b", b"a:b", b"[::1", b"a:1:2", b"a" * 300],
    ids=repr,
)
async def test_a_host_that_is_none_is_400(host: bytes) -> None:
    """RFC 9112 3.2. What stands in Host goes into links, caches and logs of the origin."""
    assert await asked(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host) == (400, [])


@pytest.mark.parametrize(
    "host", [b"Shop.Example:81", b"[::1]:8080", b"xn--caf-dma.example", b"my_host", b"192.0.2.1", b"a:", b"a."]
)
async def test_a_host_that_is_one_goes_on_as_it_came(host: bytes) -> None:
    status, [head] = await asked(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
    assert (status, head.split(b"\r\n")[1]) == (200, b"Host: " + host)


async def test_an_empty_host_is_the_sites_own() -> None:
    status, [head] = await asked(b"GET / HTTP/1.1\r\nHost:\r\n\r\n")
    assert (status, head.split(b"\r\n")[1][:16]) == (200, b"Host: 127.0.0.1:")


@pytest.mark.parametrize(
    ("target", "status", "line"),
    [
        (b"http://b.example/x?y", 200, b"GET /x?y HTTP/1.1\r\nHost: b.example\r\n"),
        (b"HTTPS://b.example?y", 200, b"GET /?y HTTP/1.1\r\nHost: b.example\r\n"),
        (b"ftp://b.example/x", 501, b""),
        (b"http://b%00.example:y/", 400, b""),
    ],
)
async def test_a_target_that_names_its_host(target: bytes, status: int, line: bytes) -> None:
    """RFC 9112 3.2.2: it goes before Host, and is a web address."""
    found, heads = await asked(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    assert (found, [head[: len(line)] for head in heads]) == (status, [line] if line else [])


@pytest.mark.parametrize(
    ("method", "given", "status", "asks"),
    [
        (b"OPTIONS", b"0", 200, None),
        (b"TRACE", b" 0", 501, None),
        (b"OPTIONS", b"00", 200, None),
        (b"OPTIONS", b"10", 200, b"9"),
        (b"TRACE", b"1", 200, b"0"),
        (b"OPTIONS", b"many", 200, b"many"),
        (b"GET", b"0", 200, b"0"),
    ],
)
async def test_hops_are_counted_for_those_who_ask_the_way(
    method: bytes, given: bytes, status: int, asks: bytes | None
) -> None:
    """RFC 9110 7.6.2."""
    found, heads = await asked(b"%s / HTTP/1.1\r\nHost: a\r\nMax-Forwards: %s\r\n\r\n" % (method, given))
    assert found == status
    assert [b"\r\nMax-Forwards: %s\r\n" % asks in head for head in heads] == ([] if asks is None else [True])


async def test_a_sidecar_that_leads_to_itself_says_so_instead_of_asking_for_ever() -> None:
    """An origin's address that is the balancer's leads back here."""
    port = asyncio.get_running_loop().create_future()

    async def script(conversation: Conversation) -> None:
        head = await conversation.head()
        async with client(await port) as again:
            await again.send(head)
            answer = await again.answer()
            await conversation.send(answer.raw + answer.body)

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        port.set_result(sidecar.port)
        answer = await visitor.get("/")
    assert (answer.status, b"circle" in answer.body) == (508, True)
    assert len(site.heads) == HOPS_MAX + 1


async def test_a_chain_of_proxies_is_no_circle() -> None:
    chain = ", ".join(["192.0.2.1"] * (HOPS_MAX - 1)).encode()
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: %s\r\nX-Forwarded-For: 192.0.2.2\r\n"
    assert (await asked(request % chain + b"\r\n"))[0] == 200
    assert (await asked(request % chain + b"X-Forwarded-For: 192.0.2.3\r\n\r\n"))[0] == 508
