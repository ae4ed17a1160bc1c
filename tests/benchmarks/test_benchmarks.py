"""The benchmarks run and say what they should; how fast anything is, no test asks."""

import json
import os
from pathlib import Path

import pytest

from benchmarks import codings, decide, hostile, latency, load, paced, pages, publish, rewrite, rivals, turns
from benchmarks.processes import LOAD_CPU, PROXY_CPU, pinned, started

RATIO_MAX = 10
"""A hostile page may take so many times as long; on a quiet machine none takes four times. What is quadratic takes thousands."""

WRK = """\
  Latency Distribution
     50%  158.00us
     75%    2.01ms
     99%    1.50s
  1234 requests in 1.10s, 2.77GB read
  Socket errors: connect 0, read 1, write 0, timeout 2
  Non-2xx or 3xx responses: 4
Requests/sec:   1121.50
"""


@pytest.mark.parametrize("kilobytes", [10, 50, 100])
def test_a_page_has_about_the_size_asked_for_and_one_token(kilobytes: int) -> None:
    page = pages.listing(kilobytes)
    assert abs(len(page) - kilobytes * 1000) < 1000
    assert page.count(pages.TOKEN) == 1


def test_the_figures_of_wrk_are_read_in_any_unit() -> None:
    assert load._of_wrk(WRK) == load.Figures(1121.5, 0.158, 1500.0, 1234, 7)


async def test_our_own_load_finds_the_origin_faultless() -> None:
    with started("benchmarks.origin", cpu=LOAD_CPU) as origin:
        host, port = origin.address.removeprefix("http://").split(":")
        for kind in ("plain", "same", "token"):
            figures = await load._load(host, int(port), f"/{kind}/10", 0.2, 4)
            assert figures.requests > 10
            assert figures.errors == 0
        assert (await load._load(host, int(port), "/nothing", 0.1, 1)).errors > 0


def test_the_proxy_has_its_core_also_where_the_load_has_its_own() -> None:
    """A block for one core in a block for the other: where they shared one, every figure would be of the load."""
    allowed = os.sched_getaffinity(0)
    with pinned(LOAD_CPU):
        of_the_load = os.sched_getaffinity(0)
        with pinned(PROXY_CPU):
            of_the_proxy = os.sched_getaffinity(0)
        assert os.sched_getaffinity(0) == of_the_load
    assert (of_the_load, of_the_proxy) == ({LOAD_CPU} & allowed or allowed, {PROXY_CPU} & allowed or allowed)
    assert os.sched_getaffinity(0) == allowed


def test_requests_leave_when_they_are_due_and_wait_for_nobody() -> None:
    with started("benchmarks.origin", cpu=LOAD_CPU) as origin:
        figures = paced.measure(origin.address, ["/same/10", "/same/10/7"], rate=200, seconds=0.5)
        assert (len(figures.latencies_ms), len(figures.late_ms), figures.errors) == (100, 100, 0)
        assert all(
            late <= latency for late, latency in zip(sorted(figures.late_ms), sorted(figures.latencies_ms), strict=True)
        )
        assert paced.measure(origin.address, ["/nothing"], rate=50, seconds=0.1).errors == 5


def test_a_share_of_figures_does_not_exceed_its_percentile() -> None:
    figures = [float(number) for number in range(100, 0, -1)]
    assert [paced.percentile(figures, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 51.0, 100.0, 100.0]
    assert paced.percentile([], 0.5) == 0.0


def test_what_a_page_waits_for_is_told_beside_the_origin_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert latency.main(["--rounds", "1", "--size", "10", "--share", "0.05", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["what"] for row in told] == ["bare proxy", "pass-through", "token", "repeated"]
    assert all(row["p50Ms"] > 0 and row["errors"] == 0 for row in told)


def test_tables_are_published_while_pages_are_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = "--mutations 100 --rounds 1 --stretch 0.6 --every 0.3 --share 0.05 --json"
    assert publish.main(arguments.split()) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["publishes"] == 2
    assert told["quiet"].keys() == told["publishing"].keys()


def test_turns_of_an_event_loop_are_counted_while_tables_come_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert turns.main(["--mutations", "100", "--publishes", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told.keys() == {"lostMs", "longestMs", "over2Ms"}
    assert told["longestMs"] > 0


def test_the_rewriter_and_the_decision_are_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(pages.listing(10))
    assert rewrite.main(["--pages", str(tmp_path), "--rounds", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pages"] == 1
    assert told["passedThrough"] == 0
    assert [row["what"] for row in told["rows"]] == list(rewrite.WAYS)
    assert decide.main(["--sizes", "20", "--visits", "10", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["mutations"] == 20
    assert row.keys() == decide.HEADINGS.keys()


@pytest.mark.parametrize("what", hostile.HOSTILE)
def test_a_hostile_page_takes_about_as_long_as_an_ordinary_one(what: str) -> None:
    assert hostile.measure(what, rounds=2).ratio < RATIO_MAX


def test_the_hostile_pages_are_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert hostile.main(["--rounds", "1", "--only", "classes", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["answer"] == "applied 7"


def test_codings_are_measured() -> None:
    for name, code in codings.coders().items():
        milliseconds, share = codings.measured([pages.listing(10)], code)
        assert milliseconds > 0, name
        assert 0 < share < 0.5, name


def test_the_rivals_do_the_same_work() -> None:
    page = b"<head><title>t</title></head><body><h1>h</h1><h2>s</h2><aside>a</aside><img><footer>f</footer></body>"
    ways = [rivals.by_selectolax, rivals.by_lolhtml] if rivals.has_lolhtml else [rivals.by_selectolax]
    for way in ways:
        written = way(page, [group.operations[0] for group in hostile.operations()])
        for piece in (b'data-x="1"', b"Benchmark title", b".a{color:red}</style></head>", b"News</div><h1>", b"larger"):
            assert piece in written
        for piece in (b"Benchmark headline</h1><p>Behind", b'decoding="async"', b"Before the footer</p><footer>"):
            assert piece in written
        assert b"aside" not in written
