"""One request as a trace: which spans there are, what they say, whose trace they belong to, and what the origin is told."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from rules.table import DecisionTable
from sidecar.settings import SidecarSettings
from sidecar.tracing.spans import SpanTracing
from tests.sidecar.tracing.collector import Collector, Told, collecting
from tests.sidecar.waiting import until
from tests.sidecar.wire import (
    Client,
    Conversation,
    InlineRewriter,
    Origin,
    Script,
    Sidecar,
    answering,
    client,
    headline,
    html,
    origin,
    serving,
    table,
)

PAGE = b"<!doctype html><html><body><h1>Old</h1></body></html>"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
COMES = f"traceparent: 00-{TRACE}-{PARENT}-01"
COMES_UNSAMPLED = f"traceparent: 00-{TRACE}-{PARENT}-00"


BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocker())
"""


class Traced:
    """A visitor, a traced sidecar, its origin and a collector."""

    def __init__(self, visitor: Client, sidecar: Sidecar, site: Origin, collector: Collector) -> None:
        self.visitor, self.sidecar, self.site, self.collector = visitor, sidecar, site, collector

    async def spans(self, count: int) -> dict[str, Told]:
        """So many spans by name, told at the end of the worker at the latest; which nobody delays who stays connected."""
        self.visitor.writer.close()
        await self.sidecar.application.close()
        assert len(self.collector.spans) == count, [span.name for span in self.collector.spans]
        return {span.name: span for span in self.collector.spans}

    def sent_on(self, name: bytes) -> list[bytes]:
        """What the origin got in a field, the last time."""
        return re.findall(rb"(?mi)^" + name + rb": ([^\r]*)\r$", self.site.heads[-1])


@asynccontextmanager
async def traced(
    script: Script | None = None,
    rules: DecisionTable | None = None,
    rewriter: InlineRewriter | None = None,
    **settings: Any,
) -> AsyncIterator[Traced]:
    given = {"traces_share": 1.0, **settings}
    async with (
        collecting() as collector,
        origin(script or answering(html(PAGE))) as site,
        serving(site.url, tables=rules, rewriter=rewriter, traces_endpoint=collector.url, **given) as sidecar,
        client(sidecar.port) as visitor,
    ):
        yield Traced(visitor, sidecar, site, collector)


async def test_a_rewritten_page_is_four_spans_of_one_trace() -> None:
    async with traced(rules=table(headline())) as trace:
        answer = await trace.visitor.get("/tea?q=1")
        assert answer.verdict == b"applied; table=7; mutations=1"
        spans = await trace.spans(4)
    server, asking, decided, rewritten = (spans[name] for name in ("GET", "origin", "decide", "rewrite"))
    kinds = [span.kind.removeprefix("SPAN_KIND_") for span in (server, asking, decided, rewritten)]
    assert kinds == ["SERVER", "CLIENT", "INTERNAL", "INTERNAL"]
    assert server.parent == ""
    assert {span.parent for span in (asking, decided, rewritten)} == {server.id}
    assert len({span.trace for span in spans.values()}) == 1
    said = {"layout_mutation.reason": "applied", "layout_mutation.table_version": 7, "layout_mutation.mutations": 1}
    assert server.attributes == {
        "http.request.method": "GET",
        "url.path": "/tea",
        "server.address": "shop.example",
        "http.response.status_code": 200,
        **said,
    }
    assert asking.attributes == {"http.response.status_code": 200}
    for span in (decided, rewritten):
        took_ms = span.attributes.pop("layout_mutation.ms")
        assert span.attributes == said
        assert span.ms == pytest.approx(took_ms, abs=0.002)
    assert server.start_ns <= asking.start_ns <= asking.end_ns <= decided.start_ns + 200_000
    assert decided.end_ns <= rewritten.start_ns + 200_000
    assert rewritten.end_ns <= server.end_ns
    assert not any(span.error for span in spans.values())


async def test_the_resource_says_who_tells() -> None:
    async with traced(traces_service="edge", traces_headers="X-Key=abc, Authorization=Bearer t") as trace:
        await trace.visitor.get("/")
        await trace.spans(2)
        [resource] = trace.collector.resources
        [fields] = trace.collector.fields
    assert resource["service.name"] == "edge"
    assert (fields["X-Key"], fields["Authorization"]) == ("abc", "Bearer t")


async def test_the_origin_is_told_of_the_client_span_and_keeps_none_of_a_visitors_trace() -> None:
    async with traced() as trace:
        await trace.visitor.get("/", COMES, "tracestate: theirs=1", "baggage: a=b")
        spans = await trace.spans(2)
        [sent] = trace.sent_on(b"traceparent")
        assert sent.startswith(f"00-{spans['GET'].trace}-{spans['origin'].id}-".encode())
        assert int(sent[-2:], 16) & 1
        assert trace.sent_on(b"tracestate") == []
        assert trace.sent_on(b"baggage") == [b"a=b"]
        assert spans["GET"].trace != TRACE


async def test_a_trusted_trace_is_continued_with_its_state() -> None:
    async with traced(traces_trust=True) as trace:
        await trace.visitor.get("/", COMES, "tracestate: a=1", "tracestate: b=2")
        spans = await trace.spans(2)
        assert (spans["GET"].trace, spans["GET"].parent, spans["GET"].state) == (TRACE, PARENT, "a=1,b=2")
        assert trace.sent_on(b"traceparent") == [f"00-{TRACE}-{spans['origin'].id}-01".encode()]
        assert trace.sent_on(b"tracestate") == [b"a=1,b=2"]


@pytest.mark.parametrize(("share", "comes", "told"), [(0.0, COMES, 2), (1.0, COMES_UNSAMPLED, 0)], ids=["in", "out"])
async def test_a_trusted_trace_decides_whether_it_is_told(share: float, comes: str, told: int) -> None:
    async with traced(traces_trust=True, traces_share=share) as trace:
        await trace.visitor.get("/", comes)
        await trace.spans(told)
        [sent] = trace.sent_on(b"traceparent")
        assert sent.startswith(f"00-{TRACE}-".encode())
        assert sent.endswith(b"-01" if told else b"-00")


@pytest.mark.parametrize(
    "comes",
    [
        ("traceparent: nonsense",),
        (f"traceparent: 00-{'0' * 32}-{PARENT}-01",),
        (f"traceparent: ff-{TRACE}-{PARENT}-01",),
        (COMES, COMES),
        ("traceparent: " + "a" * 3000, "tracestate: " + "b" * 3000),
    ],
    ids=["nonsense", "zeros", "version", "twice", "long"],
)
async def test_a_trusted_trace_that_is_none_begins_here(
    comes: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    async with traced(traces_trust=True) as trace:
        await trace.visitor.get("/", *comes)
        spans = await trace.spans(2)
        assert spans["GET"].trace != TRACE
        assert len(trace.sent_on(b"traceparent")) == 1
    assert "traceparent" not in "".join(capsys.readouterr())


async def test_of_a_share_of_nothing_nothing_is_told_and_the_origin_hears_that() -> None:
    async with traced(traces_share=0.0, rules=table(headline())) as trace:
        await trace.visitor.get("/", COMES)
        await trace.spans(0)
        [sent] = trace.sent_on(b"traceparent")
        assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[02]", sent)
        assert trace.collector.asked == 0


async def test_without_traces_these_fields_are_like_any_other() -> None:
    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.get("/", "traceparent: anything at all", "TraceState: x=1")
        assert b"\r\ntraceparent: anything at all\r\nTraceState: x=1\r\n" in site.heads[0]


async def test_without_traces_nothing_of_tracing_is_loaded_and_nothing_of_opentelemetry_needed() -> None:
    """redis loads parts of OpenTelemetry by itself wherever they are installed; so they are kept away here."""
    code = f"{BLOCKER}import sidecar.app\nsys.exit(any('sidecar.tracing' in name for name in sys.modules))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0


async def test_an_origin_that_fails_is_an_error_of_both_ends() -> None:
    async def hangs_up(conversation: Conversation) -> None:
        await conversation.head()
        conversation.close()

    async with traced(hangs_up) as trace:
        assert (await trace.visitor.get("/")).status == 502
        spans = await trace.spans(2)
    assert spans["GET"].error
    assert spans["GET"].attributes["error.type"] == "disconnected"
    assert spans["GET"].attributes["http.response.status_code"] == 502
    assert spans["origin"].error
    assert spans["origin"].attributes == {"error.type": "disconnected"}


async def test_a_rewriter_that_raises_is_an_error_of_its_own_span_and_not_of_the_page() -> None:
    async with traced(rules=table(headline()), rewriter=InlineRewriter(broken=True)) as trace:
        assert (await trace.visitor.get("/")).body == PAGE
        spans = await trace.spans(4)
    assert [name for name, span in spans.items() if span.error] == ["rewrite"]
    assert spans["GET"].attributes["layout_mutation.reason"] == "rewrite_failed"


async def test_a_visitor_who_leaves_is_a_trace_too() -> None:
    async def never(conversation: Conversation) -> None:
        await conversation.head()
        left.set()
        await asyncio.Event().wait()

    left = asyncio.Event()
    async with traced(never) as trace:
        await trace.visitor.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await left.wait()
        trace.visitor.writer.close()
        in_progress = trace.sidecar.application.telemetry.in_progress
        await until(lambda: next(iter(in_progress.collect())).samples[0].value == 0)
        spans = await trace.spans(2)
    assert spans["GET"].attributes["layout_mutation.reason"] == "visitor_left"
    assert "http.response.status_code" not in spans["GET"].attributes


class NoBeacons:
    """Raises where no bug may be."""

    def takes(self, exchange: Any) -> bool:
        raise RuntimeError("broken on purpose")


async def test_a_bug_outside_the_seam_is_an_error_of_the_trace() -> None:
    async with traced() as trace:
        trace.sidecar.application.proxy._beacons = NoBeacons()  # type: ignore[assignment]
        assert (await trace.visitor.get("/")).status == 500
        spans = await trace.spans(1)
    assert spans["GET"].error
    assert spans["GET"].attributes["layout_mutation.reason"] == "crashed"


async def test_a_made_up_method_is_no_span_name() -> None:
    async with traced() as trace:
        await trace.visitor.get("/", method="PROPFIND")
        spans = await trace.spans(2)
    assert spans["HTTP"].attributes["http.request.method"] == "_OTHER"


async def test_a_line_of_the_access_log_names_the_trace(capsys: pytest.CaptureFixture[str]) -> None:
    async with traced(access_log=True) as trace:
        await trace.visitor.get("/")
        spans = await trace.spans(2)
    assert spans["GET"].trace in capsys.readouterr().out


class Broken(SpanProcessor):
    """Fails at both ends of a span."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("broken on purpose")

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("broken on purpose")


class BrokenAtTheEnd(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("broken on purpose")


@pytest.mark.parametrize("processor", [Broken(), BrokenAtTheEnd()], ids=["start", "end"])
async def test_a_trace_that_raises_costs_no_page(processor: SpanProcessor) -> None:
    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        settings = SidecarSettings(upstream=site.url, traces_share=1.0)
        sidecar.application.proxy._tracing = SpanTracing(settings, processor)
        for _ in range(3):
            assert (await visitor.get("/")).verdict == b"applied; table=7; mutations=1"


def test_traces_without_the_extra_are_one_error_at_start_that_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKER, encoding="utf-8")  # heard by every process that this one starts
    modules = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    settings = {"SIDECAR_UPSTREAM": "http://127.0.0.1:1", "SIDECAR_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}
    ran = subprocess.run(
        [sys.executable, "-m", "sidecar"],
        env={**_environment(), **modules, **settings},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    [line] = ran.stderr.splitlines()
    assert line == (
        "sidecar: SIDECAR_TRACES_ENDPOINT is set, but opentelemetry.sdk is not installed: "
        "pip install 'layout-mutation-engine[otel]', or leave the variable empty"
    )


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")}


async def test_a_page_of_the_internal_kind_needs_no_origin_span() -> None:
    async with traced() as trace:
        assert (await trace.visitor.get("/.layout-mutation/nothing")).status == 404
        spans = await trace.spans(1)
    assert spans["GET"].attributes["layout_mutation.reason"] == "refused"
