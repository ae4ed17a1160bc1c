"""A change made through the API is on the site before a visitor can look twice, through every worker."""

import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

import pytest

from tests.end_to_end.site import Site
from tests.end_to_end.stack import Stack
from tests.end_to_end.visitor import Answer, Line
from tests.servers import new_database, new_server_folder

PAGE = b"<!doctype html><html><head><title>Tea</title></head><body><h1>Green tea</h1><p>Fresh.</p></body></html>"
WITHIN_S = 1.0
ROUNDS = 5


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as running:
        yield running


@pytest.fixture(scope="module")
def stack(postgres_server: str, site: Site) -> Iterator[Stack]:
    """Everything, once: each test leaves it without a mutation that is on."""
    folder = new_server_folder()
    with new_database(postgres_server) as database_url:
        whole = Stack(folder, database_url=database_url, upstream=site.url)
        try:
            whole.start()
            yield whole
        finally:
            whole.stop()
            shutil.rmtree(folder)


@pytest.fixture
def lines(site: Site, stack: Stack) -> Iterator[list[Line]]:
    """A connection to each of the two workers."""
    site.page("/", PAGE)
    with stack.sidecar.lines() as opened:
        assert len(opened) == 2
        yield opened


def headline(text: str) -> dict[str, Any]:
    operation = {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": text}}
    return {"mutationType": "set", "isActive": True, "mutationPayload": {"operations": [operation]}}


def is_page(page: bytes, answer: Answer) -> bool:
    return answer.body == page


def seconds_until(lines: list[Line], shows: Callable[[Answer], bool]) -> list[float]:
    """How long after now each worker's next page load shows it, quickest first."""
    began, took = time.monotonic(), dict[int, float]()
    while len(took) < len(lines):
        for worker, line in enumerate(lines):
            if worker not in took:
                answer = line.get("/")
                passed = time.monotonic() - began
                if shows(answer):
                    took[worker] = passed
                assert passed < WITHIN_S, f"worker {worker} still answers {answer.verdict} {answer.body!r}"
    return sorted(took.values())


def test_every_worker_shows_a_change_within_a_second(
    lines: list[Line], stack: Stack, record_property: Callable[[str, object], None]
) -> None:
    on, off = list[float](), list[float]()
    for turn in range(ROUNDS):
        text = f"Black tea {turn}"
        created = stack.control_plane.ask("POST", "mutations", headline(text))
        on += seconds_until(lines, partial(is_page, PAGE.replace(b"Green tea", text.encode())))
        version = created["publication"]["tableVersion"]
        assert created["publication"]["published"] is True
        assert {line.get("/").verdict for line in lines} == {f"applied; table={version}; mutations=1"}

        stack.control_plane.ask("POST", f"mutations/{created['id']}/deactivate")
        off += seconds_until(lines, partial(is_page, PAGE))
        assert {line.get("/").verdict for line in lines} == {"passed; reason=no_rules"}
    for name, seconds in (("shown", on), ("taken away", off)):
        record_property(f"{name} after (ms, slowest)", round(max(seconds) * 1000, 1))
        record_property(f"{name} after (ms, median)", round(median(seconds) * 1000, 1))


def test_activating_an_inactive_mutation_shows_it(lines: list[Line], stack: Stack) -> None:
    created = stack.control_plane.ask("POST", "mutations", headline("White tea") | {"isActive": False})
    assert [line.get("/").body for line in lines] == [PAGE, PAGE]
    stack.control_plane.ask("POST", f"mutations/{created['id']}/activate")
    seconds_until(lines, lambda answer: b"<h1>White tea</h1>" in answer.body)
    rolled_back = {"version": 1, "reason": "the test is over"}
    stack.control_plane.ask("POST", f"mutations/{created['id']}/rollback", rolled_back)
    seconds_until(lines, partial(is_page, PAGE))
