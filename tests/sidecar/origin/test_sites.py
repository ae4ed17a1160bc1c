"""Which origin gets a request, who gets it after a failure, and that no site is ever without one."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.origin.sites import AUTHORITIES_MAX, Sites
from sidecar.settings import SidecarSettings
from tests.sidecar.replicas import Replica, bodies, replicas, until_answered_by
from tests.sidecar.waiting import until
from tests.sidecar.wire import Conversation, Sidecar, client, origin, response, serving


def shop(*origins: Replica) -> str:
    """SIDECAR_SITES of one shop with these origins."""
    return "shop.example=" + " ".join(one.url for one in origins)


def known(sidecar: Sidecar) -> dict[str, dict[str, Any]]:
    """What the sidecar knows of each origin."""
    origins: Any = sidecar.application.sites.status()["origins"]
    return {one["origin"]: one for one in origins}


# ---- sites


@pytest.mark.parametrize(
    ("host", "body"),
    [
        ("shop.example", "shop"),
        ("SHOP.example.:8443", "shop"),
        ("de.shop.example", "all"),
        ("a.de.shop.example", "countries"),
        ("a.b.de.shop.example", "countries"),
        ("blog.example", "all"),
        ("example", "421"),
        ("shop.example.evil", "421"),
        ("*.example", "all"),
        ("*", "421"),
        ("[::1]:80", "421"),
        ("", "421"),
    ],
)
async def test_the_most_exact_host_says_which_site_it_is(host: str, body: str) -> None:
    async with replicas("shop", "countries", "all") as (one, two, three):
        sites = f"shop.example={one.url}, *.example={three.url}, *.de.shop.example={two.url}"
        async with serving("", sites=sites) as sidecar, client(sidecar.port) as visitor:
            assert await bodies(visitor, 2, f"Host: {host}") == [body] * 2


async def test_the_upstream_is_for_every_other_host() -> None:
    async with replicas("shop", "rest") as (one, two):
        async with serving(two.url, sites=shop(one)) as sidecar, client(sidecar.port) as visitor:
            assert await bodies(visitor, 1, "Host: shop.example") == ["shop"]
            assert await bodies(visitor, 1, "Host: other.example:81") == ["rest"]
            await visitor.send(b"GET http://shop.example/a HTTP/1.1\r\nHost: other.example\r\n\r\n")
            assert (await visitor.answer()).body == b"shop"
        assert [b"Host: shop.example\r\n" in head for head in one.heads] == [True, True]
        assert b"Host: other.example:81\r\n" in two.heads[0]


async def test_a_host_that_is_not_served_is_told_so_and_the_connection_goes_on() -> None:
    async with replicas("shop") as (one,), serving("", sites=shop(one)) as sidecar, client(sidecar.port) as visitor:
        answer = await visitor.get("/", "Host: evil.example")
        assert (answer.status, answer.get(b"Cache-Control")) == (421, b"no-store")
        answer = await visitor.get("/", "Host: evil.example", method="POST", body=b"x")
        assert answer.status == 421
    assert one.heads == []


async def test_in_local_mode_each_site_is_asked_under_the_name_of_its_origin() -> None:
    async with replicas("shop", "rest") as (one, two):
        sites = f"shop.localhost={one.url}"
        async with serving(two.url, sites=sites, local_mode=True) as sidecar, client(sidecar.port) as visitor:
            assert await bodies(visitor, 1, "Host: shop.localhost") == ["shop"]
            assert await bodies(visitor, 1, "Host: localhost") == ["rest"]
        assert f"\r\nHost: 127.0.0.1:{one.port}\r\n".encode() in one.heads[0]
        assert f"\r\nHost: 127.0.0.1:{two.port}\r\n".encode() in two.heads[0]


async def test_what_visitors_make_up_is_not_remembered_without_bound() -> None:
    settings = SidecarSettings(upstream="http://127.0.0.1:1")
    sites = Sites(settings, entropy=random.Random(1))
    for number in range(AUTHORITIES_MAX + 100):
        assert sites.of(f"h{number}.example") is sites.of("shop.example")
    assert sites.of.cache_info().currsize == AUTHORITIES_MAX
    await sites.close()


async def test_an_origin_of_two_sites_is_one_origin() -> None:
    async with (
        replicas("both") as (one,),
        serving("", sites=f"a={one.url}, b={one.url}") as sidecar,
        client(sidecar.port) as visitor,
    ):
        await bodies(visitor, 1, "Host: a")
        await bodies(visitor, 1, "Host: b")
        assert known(sidecar)[one.url]["requests"] == 2
        assert one.connections == 1


# ---- balance


async def test_origins_take_turns() -> None:
    async with (
        replicas("a", "b", "c") as (one, two, three),
        serving("", sites=shop(one, two, three)) as sidecar,
        client(sidecar.port) as visitor,
    ):
        got = await bodies(visitor, 12)
    assert sorted(got[:3]) == ["a", "b", "c"]
    assert got == got[:3] * 4


async def test_the_one_with_the_fewest_requests_in_progress_gets_the_next() -> None:
    async with replicas("slow", "fast") as (slow, fast), serving("", sites=shop(slow, fast)) as sidecar:
        slow.hangs = True
        async with client(sidecar.port) as first, client(sidecar.port) as second, client(sidecar.port) as visitor:
            for waiting in (first, second):
                await waiting.send(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            await until(lambda: bool(slow.heads and fast.heads) and known(sidecar)[fast.url]["inProgress"] == 0)
            assert await bodies(visitor, 6) == ["fast"] * 6
            assert known(sidecar)[slow.url]["inProgress"] == 1
        await until(lambda: known(sidecar)[slow.url]["inProgress"] == 0)


async def test_requests_in_progress_are_counted_down_however_they_end() -> None:
    async def script(conversation: Conversation) -> None:
        head = await conversation.head()
        if b" /broken " in head:
            await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            return
        if b" /nothing " in head:
            await conversation.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        elif b" /hangs " in head:
            await conversation.reader.read(-1)
        else:
            await conversation.send(response(b"x" * 100_000))
        await conversation.reader.read(-1)

    async with origin(script) as site, serving(site.url, upstream_response_s=0.2) as sidecar:
        for target in ("/page", "/broken", "/nothing", "/hangs"):
            async with client(sidecar.port) as visitor:
                await visitor.send(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
                await visitor.rest()
        async with client(sidecar.port) as visitor:
            await visitor.send(b"GET /hangs HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: known(sidecar)[site.url]["inProgress"] == 1)
        await until(lambda: known(sidecar)[site.url]["inProgress"] == 0)


# ---- another origin


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_never_left_goes_to_another_origin_whatever_it_is(method: str) -> None:
    async with replicas("dead", "alive") as (dead, alive):
        await dead.stop()
        async with serving("", sites=shop(dead, alive)) as sidecar, client(sidecar.port) as visitor:
            for _ in range(4):
                answer = await visitor.get("/", method=method, body=b"pay" if method == "POST" else b"")
                assert (answer.status, answer.body) == (200, b"alive")
            assert known(sidecar)[dead.url]["retries"] == known(sidecar)[dead.url]["failures"]["connect_failed"] == 2


async def test_what_never_left_goes_to_each_of_the_others_until_one_takes_it() -> None:
    settings: dict[str, Any] = {"upstream_breaker_failures": 0}
    async with replicas("dead", "dead", "dead", "alive") as all_:
        for dead in all_[:3]:
            await dead.stop()
        async with serving("", sites=shop(*all_), **settings) as sidecar, client(sidecar.port) as visitor:
            for _ in range(4):
                assert (await visitor.get("/", method="POST", body=b"pay")).body == b"alive"
            await all_[3].stop()
            asked = sum(one["requests"] for one in known(sidecar).values())
            assert (await visitor.get("/", method="POST", body=b"pay")).status == 502
            assert sum(one["requests"] for one in known(sidecar).values()) == asked + 4, "each of them once"


@pytest.mark.parametrize(
    ("method", "body", "statuses"),
    [
        ("GET", b"", {200}),
        ("HEAD", b"", {200}),
        ("DELETE", b"", {200}),
        ("POST", b"", {200, 502}),
        ("POST", b"pay", {200, 502}),
        ("PUT", b"whole", {200, 502}),
        ("PATCH", b"", {200, 502}),
    ],
)
async def test_what_was_sent_goes_to_another_origin_only_where_it_may_be_repeated(
    method: str, body: bytes, statuses: set[int]
) -> None:
    async with replicas("leaves", "stays") as (leaves, stays):
        leaves.says = b""
        async with serving("", sites=shop(leaves, stays)) as sidecar, client(sidecar.port) as visitor:
            got = {(await visitor.get("/", method=method, body=body)).status for _ in range(4)}
        assert got == statuses
        assert len(leaves.heads) == 2
        assert len(stays.heads) == (4 if statuses == {200} else 2)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_a_request_whose_response_has_begun_is_never_repeated(said: bytes) -> None:
    async with replicas("begins", "stays") as (begins, stays):
        begins.says = said
        async with serving("", sites=shop(begins, stays)) as sidecar, client(sidecar.port) as visitor:
            for _ in range(2):
                await visitor.send(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
                answer = await visitor.answer(bodiless=False)
                if answer.status == 103:
                    answer = await visitor.answer()
                assert answer.status in {200, 502, 503}
            assert (len(begins.heads), len(stays.heads)) == (1, 1)


async def test_a_request_that_is_not_answered_in_time_goes_to_another_origin_once() -> None:
    async with replicas("one", "two", "three") as all_:
        for each in all_[:2]:
            each.hangs = True
        settings: dict[str, Any] = {"sites": shop(*all_), "upstream_response_s": 0.3, "upstream_breaker_failures": 0}
        async with serving("", **settings) as sidecar, client(sidecar.port) as visitor:
            got = await bodies(visitor, 9)
            assert set(got) == {"three", "504"}, got
            assert sum(len(each.heads) for each in all_) == 9 + sum(one["retries"] for one in known(sidecar).values())
            assert max(one["retries"] for one in known(sidecar).values()) <= 6


async def test_a_stale_connection_is_no_failure_of_the_origin() -> None:
    async with replicas("only") as (only,), serving(only.url) as sidecar, client(sidecar.port) as visitor:
        assert await bodies(visitor, 1) == ["only"]
        await only.stop()
        await only.start()
        assert await bodies(visitor, 1) == ["only"]
        assert set(known(sidecar)[only.url]["failures"].values()) == {0}


# ---- what is left out


async def until_left_out(visitor: Any, down: Replica, sidecar: Sidecar) -> None:
    await bodies(visitor, 4)
    await until(lambda: not known(sidecar)[down.url]["up"])


FAILURES: dict[str, Callable[[Replica], None]] = {
    "hangs": lambda one: setattr(one, "hangs", True),
    "leaves": lambda one: setattr(one, "says", b""),
    "no http": lambda one: setattr(one, "says", b"SSH-2.0-OpenSSH\r\n\r\n"),
    "unavailable": lambda one: setattr(one, "status", "503 Service Unavailable"),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_an_origin_that_fails_again_and_again_is_left_out_until_it_is_mended(failure: str) -> None:
    settings: dict[str, Any] = {"upstream_response_s": 0.3, "upstream_breaker_failures": 2, "upstream_breaker_s": 0.2}
    async with (
        replicas("a", "b") as (one, two),
        serving("", sites=shop(one, two), **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        FAILURES[failure](one)
        await until_left_out(visitor, one, sidecar)
        assert known(sidecar)[one.url]["breaker"] == "open"
        one.hangs, one.says, one.status = False, None, "200 OK"
        before = await until_answered_by(visitor, "a")
        assert set(before) == {"b"}
        assert known(sidecar)[one.url]["breaker"] == "closed"
        assert set(await bodies(visitor, 2)) == {"a", "b"}


async def test_who_tries_a_dead_origin_again_has_the_page_from_another() -> None:
    settings: dict[str, Any] = {"upstream_response_s": 0.3, "upstream_breaker_failures": 2, "upstream_breaker_s": 0.05}
    async with (
        replicas("a", "b") as (one, two),
        serving("", sites=shop(one, two), **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        one.hangs = True
        await until_left_out(visitor, one, sidecar)
        asked = len(one.heads)
        async with asyncio.timeout(30):
            while len(one.heads) < asked + 3:
                assert await bodies(visitor, 1) == ["b"]
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("tried", [False, True])
async def test_who_meets_a_dead_origin_and_then_one_that_hangs_has_the_page_from_a_third(tried: bool) -> None:
    """What never left is no second try: else whoever tries a dead origin just when another one hangs gets 504."""
    settings: dict[str, Any] = {"upstream_response_s": 0.3, "upstream_breaker_failures": 1, "upstream_breaker_s": 0.01}
    async with (
        replicas("dead", "hangs", "alive") as (dead, hangs, alive),
        serving("", sites=shop(dead, hangs, alive), **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        if tried:
            await dead.stop()
            await until_left_out(visitor, dead, sidecar)
            await until(lambda: sidecar.application.sites.of("shop.example").origins[0].breaker.due)  # type: ignore[union-attr]
        else:
            await until_answered_by(visitor, "alive")  # then it is the first one's turn
            await dead.stop()
        hangs.hangs, asked = True, len(hangs.heads)
        assert await bodies(visitor, 1) == ["alive"]
        assert (len(hangs.heads), known(sidecar)[hangs.url]["retries"]) == (asked + 1, 1)


@pytest.mark.parametrize("second", ["hangs", "leaves"])
@pytest.mark.parametrize("tried", ["hangs", "leaves"])
async def test_who_tries_an_origin_that_fails_and_then_meets_another_one_has_the_page_from_a_third(
    tried: str, second: str
) -> None:
    """Without the trial the third would have answered: it is not the visitor's to pay for."""
    settings: dict[str, Any] = {"upstream_response_s": 0.3, "upstream_breaker_failures": 1, "upstream_breaker_s": 0.01}
    async with (
        replicas("tried", "second", "alive") as (one, two, three),
        serving("", sites=shop(one, two, three), **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        FAILURES[tried](one)
        await until_left_out(visitor, one, sidecar)
        FAILURES[second](two)
        await until(lambda: sidecar.application.sites.of("shop.example").origins[0].breaker.due)  # type: ignore[union-attr]
        asked = [len(each.heads) for each in (one, two, three)]
        assert await bodies(visitor, 1) == ["alive"]
        assert [len(each.heads) for each in (one, two, three)] == [count + 1 for count in asked]


async def test_what_must_not_be_repeated_tries_no_origin_again() -> None:
    settings: dict[str, Any] = {"upstream_breaker_failures": 1, "upstream_breaker_s": 0.01}
    async with (
        replicas("a", "b") as (one, two),
        serving("", sites=shop(one, two), **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        one.says = b""
        await until_left_out(visitor, one, sidecar)
        asked = len(one.heads)
        await until(lambda: sidecar.application.sites.of("shop.example").origins[0].breaker.due)  # type: ignore[union-attr]
        for _ in range(10):
            assert (await visitor.get("/", method="POST", body=b"pay")).body == b"b"
        assert len(one.heads) == asked


async def test_a_site_whose_origins_are_all_down_is_tried_all_the_same() -> None:
    settings: dict[str, Any] = {"upstream_breaker_failures": 1, "upstream_breaker_s": 60.0}
    async with (
        replicas("a", "b") as (one, two),
        serving("", sites=shop(one, two), **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await one.stop()
        await two.stop()
        assert set(await bodies(visitor, 4)) == {"502"}
        assert [known(sidecar)[each.url]["up"] for each in (one, two)] == [False, False]
        await two.start()
        assert await bodies(visitor, 1) == ["b"], "the first request after its return was not served"
        assert known(sidecar)[two.url]["up"]
        assert sum(known(sidecar)[each.url]["lastResort"] for each in (one, two)) > 0


async def test_the_only_origin_is_asked_whatever_is_known_of_it() -> None:
    async with (
        replicas("only") as (only,),
        serving(only.url, upstream_breaker_failures=1) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await only.stop()
        assert await bodies(visitor, 3) == ["502"] * 3
        assert not known(sidecar)[only.url]["up"]
        await only.start()
        assert await bodies(visitor, 1) == ["only"]
        assert known(sidecar)[only.url]["up"]


async def test_a_websocket_goes_to_the_origin_of_its_site() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )
        await conversation.send(await conversation.reader.readexactly(4))
        await conversation.reader.read(-1)

    async with (
        origin(script) as socket,
        replicas("shop") as (one,),
        serving(one.url, sites=f"ws.example={socket.url}", upstream_stall_s=0.1) as sidecar,
    ):
        async with client(sidecar.port) as visitor:
            await visitor.send(
                b"GET / HTTP/1.1\r\nHost: ws.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            )
            assert b" 101 " in await visitor.head()
            assert known(sidecar)[socket.url]["inProgress"] == 1
            await visitor.send(b"ping")
            assert await visitor.exactly(4) == b"ping"
        await until(lambda: known(sidecar)[socket.url]["inProgress"] == 0)
    assert one.heads == []
