"""Events over the whole way: real pages and beacons, a Redis that is killed, a worker that is killed, and a stop.

Counterpart: `tests/sidecar/events/test_outbox.py` has the failures one by one.
"""

import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from layout_mutation.embedded.ports import free_port
from layout_mutation.embedded.valkey import EmbeddedValkey
from service.events import AnyEvent, Conversion, Execution, read
from service.keys import Keys
from tests.end_to_end.site import Site
from tests.end_to_end.stack import Sidecar, SigningKeys, until

PAGE = b"<!doctype html><html><head><title>Tea</title></head><body><h1>Green tea</h1></body></html>"
WORKERS = 2


def headline() -> dict[str, Any]:
    operation = {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": "Black tea"}}
    return {"id": "headline", "mutationType": "set", "mutationPayload": {"operations": [operation]}}


class Streams:
    """What has come to Redis, over all its lives."""

    def __init__(self, server: EmbeddedValkey) -> None:
        self.server = server
        self._entries: dict[str, dict[bytes, bytes]] = {}

    def events(self) -> list[AnyEvent]:
        """All events so far; those that came twice are there twice."""
        with redis.Redis.from_url(self.server.url) as client:
            for stream in Keys("local").events:
                found: Any = client.xrange(stream)
                self._entries.update({f"{stream} {name}": fields for name, fields in found})
        return [event for fields in self._entries.values() for event in read(fields).events]

    def paths(self) -> set[str]:
        """Of the pages that were told of."""
        return {event.path for event in self.events() if isinstance(event, Execution)}

    def kill(self) -> None:
        """SIGKILL to the server; what it held is known by then."""
        self.events()
        assert self.server.child.pid is not None
        os.kill(self.server.child.pid, signal.SIGKILL)
        self.server.stop()


@pytest.fixture
def streams(server_folder: Path) -> Iterator[Streams]:
    server = EmbeddedValkey(server_folder / "valkey", free_port(), password=secrets.token_hex(16), durable=False)
    try:
        server.start()
        yield Streams(server)
    finally:
        server.stop()


@pytest.fixture
def sidecar(site: Site, streams: Streams, tmp_path: Path) -> Iterator[Sidecar]:
    """A sidecar with two workers, whose table is on its disk."""
    for number in range(200):
        site.page(f"/{number}", PAGE)
    keys = SigningKeys()
    told = {"REDIS_URL": streams.server.url, "SIDECAR_EVENTS_KEY": secrets.token_hex(16)}
    running = Sidecar(tmp_path, keys, site.url, workers=WORKERS, **told)
    try:
        running.start(keys.sealed(headline()))
        yield running
    finally:
        running.stop()


def load(sidecar: Sidecar, numbers: range) -> set[str]:
    """Load pages through every worker; their paths."""
    with sidecar.lines("/0") as lines:
        for number in numbers:
            assert b"Black tea" in lines[number % len(lines)].get(f"/{number}").body
    return {f"/{number}" for number in numbers} | {"/0"}


def sell(sidecar: Sidecar, *units: str) -> None:
    """A beacon for each of these visitors."""
    body = b'{"events": [{"name": "sold", "value": 19.9, "path": "/thanks"}]}'
    fields = ("Origin: http://shop.example", "Content-Type: text/plain", f"Content-Length: {len(body)}")
    with sidecar.lines("/0") as lines:
        for unit in units:
            answer = lines[0].ask(
                "/.layout-mutation/events", *fields, f"Cookie: lm_uid={unit}", method="POST", body=body
            )
            assert answer.status == 204


def in_memory(sidecar: Sidecar) -> float:
    return sum(sidecar.metric("layout_mutation_events_waiting") + sidecar.metric("layout_mutation_events_pages"))


def on_disk(sidecar: Sidecar) -> float:
    return sum(sidecar.metric("layout_mutation_events_spooled"))


def test_nothing_is_lost_while_redis_and_a_worker_are_killed(sidecar: Sidecar, streams: Streams) -> None:
    loaded = load(sidecar, range(20))
    until(lambda: streams.paths() == loaded, what="the first pages in the stream")
    streams.kill()
    loaded |= load(sidecar, range(20, 60))
    sell(sidecar, "visitor-1", "visitor-2", "visitor-1")
    until(lambda: (in_memory(sidecar), on_disk(sidecar) >= 43) == (0, True), what="what was told, on disk")
    dead = sidecar.pids()[0]
    os.kill(dead, signal.SIGKILL)
    until(lambda: len(set(sidecar.pids()) - {dead, None}) == WORKERS, what="another worker")
    loaded |= load(sidecar, range(60, 80))
    streams.server.start()
    until(lambda: streams.paths() == loaded, 15, what="all pages in the stream")
    until(lambda: on_disk(sidecar) == 0, what="an empty spool")
    assert list((sidecar.snapshot.parent / "events").iterdir()) == []
    same: dict[str, AnyEvent] = {}
    assert all(same.setdefault(event.id, event) == event for event in streams.events())
    sold = [event for event in same.values() if isinstance(event, Conversion)]
    assert [(each.name, each.value, each.path) for each in sold] == [("sold", 19.9, "/thanks")] * 3
    assert len({each.units["lm_uid"] for each in sold}) == 2
    assert "visitor-" not in str(sold)
    assert [worker["events"]["units"] for worker in sidecar.workers()] == [True] * WORKERS
    assert sum(sidecar.metric("layout_mutation_events_dropped_total")) == 0


def test_a_stop_sends_what_is_there_and_keeps_what_it_cannot_send(sidecar: Sidecar, streams: Streams) -> None:
    loaded = load(sidecar, range(10))
    sidecar.stop()
    assert streams.paths() == loaded
    sidecar.start()
    streams.kill()
    loaded |= load(sidecar, range(10, 20))
    sidecar.stop()
    streams.server.start()
    sidecar.start()
    until(lambda: streams.paths() == loaded, 15, what="the pages of the life before")
