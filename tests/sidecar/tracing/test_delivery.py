"""Spans on their way: in batches, within a bound, later where the collector is away, and never at anybody's expense."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from layout_mutation.embedded.ports import free_port
from sidecar.settings import SidecarSettings
from sidecar.tracing.delivery import BATCH_SPANS_MAX, QUEUE_SPANS_MAX, Delivery
from tests.sidecar.tracing.collector import collecting
from tests.sidecar.waiting import until
from tests.sidecar.wire import answering, client, headline, html, origin, serving, table

PAGE = b"<!doctype html><html><body><h1>Old</h1></body></html>"


class Way:
    """A delivery and what it counted, with a tracer that fills it."""

    def __init__(self, endpoint: str, **settings: Any) -> None:
        given = SidecarSettings(upstream="http://127.0.0.1:1", traces_endpoint=endpoint, **settings)
        self.counted: Counter[str] = Counter()
        self.delivery = Delivery(given, self._count, every_s=0.02)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(self.delivery)
        self._tracer = provider.get_tracer("test")

    def _count(self, outcome: str, count: int) -> None:
        self.counted[str(outcome)] += count

    def fill(self, count: int) -> None:
        for number in range(count):
            self._tracer.start_span(f"span-{number}").end()


@asynccontextmanager
async def way(endpoint: str, **settings: Any) -> AsyncIterator[Way]:
    made = Way(endpoint, **settings)
    made.delivery.start()
    try:
        yield made
    finally:
        await made.delivery.close()


async def test_spans_arrive_in_order_and_in_batches() -> None:
    count = BATCH_SPANS_MAX * 2 + 10
    async with collecting() as collector, way(collector.url) as sending:
        sending.fill(count)
        spans = await collector.several(count)
        assert [span.name for span in spans] == [f"span-{number}" for number in range(count)]
        await until(lambda: sending.counted == {"sent": count})
    assert len(collector.bodies) == 3


async def test_a_collector_that_says_later_gets_the_same_spans_later(capsys: pytest.CaptureFixture[str]) -> None:
    async with collecting(503, 429) as collector, way(collector.url) as sending:
        sending.fill(3)
        await collector.several(3)
        await until(lambda: sending.counted == {"sent": 3})
        assert collector.asked == 3
    said = capsys.readouterr().out
    assert (said.count("traces_wait"), said.count("traces_flow")) == (1, 1)


@pytest.mark.parametrize("status", [302, 400, 401, 500])
async def test_a_collector_that_refuses_is_not_asked_again(status: int) -> None:
    async with collecting(status) as collector, way(collector.url) as sending:
        sending.fill(3)
        await until(lambda: sending.counted == {"refused": 3})
        sending.fill(1)
        await collector.several(1)
    assert collector.asked == 2


async def test_while_the_collector_is_away_the_queue_is_bounded_and_drops_are_counted() -> None:
    async with way(f"http://127.0.0.1:{free_port()}/v1/traces") as sending:
        sending.fill(QUEUE_SPANS_MAX + 7)
        assert sending.counted == {"full": 7}
    assert sending.counted == {"full": 7, "refused": QUEUE_SPANS_MAX}


async def test_the_end_of_a_worker_waits_within_a_bound_for_a_collector_that_hangs() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    made = Way(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/traces")
    made.delivery.start()
    made.fill(5)
    began = asyncio.get_running_loop().time()
    await made.delivery.close()
    assert asyncio.get_running_loop().time() - began < 5
    assert made.counted == {"refused": 5}
    server.close()


async def test_pages_are_as_ever_while_the_collector_is_away() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}/v1/traces"
    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url, tables=table(headline()), traces_endpoint=endpoint, traces_share=1.0) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for _ in range(20):
            answer = await visitor.get("/")
            assert (answer.body, answer.verdict) == (
                PAGE.replace(b"Old", b"New"),
                b"applied; table=7; mutations=1",
            )


async def test_a_collector_whose_certificate_nobody_knows_gets_nothing(tmp_path: Path) -> None:
    """TLS is verified: the system's authorities have never heard of this one."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    process = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject),
        *("-keyout", str(key), "-out", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with collecting(tls=tls) as collector:
        async with way(collector.url) as sending:
            sending.fill(1)
            await until(lambda: sending.delivery._failures > 0)
        assert (collector.asked, sending.counted) == (0, {"refused": 1})
        async with way(collector.url, traces_ca_file=str(certificate)) as sending:
            sending.fill(1)
            await collector.several(1)
