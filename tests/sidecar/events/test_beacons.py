"""Beacons, as bytes: what a page of the site may say is told, everything else is refused in one line and reaches nobody."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from service.events import Conversion
from sidecar.events import beacons
from sidecar.events.beacons import BURST_S, BYTES_MAX, EVENTS_MAX, PATH, Beacons
from sidecar.events.pseudonyms import Pseudonyms
from sidecar.settings import SidecarSettings
from tests.sidecar.wire import (
    NOON,
    Answer,
    Client,
    Sidecar,
    Told,
    answering,
    client,
    origin,
    response,
    serving,
)

KEY = "a key of at least thirty-two letters"
COOKIE = "Cookie: lm_uid=visitor-1"
TEXT, JSON = "Content-Type: text/plain;charset=UTF-8", "Content-Type: application/json"
SAME = "Sec-Fetch-Site: same-origin"
SOLD = {"name": "sold", "value": 19.9, "path": "/thanks"}


def said(*events: dict[str, Any]) -> bytes:
    return json.dumps({"events": events or [SOLD]}).encode()


async def beacon(visitor: Client, body: bytes, *fields: str) -> Answer:
    return await visitor.get(PATH, *(fields or (SAME, TEXT, COOKIE)), method="POST", body=body)


def conversions(sidecar: Sidecar) -> list[Conversion]:
    return [event for event in sidecar.told.events if isinstance(event, Conversion)]


async def answered(body: bytes, *fields: str, **settings: Any) -> tuple[Answer, Told]:
    """One beacon to a sidecar of its own; that nothing reached the origin is part of every answer."""
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url, **{"events_key": KEY, **settings}) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await beacon(visitor, body, *fields)
        assert site.heads == []
        assert [field for field, _ in answer.fields if field.lower().startswith(b"access-control")] == []
        return answer, sidecar.told


@pytest.mark.parametrize("kind", [TEXT, JSON])
async def test_what_a_page_says_is_told_with_the_visitors_units(kind: str) -> None:
    body = said(SOLD, {"name": "video:50"})
    account = "X-User: 17"
    answer, told = await answered(body, SAME, kind, COOKIE, account, units="account=header:X-User")
    assert (answer.status, answer.body, answer.get(b"Cache-Control")) == (204, b"", b"no-store")
    names = Pseudonyms(KEY)
    units = {"account": names.of("account", "17"), "lm_uid": names.of("lm_uid", "visitor-1")}
    first, second = (msgspec.structs.replace(event, id="") for event in told.events)
    assert first == Conversion(
        id="", at=NOON, site="shop.example", name="sold", units=units, path="/thanks", value=19.9
    )
    assert second == Conversion(id="", at=NOON, site="shop.example", name="video:50", units=units)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((SAME,), 204),
        (("Sec-Fetch-Site: cross-site",), 403),
        (("Sec-Fetch-Site: same-site",), 403),
        (("Sec-Fetch-Site: none",), 403),
        ((SAME, "Sec-Fetch-Site: cross-site"), 403),
        (("Sec-Fetch-Site: cross-site", "Origin: http://shop.example"), 403),
        (("Origin: http://shop.example",), 204),
        (("Origin: https://SHOP.example:443",), 204),
        (("Origin: https://shop.example", "Host: shop.example:443"), 204),
        (("Origin: http://shop.example:8080", "Host: shop.example:8080"), 204),
        (("Origin: http://shop.example:8081", "Host: shop.example:8080"), 403),
        (("Origin: http://evil.example",), 403),
        (("Origin: http://shop.example.evil.example",), 403),
        (("Origin: http://evil.example", "Origin: http://shop.example"), 403),
        (("Origin: null",), 403),
        (("Origin: ",), 403),
        (("Origin: file://shop.example",), 403),
        ((), 403),
    ],
)
async def test_only_pages_of_the_same_origin_are_heard(fields: tuple[str, ...], status: int) -> None:
    answer, told = await answered(said(), TEXT, COOKIE, *fields)
    assert (answer.status, len(told.events)) == (status, status == 204)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 8000,
        b'{"events": []}',
        said(*([SOLD] * (EVENTS_MAX + 1))),
        said({"name": ""}),
        said({"name": "1st"}),
        said({"name": "a b"}),
        said({"name": "x" * 65}),
        said({"name": "sold", "value": "19.9"}),
        said({"name": "sold", "value": 1e13}),
        b'{"events": [{"name": "sold", "value": NaN}]}',
        b'{"events": [{"name": "sold", "value": 1e999}]}',
        said({"name": "sold", "path": "/thanks?order=17"}),
        said({"name": "sold", "path": "/thanks#paid"}),
        said({"name": "sold", "path": "thanks"}),
        said({"name": "sold", "path": "/" + "x" * 300}),
        said({"name": "sold", "path": "/a b"}),
        said({"name": "sold", "unit": "visitor-2"}),
        said({"name": "sold", "x" * 5000: 1}),
        said({"name": "sold", "a\n\nb": 1}),
        b'{"events": [{"name": "sold"}], "unit": "visitor-2"}',
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
async def test_what_is_no_beacon_is_refused_in_one_line(body: bytes) -> None:
    answer, told = await answered(body)
    assert (answer.status, told.events) == (400, [])
    assert answer.body.startswith(b"The body is no beacon: ")
    assert (answer.body.count(b"\n"), len(answer.body) < 300) == (1, True)
    assert answer.get(b"X-Content-Type-Options") == b"nosniff"


@pytest.mark.parametrize(
    "fields",
    [
        (SAME, COOKIE),
        (SAME, COOKIE, "Content-Type: application/x-www-form-urlencoded"),
        (SAME, COOKIE, "Content-Type: text/html"),
        (SAME, COOKIE, TEXT, "Content-Encoding: gzip"),
    ],
)
async def test_other_kinds_of_bodies_are_refused(fields: tuple[str, ...]) -> None:
    answer, told = await answered(said(), *fields)
    assert (answer.status, told.events) == (400, [])


def announced(length: int) -> bytes:
    """The head of a beacon whose body is still to come."""
    fields = f"{SAME}\r\n{TEXT}\r\n{COOKIE}\r\nContent-Length: {length}"
    return f"POST {PATH} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n".encode()


async def test_a_body_that_is_too_large_is_not_waited_for() -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url, events_key=KEY) as sidecar:
        async with client(sidecar.port) as visitor:
            await visitor.send(announced(BYTES_MAX + 1))
            answer = await visitor.answer()
            assert (answer.status, answer.get(b"Connection")) == (413, b"close")
        async with client(sidecar.port) as visitor:
            assert (await beacon(visitor, b" " * (BYTES_MAX - len(said())) + said())).status == 204


async def test_a_body_in_pieces_is_taken_and_bounded_too() -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: a\r\n{SAME}\r\n{TEXT}\r\n{COOKIE}\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = said()
    async with origin(answering(response(b"x"))) as site, serving(site.url, events_key=KEY) as sidecar:
        async with client(sidecar.port) as visitor:
            for _ in range(2):
                await visitor.send(head.encode())
                for piece in (body[:5], body[5:]):
                    await visitor.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                await visitor.send(b"0\r\n\r\n")
                assert (await visitor.answer()).status == 204
        async with client(sidecar.port) as visitor:
            await visitor.send(head.encode())
            for _ in range(BYTES_MAX // 4096 + 1):
                await visitor.send(b"1000\r\n%s\r\n" % (b" " * 4096))
            assert (await visitor.answer()).status == 413
        async with client(sidecar.port) as visitor:
            await visitor.send(head.encode() + b"no chunk\r\n")
            assert (await visitor.answer()).status == 400
        assert len(conversions(sidecar)) == 2


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beacons, "BODY_S_MAX", 0.05)
    async with origin(answering(response(b"x"))) as site, serving(site.url, events_key=KEY) as sidecar:
        async with client(sidecar.port) as visitor:
            await visitor.send(announced(1000) + b"{")
            answer = await asyncio.wait_for(visitor.answer(), 30)
            assert (answer.status, answer.get(b"Connection")) == (408, b"close")
        assert (sidecar.told.events, sidecar.told.dropped) == ([], {})


@pytest.mark.parametrize("fields", [(TEXT, COOKIE), (SAME, COOKIE), (SAME, COOKIE, TEXT, "Content-Encoding: gzip")])
async def test_who_is_refused_unheard_is_not_heard_out(fields: tuple[str, ...]) -> None:
    """What is still to come of the body would be taken for the next request."""
    head = "\r\n".join((f"POST {PATH} HTTP/1.1", "Host: a", *fields, "Content-Length: 1000", "", ""))
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url, events_key=KEY) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.send(head.encode())
        answer = await asyncio.wait_for(visitor.answer(), 30)
        assert (answer.status in {400, 403}, answer.get(b"Connection")) == (True, b"close")


async def test_who_waits_for_an_invitation_gets_one() -> None:
    body = said()
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url, events_key=KEY) as sidecar,
        client(sidecar.port) as visitor,
    ):
        fields = "\r\n".join((SAME, TEXT, COOKIE, "Expect: 100-continue", f"Content-Length: {len(body)}"))
        await visitor.send(f"POST {PATH} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n".encode())
        assert await visitor.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await visitor.send(body)
        assert (await visitor.answer()).status == 204


async def test_a_visitor_who_leaves_half_way_is_no_event_and_no_error() -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url, events_key=KEY) as sidecar:
        async with client(sidecar.port) as visitor:
            await visitor.send(announced(1000) + b"{")
        async with client(sidecar.port) as visitor:
            assert (await beacon(visitor, said())).status == 204
        assert (len(conversions(sidecar)), sidecar.told.dropped) == (1, {})


@pytest.mark.parametrize(
    ("fields", "settings", "reason"),
    [
        ((SAME, TEXT), {}, "no_unit"),
        ((SAME, TEXT, "Cookie: lm_uid=?"), {}, "no_unit"),
        ((SAME, TEXT, COOKIE), {"events_key": ""}, "no_key"),
        ((SAME, TEXT, COOKIE), {"consent": "required", "consent_cookie": "ok"}, "no_consent"),
    ],
)
async def test_what_may_not_be_kept_is_answered_all_the_same(
    fields: tuple[str, ...], settings: dict[str, Any], reason: str
) -> None:
    answer, told = await answered(said(), *fields, **settings)
    assert (answer.status, told.events, told.dropped) == (204, [], {reason: 1})


async def test_each_event_of_a_beacon_that_is_not_kept_counts() -> None:
    _, told = await answered(said(SOLD, SOLD, SOLD), SAME, TEXT)
    assert told.dropped == {"no_unit": 3}


async def test_a_worker_takes_a_burst_and_then_as_much_as_it_is_set_to() -> None:
    """Whatever was not taken in an hour: memory and Redis are for all visitors."""
    clock = [0.0]
    settings = SidecarSettings(upstream="http://127.0.0.1:1", beacons_per_s=5.0)
    events: Any = None
    taking = Beacons(settings, events, lambda *_: {}, now=lambda: NOON, clock=lambda: clock[0])
    burst = [True] * int(5 * BURST_S) + [False]
    assert [taking._has_room() for _ in burst] == burst
    for at, taken in ((0.125, False), (0.25, True), (0.25, False), (0.375, False), (0.5, True)):
        clock[0] = at
        assert taking._has_room() is taken, at
    clock[0] = 3600.0
    assert [taking._has_room() for _ in burst] == burst


async def test_consent_is_enough() -> None:
    consenting = {"consent": "required", "consent_cookie": "ok"}
    _, told = await answered(said(), SAME, TEXT, f"{COOKIE}; ok=1", **consenting)
    assert len(told.events) == 1


async def test_more_than_a_worker_takes_is_429_and_less_is_taken_again() -> None:
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url, events_key=KEY, beacons_per_s=5.0) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answers = [await beacon(visitor, said()) for _ in range(30)]
        refused = [answer for answer in answers if answer.status == 429]
        assert 10 <= 30 - len(refused) < 20
        assert {answer.get(b"Retry-After") for answer in refused} == {b"1"}
        async with asyncio.timeout(30):
            while (await beacon(visitor, said())).status == 429:
                pass


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_events_are_posted(method: str) -> None:
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url, events_key=KEY) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get(PATH, SAME, "Access-Control-Request-Method: POST", method=method)
        assert (answer.status, answer.get(b"Allow"), site.heads) == (405, b"POST", [])


async def test_a_bug_is_no_news_to_the_page() -> None:
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url, events_key=KEY, told=Told(broken=True)) as sidecar,
        client(sidecar.port) as visitor,
    ):
        assert (await beacon(visitor, said())).status == 204
        assert sidecar.told.dropped == {"failed": 1}


async def test_where_events_are_off_there_is_nothing_at_this_address() -> None:
    answer, _ = await answered(said(), events=False)
    assert answer.status == 404


async def test_a_connection_goes_on_after_a_beacon() -> None:
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url, events_key=KEY) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for status, body in ((204, said()), (400, b"{}"), (204, said())):
            assert (await beacon(visitor, body)).status == status
        assert (await visitor.get("/")).status == 200
