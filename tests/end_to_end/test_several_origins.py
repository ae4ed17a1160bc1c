"""Several origins behind the real sidecar: real processes that are killed, stand still, and come back, while people browse.

Counterpart: `replica.py` is the origin. No page load may fail as long as one origin of the site is there.
"""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from layout_mutation.embedded.ports import free_port
from tests.end_to_end.stack import Service, Sidecar, SigningKeys, alone, fetch, inherited, until
from tests.end_to_end.visitor import Answer, Line, Visitors, load

NAMES = ("a", "b", "c")
WORKERS = 2
SETTINGS = {
    "SIDECAR_UPSTREAM_RESPONSE_S": "3.0",
    "SIDECAR_UPSTREAM_BREAKER_FAILURES": "3",
    "SIDECAR_UPSTREAM_BREAKER_S": "0.5",
}
CHECKS = {
    "SIDECAR_UPSTREAM_CHECK_PATH": "/health",
    "SIDECAR_UPSTREAM_CHECK_S": "0.2",
    "SIDECAR_UPSTREAM_CHECK_TIMEOUT_S": "1.0",
    "SIDECAR_UPSTREAM_CHECK_DOWN": "2",
}


class Origins:
    """Three origins of one site and the sidecar in front of them."""

    def __init__(self, sidecar: Sidecar, services: list[Service], urls: list[str]) -> None:
        self.sidecar = sidecar
        self.services = services
        self.urls = urls

    def up(self, number: int) -> list[float]:
        """Whether each worker takes that origin for up."""
        return self.sidecar.metric("layout_mutation_upstream_up", origin=self.urls[number])

    def requests(self, number: int) -> float:
        """Requests that all workers sent to it."""
        return sum(self.sidecar.metric("layout_mutation_upstream_requests_total", origin=self.urls[number]))

    def known(self, number: int) -> list[dict[str, Any]]:
        """What `/table` says of it, for each worker."""
        workers = self.sidecar.workers()
        return [
            one for worker in workers for one in worker["upstream"]["origins"] if one["origin"] == self.urls[number]
        ]


@contextmanager
def several(folder: Path, *, workers: int = WORKERS, **settings: str) -> Iterator[Origins]:
    ports = [free_port() for _ in NAMES]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    with ExitStack() as stack:
        services = []
        for name, port in zip(NAMES, ports, strict=True):
            service = Service(name, "tests.end_to_end.replica", folder, {}, name, str(port))
            stack.callback(service.stop)
            service.spawn()
            services.append(service)
        for service in services:
            service.wait_for("listening")
        given = {**SETTINGS, **settings, "SIDECAR_SITES": f"shop.example={' '.join(urls)}"}
        sidecar = stack.enter_context(alone(folder, "", SigningKeys(), None, workers=workers, **given))
        yield Origins(sidecar, services, urls)


def right(answer: Answer) -> bool:
    return answer.status == 200 and answer.body.decode() in NAMES


def served_by(port: int, loads: int) -> Counter[str]:
    with Line(port) as line:
        return Counter(line.get().body.decode() for _ in range(loads))


def test_an_origin_that_is_killed_or_stands_still_costs_nobody_a_page(server_folder: Path) -> None:
    with several(server_folder) as origins:
        with Visitors(origins.sidecar.port, right, people=6) as visitors:
            killed, still = origins.services[0], origins.services[1]
            killed.kill()
            until(lambda: origins.up(0) == [0.0] * WORKERS, what="a breaker that opens in every worker")
            visitors.wait_for(100)
            assert {each["breaker"] for each in origins.known(0)} <= {"open", "half_open"}
            still.signal(signal.SIGSTOP)
            until(lambda: origins.up(1) == [0.0] * WORKERS, what="the same for one that stands still")
            visitors.wait_for(100)
            still.signal(signal.SIGCONT)
            killed.spawn()
            killed.wait_for("listening")
            until(lambda: origins.up(0) == origins.up(1) == [1.0] * WORKERS, 30, what="the return of both")
            visitors.wait_for(50)
            until(lambda: set(served_by(origins.sidecar.port, 24)) == set(NAMES), 30, what="pages of all three")
        assert visitors.failures == []
        told = Counter(
            (event["event"], event["origin"]) for event in origins.sidecar.events("upstream_down", "upstream_up")
        )
        for url in origins.urls[:2]:
            assert told["upstream_down", url] == told["upstream_up", url] == WORKERS, told
        assert (told["upstream_down", origins.urls[2]], told["upstream_up", origins.urls[2]]) == (0, 0)


def test_checks_find_out_before_visitors_do(server_folder: Path) -> None:
    with several(server_folder, workers=1, **CHECKS) as origins:
        origins.services[0].signal(signal.SIGSTOP)
        until(lambda: origins.up(0) == [0.0], what="the checks' word that it is down")
        assert {(each["healthy"], each["breaker"]) for each in origins.known(0)} == {(False, "closed")}
        asked = origins.requests(0)
        assert set(served_by(origins.sidecar.port, 20)) == {"b", "c"}
        assert origins.requests(0) == asked == 0
        origins.services[0].signal(signal.SIGCONT)
        until(lambda: origins.up(0) == [1.0], what="the checks' word that it is up")
        events = origins.sidecar.events("upstream_down", "upstream_up")
        assert Counter((event["event"], event["by"]) for event in events) == {
            ("upstream_down", "checks"): 1,
            ("upstream_up", "checks"): 1,
        }
        failed, passed = (
            sum(
                origins.sidecar.metric("layout_mutation_upstream_checks_total", origin=origins.urls[0], outcome=outcome)
            )
            for outcome in ("failed", "passed")
        )
        assert failed >= 2
        assert passed >= 2


def test_with_every_origin_gone_the_first_that_returns_is_found_at_once(server_folder: Path) -> None:
    with several(
        server_folder, workers=1, SIDECAR_UPSTREAM_BREAKER_S="60", SIDECAR_UPSTREAM_BREAKER_FAILURES="1"
    ) as origins:
        for service in origins.services:
            service.kill()
        until(lambda: load(origins.sidecar.port).status == 502 and origins.up(0) == origins.up(1) == [0.0])
        status, answer = fetch(origins.sidecar.admin_port, "/readyz")
        assert (status, msgspec.json.decode(answer)["ready"]) == (200, True), "the sidecar is no less ready for that"
        origins.services[1].spawn()
        origins.services[1].wait_for("listening")
        # Each request tries two of the three, so that at most one misses it.
        statuses = Counter(load(origins.sidecar.port).status for _ in range(10))
        assert statuses[502] <= 2, "on a busy machine one more"
        assert statuses[200] == 10 - statuses[502]
        assert sum(origins.sidecar.metric("layout_mutation_upstream_last_resort_total")) > 0


def test_a_host_that_is_not_served(server_folder: Path) -> None:
    sites = {"SIDECAR_SITES": f"shop.example=http://127.0.0.1:{free_port()}"}
    with alone(server_folder, "", SigningKeys(), None, workers=1, **sites) as sidecar:
        answer = load(sidecar.port, "/", "Host: evil.example")
        assert (answer.status, answer.get(b"Cache-Control")) == (421, b"no-store")
        assert sidecar.metric("layout_mutation_responses_total", reason="refused", status="421") == [1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "SIDECAR_UPSTREAM is not set"),
        ({"SIDECAR_SITES": "shop.example"}, "SIDECAR_SITES must hold host=origin"),
        (
            {"SIDECAR_UPSTREAM": "https://a", "SIDECAR_UPSTREAM_CERTIFICATE_FILE": "/nowhere"},
            "SIDECAR_UPSTREAM_CERTIFICATE_FILE can't be read",
        ),
    ],
    ids=["nothing", "no origin", "no file"],
)
def test_what_can_not_be_used_is_said_at_the_start(server_folder: Path, settings: dict[str, str], message: str) -> None:
    command = [sys.executable, "-m", "sidecar"]
    ended = subprocess.run(
        command, env={**inherited(), **settings}, cwd=server_folder, capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert re.fullmatch(rf"sidecar: {message}[^\n]*\n", ended.stderr.decode().replace(os.linesep, "\n"))
