"""The origin's end: connections reused and given up, bodies on their way up, an origin that fails in every way."""

import asyncio
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.origin.upstream import Trouble, UpstreamError
from tests.sidecar.wire import Conversation, answering, client, html, origin, response, serving, table


def test_whose_fault_it_is() -> None:
    assert UpstreamError(Trouble.CONNECT_TIMEOUT, "x").status == 504
    assert UpstreamError(Trouble.BAD_RESPONSE, "x").status == 502


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)


async def test_connections_to_the_origin_are_reused() -> None:
    connections = 0

    async def script(conversation: Conversation) -> None:
        nonlocal connections
        connections += 1
        await answering(response(b"x"))(conversation)

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        for _ in range(5):
            await visitor.get("/")
    assert connections == 1


async def test_a_connection_that_the_origin_closed_meanwhile_costs_nobody_a_page() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(response(b"x"))

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        for _ in range(5):
            assert (await visitor.get("/")).status == 200


async def test_a_request_that_may_not_be_repeated_is_not() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        answer = await visitor.get("/", method="POST", body=b"pay")
        assert (answer.status, len(site.heads)) == (502, 1)


async def test_an_origin_that_is_not_there() -> None:
    async with serving("http://127.0.0.1:1") as sidecar, client(sidecar.port) as visitor:
        answer = await visitor.get("/")
        assert (answer.status, answer.get(b"Cache-Control")) == (502, b"no-store")
        assert answer.verdict is None
        assert (await visitor.get("/")).status == 502


async def test_an_origin_that_does_not_answer_in_time() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.reader.read()

    async with (
        origin(script) as site,
        serving(site.url, upstream_response_s=0.1) as sidecar,
        client(sidecar.port) as visitor,
    ):
        assert (await visitor.get("/")).status == 504
        assert (await visitor.get("/", method="POST", body=b"x")).status == 504


@pytest.mark.parametrize(
    "nonsense",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_an_origin_that_does_not_speak_http(nonsense: bytes) -> None:
    async with origin(answering(nonsense)) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        assert (await visitor.get("/")).status == 502


async def test_an_upload_streams_without_waiting_for_its_end() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        assert await conversation.reader.readexactly(5) == b"first"
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        assert await conversation.reader.readexactly(4) == b"rest"
        await conversation.send(b"ok")

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfirst")
        await visitor.head()
        await visitor.send(b"rest")
        assert await visitor.exactly(2) == b"ok"
    assert b"Content-Length: 9\r\n" in site.heads[0]


async def test_a_chunked_upload_stays_chunked_and_encoded() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        body = await conversation.reader.readuntil(b"0\r\n\r\n")
        await conversation.send(response(body))

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        upload = b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
        await visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + upload)
        assert (await visitor.answer()).body == b"4\r\nabcd\r\n0\r\n\r\n"
    assert b"Content-Encoding: gzip\r\n" in site.heads[0]


async def test_expect_100_continue_is_the_origins_to_answer() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await conversation.send(response(await conversation.reader.readexactly(4)))

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert await visitor.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await visitor.send(b"body")
        assert (await visitor.answer()).body == b"body"
    assert b"Expect: 100-continue\r\n" in site.heads[0]


async def test_an_origin_that_refuses_before_the_upload() -> None:
    async with (
        origin(answering(response(b"no", status="417 Expectation Failed"))) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        answer = await visitor.answer()
        assert (answer.status, answer.get(b"Connection")) == (417, b"close")


async def test_an_origin_that_never_heard_of_100_continue() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(response(await conversation.reader.readexactly(4)))

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert await visitor.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await visitor.send(b"body")
        assert (await visitor.answer()).body == b"body"


async def test_an_upload_that_breaks_off_is_never_complete_for_the_origin() -> None:
    rest = asyncio.get_running_loop().create_future()

    async def script(conversation: Conversation) -> None:
        await conversation.head()
        rest.set_result(await conversation.reader.read(-1))

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n")
        await _until(lambda: bool(site.heads))
        await visitor.send(b"nonsense\r\n\r\n")
        assert not (await asyncio.wait_for(rest, 5)).endswith(b"0\r\n\r\n")
        assert b" 400 " in await visitor.head()


async def test_a_visitor_who_leaves_ends_the_request_to_the_origin() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.reader.read(-1)

    async with origin(script) as site, serving(site.url) as sidecar:
        async with client(sidecar.port) as visitor:
            await visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await _until(lambda: bool(site.heads))
        await asyncio.wait_for(site.closed.wait(), 5)


async def test_an_https_origin_is_verified(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [*request, *names, "-keyout", str(key), "-out", str(certificate)]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response(b"over tls"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    async with server:
        async with serving(url) as sidecar, client(sidecar.port) as visitor:
            assert (await visitor.get("/")).status == 502
        async with serving(url, upstream_ca_file=str(certificate)) as sidecar, client(sidecar.port) as visitor:
            assert (await visitor.get("/")).body == b"over tls"


async def test_codings_asked_for_can_be_undone() -> None:
    async with (
        origin(answering(html(b"x"))) as site,
        serving(site.url, tables=table()) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.get("/", "Accept-Encoding: gzip, dcz, br;q=0.9")
    assert b"Accept-Encoding: gzip, br;q=0.9\r\n" in site.heads[0]


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense secret\r\n\r\n",
        b"HTTP/1.1 2x0 secret\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSet Cookie: a=secret\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=\x00secret\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n",
    ],
)
async def test_what_an_origin_sends_in_place_of_http_is_not_repeated(sent: bytes) -> None:
    async with (
        origin(answering(sent)) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        with capture_logs() as logged:
            assert (await visitor.get("/")).status == 502
    [line] = [line for line in logged if line["event"] == "upstream_failed"]
    assert line["reason"] == "bad_response"
    assert "secret" not in str(logged)
