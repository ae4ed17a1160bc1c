"""Server-Timing: what it says, and to whom."""

from typing import Any

import pytest

from sidecar.heads.timing import told
from tests.sidecar.wire import Answer, answering, client, headline, html, origin, serving, table

PAGE = b"<!doctype html><html><head></head><body><h1>Old</h1></body></html>"
TOKEN = "a-secret-of-some-length"
WITH = f"X-Layout-Mutation-Token: {TOKEN}"


def test_what_took_no_time_is_not_said() -> None:
    assert told("no_rules", decide_s=0.0002, rewrite_s=0) == b'lm;desc="no_rules";dur=0.200, lm-decide;dur=0.200'
    assert told("applied", decide_s=0.0002, rewrite_s=0.0039) == (
        b'lm;desc="applied";dur=4.100, lm-decide;dur=0.200, lm-rewrite;dur=3.900'
    )


async def asked(*fields: str, target: str = "/", **settings: Any) -> Answer:
    async with (
        origin(answering(html(PAGE, "Server-Timing: db;dur=5"))) as site,
        serving(site.url, tables=table(headline(pageSlug="/")), ops_token=TOKEN, **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        return await visitor.get(target, *fields)


@pytest.mark.parametrize(
    ("who", "fields", "shown"),
    [
        ("token", (WITH,), True),
        ("token", (), False),
        ("token", ("X-Layout-Mutation-Token: another",), False),
        ("always", (), True),
        ("never", (WITH,), False),
    ],
)
async def test_who_is_told(who: str, fields: tuple[str, ...], shown: bool) -> None:
    answer = await asked(*fields, server_timing=who)
    theirs, *ours = answer.all(b"Server-Timing")
    assert theirs == b"db;dur=5"
    assert bool(ours) is shown
    if ours:
        assert ours[0].startswith(b'lm;desc="applied";dur=')
        assert b"lm-decide;dur=" in ours[0]
        assert b"lm-rewrite;dur=" in ours[0]


async def test_a_page_that_passes_says_why_and_one_that_nobody_decided_nothing() -> None:
    [_, ours] = (await asked(WITH, target="/other")).all(b"Server-Timing")
    assert ours.startswith(b'lm;desc="no_rules";dur=')
    assert b"lm-rewrite" not in ours
    assert len((await asked(WITH, "X-Layout-Mutation: off")).all(b"Server-Timing")) == 1
