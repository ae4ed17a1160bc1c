"""Health checks: what passes, how many it takes, and that nothing ends them."""

import asyncio
import random
from typing import Any

from sidecar.origin.checks import Check, Checks
from sidecar.origin.origins import Origin, unheard
from sidecar.origin.upstream import OriginConnections
from sidecar.settings import SidecarSettings
from sidecar.site_origins import OriginAddress
from tests.sidecar.replicas import Replica, bodies, replicas
from tests.sidecar.waiting import until
from tests.sidecar.wire import Conversation, client, origin, response, serving

FAST: dict[str, Any] = {
    "upstream_check_path": "/health?deep=1",
    "upstream_check_s": 0.1,
    "upstream_check_timeout_s": 0.5,
    "upstream_check_down": 2,
    "upstream_check_up": 3,
}


def check_of(replica: Replica) -> Check:
    settings = SidecarSettings(upstream=replica.url, **FAST)
    address = OriginAddress("http", "127.0.0.1", replica.port, "127.0.0.1")
    connections = OriginConnections(address, settings, tls=None, connections_max=1, idle_s=0)
    now = asyncio.get_running_loop().time
    dice, answered = random.Random(1), unheard("")
    origin = Origin(address, b"shop.example", settings, connections, now=now, entropy=dice, answered=answered)
    return Check(origin, connections, settings)


async def test_it_takes_several_in_a_row_to_change_what_is_known() -> None:
    async with replicas("a") as (one,):
        check = check_of(one)
        found = []
        for fails in (1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 1):
            one.status = "500 Oops" if fails else "204 No Content"
            await check.once()
            found.append(check.origin.up)
        assert found == [True, True, True, False, False, False, False, False, False, True, True]
        assert check.origin.checks == {"failed": 5, "passed": 6}
        head = b"GET /health?deep=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: layout-mutation-check\r\n"
        assert set(one.heads) == {head + b"Connection: close\r\n\r\n"}
        assert one.connections == 11, "each check is to try a connection of its own"
        await check.connections.close()


async def test_what_passes() -> None:
    async with replicas("a") as (one,):
        for status, passes in (("301 Moved", True), ("404 Not Found", False), ("503 Busy", False), ("200 OK", True)):
            check, one.status = check_of(one), status
            await check.once()
            assert check.origin.checks == {"passed" if passes else "failed": 1}
            await check.connections.close()
        for break_ in ("hangs", "no http", "gone"):
            check = check_of(one)
            one.hangs, one.says = break_ == "hangs", b"nonsense" if break_ == "no http" else None
            if break_ == "gone":
                await one.stop()
            await check.once()
            assert check.origin.checks == {"failed": 1}, break_
            await check.connections.close()


async def test_visitors_need_not_find_out_that_an_origin_is_down() -> None:
    async with replicas("a", "b") as (one, two):
        sites = f"shop.example={one.url} {two.url}"
        async with serving("", sites=sites, **FAST) as sidecar, client(sidecar.port) as visitor:
            one.status = "500 Oops"
            first, second = sidecar.application.sites.of("shop.example").origins  # type: ignore[union-attr]
            await until(lambda: not first.up)
            assert await bodies(visitor, 6) == ["b"] * 6
            one.status = "200 OK"
            await until(lambda: first.up)
            assert sorted(await bodies(visitor, 2)) == ["a", "b"]
            assert second.up
        asked = [head for head in one.heads if b"GET /health?deep=1 " in head]
        assert all(b"\r\nHost: shop.example\r\n" in head for head in asked)


async def test_an_origin_whose_connections_are_all_in_use_is_not_down() -> None:
    async def script(conversation: Conversation) -> None:
        if b" /slow " in await conversation.head():
            await conversation.reader.read(-1)
        await conversation.send(response(b"fine"))

    settings = {**FAST, "upstream_connections": 1}
    async with origin(script) as site, serving(site.url, **settings) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        [known] = sidecar.application.sites.of("a").origins  # type: ignore[union-attr]
        await until(lambda: known.connections.in_progress == 1)
        passed = known.checks["passed"]
        await until(lambda: known.checks["passed"] > passed + 3)
        assert known.up


async def test_no_exception_ends_the_checks() -> None:
    class Broken(Check):
        async def once(self) -> None:
            await super().once()
            raise RuntimeError("broken on purpose")

    async with replicas("a") as (one,):
        check = check_of(one)
        broken = Broken(check.origin, check.connections, SidecarSettings(upstream=one.url, **FAST))
        checks = Checks([broken], interval_s=0.01, entropy=random.Random(1))
        checks.start()
        await until(lambda: check.origin.checks["passed"] > 3)
        await checks.close()


async def test_without_a_path_nobody_is_asked() -> None:
    async with (
        replicas("a") as (one,),
        serving(one.url, upstream_check_s=0.1) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await bodies(visitor, 3)
    assert (len(one.heads), one.connections) == (3, 1)
