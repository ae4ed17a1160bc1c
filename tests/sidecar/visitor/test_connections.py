"""Requests that are not HTTP: a plain 400, counted, that tells nothing."""

from aiohttp import web

from sidecar.visitor.connections import Refusal
from tests.sidecar.wire import answering, client, origin, response, serving


async def test_a_bad_request_gets_a_plain_answer_and_is_counted() -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"GET / HTTP/1.1\r\nHost : <script>alert(1)</script>\r\n\r\n")
        answer = await visitor.answer()
        families = {family.name: family for family in sidecar.application.telemetry.families()}
    assert (answer.status, answer.body) == (400, b"The request is not valid HTTP.\n")
    assert answer.get(b"Server") is None
    assert families["layout_mutation_bad_requests"].samples[0].value == 1


async def test_a_handler_that_fails_gets_a_plain_answer_too() -> None:
    async def broken(_request: web.BaseRequest) -> web.StreamResponse:
        raise RuntimeError("broken on purpose")

    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar:
        sidecar.application.server.request_handler = broken
        async with client(sidecar.port) as visitor:
            answer = await visitor.get("/")
    assert (answer.status, answer.body) == (500, b"Something went wrong here.\n")


def test_a_refusal_ends_the_connection() -> None:
    assert Refusal(b"400 Bad Request", b"x").keep_alive is False
