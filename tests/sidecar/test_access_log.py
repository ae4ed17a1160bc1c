"""The access log: a share of what went well, all of what failed."""

import random
from typing import Any

import pytest

from tests.sidecar.wire import InlineRewriter, answering, client, headline, html, origin, response, serving, table

PAGE = b"<!doctype html><html><body><h1>Old</h1></body></html>"


def lines(printed: str) -> int:
    return sum("sent_bytes" in line for line in printed.splitlines())


async def visits(count: int, body: bytes = html(PAGE), rewriter: InlineRewriter | None = None, **settings: Any) -> None:
    async with (
        origin(answering(body)) as site,
        serving(site.url, tables=table(headline()), rewriter=rewriter, access_log=True, **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        log = sidecar.application.proxy._access_log
        assert log is not None
        log._entropy = random.Random(1)
        for _ in range(count):
            await visitor.get("/tea?q=1")


async def test_all_is_logged_unless_a_share_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    await visits(20)
    printed = capsys.readouterr().out
    assert (lines(printed), "share" in printed, "q=1" in printed) == (20, False, False)


async def test_a_share_is_logged_and_says_that_it_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    await visits(100, access_log_share=0.25)
    printed = capsys.readouterr().out
    assert 10 <= lines(printed) <= 40
    assert printed.count("share=0.25") == lines(printed)


async def test_what_failed_is_always_logged(capsys: pytest.CaptureFixture[str]) -> None:
    await visits(10, response(b"x", status="500 Oh"), access_log_share=0.0)
    assert lines(capsys.readouterr().out) == 10
    await visits(10, rewriter=InlineRewriter(broken=True), access_log_share=0.0)
    printed = capsys.readouterr().out
    assert lines(printed) == 10
    assert "share=" not in printed
    await visits(10, access_log_share=0.0)
    assert lines(capsys.readouterr().out) == 0
