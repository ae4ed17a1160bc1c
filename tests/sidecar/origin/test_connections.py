"""Connections to origins: TLS with names and certificates, silence, and which of them a request may have that is sent once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.sidecar.certificates import Authority
from tests.sidecar.replicas import Replica, bodies
from tests.sidecar.waiting import until
from tests.sidecar.wire import Conversation, answering, client, origin, response, serving


async def over_tls(replica: Replica, named: str, **settings: Any) -> list[str]:
    """Who answers two requests for a site at `replica`'s address, verified as `named`."""
    await replica.start()
    address = f"https://127.0.0.1:{replica.port}{f'#{named}' if named else ''}"
    async with serving(address, **settings) as sidecar, client(sidecar.port) as visitor:
        got = await bodies(visitor, 2)
    await replica.stop()
    return got


async def test_an_origin_is_verified_as_whom_it_is_said_to_be(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ca_file = str(authority.file)
    replica = Replica("a", authority.server("shop.example"))
    assert await over_tls(replica, "shop.example", upstream_ca_file=ca_file) == ["a", "a"]
    assert replica.server_names == ["shop.example"], (
        "the name is to be asked for (SNI), and the connection to be reused"
    )
    assert await over_tls(replica, "other.example", upstream_ca_file=ca_file) == ["502", "502"]
    assert await over_tls(replica, "", upstream_ca_file=ca_file) == ["502", "502"]
    assert await over_tls(replica, "shop.example") == ["502", "502"], "an authority that nobody named was believed"
    replica = Replica("b", authority.server("127.0.0.1"))
    assert await over_tls(replica, "", upstream_ca_file=ca_file) == ["b", "b"]


async def test_each_origin_has_its_own_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, two = Replica("a", authority.server("a.example")), Replica("b", authority.server("b.example"))
    await one.start()
    await two.start()
    sites = f"shop.example={one.url}#a.example {two.url}#b.example"
    checks: dict[str, Any] = {"upstream_check_path": "/", "upstream_check_s": 0.1, "upstream_check_down": 1}
    async with (
        serving("", sites=sites, upstream_ca_file=str(authority.file), **checks) as sidecar,
        client(sidecar.port) as visitor,
    ):
        assert sorted(await bodies(visitor, 2)) == ["a", "b"]
        origins = sidecar.application.sites.of("shop.example").origins  # type: ignore[union-attr]
        await until(lambda: all(each.checks["passed"] > 1 for each in origins))
        assert [each.checks["failed"] for each in origins] == [0, 0]
    assert (set(one.server_names), set(two.server_names)) == ({"a.example"}, {"b.example"})
    assert b"\r\nHost: shop.example\r\n" in one.heads[0]
    await one.stop()
    await two.stop()


@pytest.mark.parametrize("password", ["", "open sesame"])
async def test_an_origin_that_wants_a_certificate_gets_it(tmp_path: Path, password: str) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issued("sidecar", password=password.encode() or None)
    replica = Replica("a", authority.server("shop.example", asks_for_certificate=True))
    given: dict[str, Any] = {"upstream_ca_file": str(authority.file)}
    assert await over_tls(replica, "shop.example", **given) == ["502", "502"]
    given |= {"upstream_certificate_file": str(certificate), "upstream_key_file": str(key)}
    assert await over_tls(replica, "shop.example", **given, upstream_key_password=password) == ["a", "a"]
    stranger = Authority(tmp_path, "stranger")
    certificate, key = stranger.issued("sidecar")
    given |= {"upstream_certificate_file": str(certificate), "upstream_key_file": str(key)}
    assert await over_tls(replica, "shop.example", **given) == ["502", "502"]


# ---- silence


@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", "Content-Length: 100"])
async def test_an_origin_that_falls_silent_in_a_body_is_given_up(framing: str) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        piece = b"5\r\nhello\r\n" if "chunked" in framing else b"hello"
        await conversation.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        for _ in range(4):
            await conversation.send(piece)
            await asyncio.sleep(0.1)
        await conversation.reader.read(-1)

    async with origin(script) as site, serving(site.url, upstream_stall_s=0.6) as sidecar:
        async with client(sidecar.port) as visitor:
            await visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            got = await visitor.rest()
            assert got.count(b"hello") == 4, "what comes slower than at once was cut off"
            assert not got.endswith(b"0\r\n\r\n")
            await asyncio.wait_for(site.closed.wait(), 5)
        counted = sidecar.application.telemetry.registry.get_sample_value(
            "layout_mutation_upstream_errors_total", {"reason": "stalled"}
        )
        assert counted == 1


async def test_events_and_silence_by_default_last() -> None:
    async def script(conversation: Conversation) -> None:
        head = await conversation.head()
        kind = b"text/event-stream" if b" /events " in head else b"text/plain"
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % kind)
        await asyncio.sleep(0.3)
        await conversation.send(b"5\r\nhello\r\n0\r\n\r\n")
        await conversation.reader.read(-1)

    for target, stall_s in (("/events", 0.1), ("/other", 0.0)):
        async with (
            origin(script) as site,
            serving(site.url, upstream_stall_s=stall_s) as sidecar,
            client(sidecar.port) as visitor,
        ):
            assert (await visitor.get(target)).body == b"hello"


async def test_a_visitor_who_is_slow_is_not_taken_for_an_origin_that_is() -> None:
    size = 8 * 1024 * 1024

    async with (
        origin(answering(response(b"x" * size))) as site,
        serving(site.url, upstream_stall_s=0.2) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0.6)
        assert len((await visitor.answer()).body) == size


async def test_a_pooled_connection_is_not_bound_by_the_silence_of_the_request_before() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(response(b"x"))
        await conversation.head()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 1\r\n\r\n")
        await asyncio.sleep(0.3)
        await conversation.send(b"y")
        await conversation.reader.read(-1)

    async with (
        origin(script) as site,
        serving(site.url, upstream_stall_s=0.1) as sidecar,
        client(sidecar.port) as visitor,
    ):
        assert (await visitor.get("/")).body == b"x"
        await asyncio.sleep(0.2)
        assert (await visitor.get("/")).body == b"y"


async def test_an_origin_that_takes_nothing_of_an_upload_is_given_up() -> None:
    async def script(conversation: Conversation) -> None:
        conversation.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(10)

    async with origin(script) as site, serving(site.url, upstream_response_s=0.3) as sidecar:
        async with client(sidecar.port) as visitor:
            visitor.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 20_000_000)
            assert b" 504 " in await visitor.head()
        [one] = sidecar.application.sites.of("a").origins  # type: ignore[union-attr]
        await until(lambda: one.connections.in_progress == 0)
        assert one.failures == {"response_timeout": 1}


# ---- requests that are sent once


async def test_an_origin_that_closes_what_rests_costs_nobody_a_form() -> None:
    async def script(conversation: Conversation) -> None:
        head = await conversation.head()
        if b"Content-Length: 3" in head:
            await conversation.reader.readexactly(3)
        await conversation.send(response(b"x"))

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        for number in range(200):
            method, body = ("POST", b"pay") if number % 2 else ("GET", b"")
            assert (await visitor.get("/", method=method, body=body)).status == 200, number


async def test_what_is_sent_once_takes_no_connection_that_rested_for_long() -> None:
    connections = 0

    async def script(conversation: Conversation) -> None:
        nonlocal connections
        connections += 1
        await answering(response(b"x"))(conversation)

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        for _ in range(3):
            await visitor.get("/", method="DELETE")
            await visitor.get("/", method="POST")
        assert connections == 1, "a connection that has just been used is good for anything"
        await asyncio.sleep(1.1)
        await visitor.get("/")
        assert connections == 1
        await asyncio.sleep(1.1)
        await visitor.get("/", method="POST")
        assert connections == 2


@pytest.mark.parametrize(
    ("said", "expected"),
    [("timeout=1", 3), ("max=100, Timeout = 1", 3), ("timeout=5, max=100", 1), ("timeout=soon", 1), ("timeout=", 1)],
)
async def test_an_origin_that_says_how_long_it_keeps_a_connection_is_believed(said: str, expected: int) -> None:
    """What it keeps for a second may be gone before a form arrives; what may be repeated goes there all the same."""
    connections = 0

    async def script(conversation: Conversation) -> None:
        nonlocal connections
        connections += 1
        await answering(response(b"x", f"Keep-Alive: {said}"))(conversation)

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        for method in ("GET", "GET", "POST", "GET", "POST"):
            assert (await visitor.get("/", method=method)).status == 200
    assert connections == expected
