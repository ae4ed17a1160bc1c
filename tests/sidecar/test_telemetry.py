"""Metrics and events: what is counted, and that a storm of failures is a few lines."""

import json

import msgspec
import pytest

from rules.reasons import Reason
from sidecar.telemetry import (
    EventCollector,
    Family,
    GuardCollector,
    OpinionCollector,
    OriginCollector,
    StatusCollector,
    Telemetry,
)


def values(telemetry: Telemetry, name: str) -> dict[str, float]:
    [family] = [family for family in telemetry.families() if family.name == name]
    return {json.dumps(sample.labels): sample.value for sample in family.samples}


def test_responses_and_bytes() -> None:
    telemetry = Telemetry()
    telemetry.responded("applied", 200, 100)
    telemetry.responded("applied", 200, 11)
    telemetry.responded("no_rules", 404, 1)
    assert values(telemetry, "layout_mutation_responses") == {
        '{"reason": "applied", "status": "200"}': 2.0,
        '{"reason": "no_rules", "status": "404"}': 1.0,
    }
    assert values(telemetry, "layout_mutation_sent_bytes") == {"{}": 112.0}


def test_how_long_each_origin_took_to_answer() -> None:
    telemetry = Telemetry()
    for origin, seconds in (("http://a", 0.004), ("http://a", 2.0), ("http://b", 40.0)):
        telemetry.answered_by(origin)(seconds)
    [family] = [one for one in telemetry.families() if one.name == "layout_mutation_upstream_first_byte_seconds"]
    found = {(sample.name[44:], *sample.labels.values()): sample.value for sample in family.samples}
    assert [found["bucket", "http://a", le] for le in ("0.0025", "0.005", "1.0", "2.5", "+Inf")] == [0, 1, 1, 2, 2]
    assert (found["bucket", "http://b", "30.0"], found["count", "http://b"], found["sum", "http://b"]) == (0, 1, 40.0)


def test_a_storm_of_failures_is_one_line_and_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = Telemetry()
    for _ in range(100):
        telemetry.failed(Reason.DECIDE_FAILED, RuntimeError("x"), "/a")
        telemetry.upstream_failed("connect_failed", "x", "/a")
    assert values(telemetry, "layout_mutation_failures")['{"reason": "decide_failed"}'] == 100
    assert values(telemetry, "layout_mutation_upstream_errors") == {'{"reason": "connect_failed"}': 100.0}
    printed = capsys.readouterr().out
    assert (printed.count("page_passed"), printed.count("upstream_failed")) == (1, 1)


def test_the_state_of_table_and_rewriter_is_part_of_the_metrics() -> None:
    telemetry = Telemetry()
    status = {"version": None, "state": "NACK", "reason": "bad_signature", "source": "snapshot", "age_seconds": 2.5}
    rewriter = {"ready": True, "pid": 1, "memo": {"hits": 3}}
    telemetry.registry.register(StatusCollector(lambda: status, lambda: rewriter))
    assert values(telemetry, "layout_mutation_table_version") == {"{}": 0.0}
    assert values(telemetry, "layout_mutation_table_age_seconds") == {"{}": 2.5}
    [labels] = values(telemetry, "layout_mutation_table_state")
    assert json.loads(labels)["reason"] == "bad_signature"
    assert values(telemetry, "layout_mutation_rewriter_memo_hits") == {"{}": 3.0}


def test_second_opinions_are_part_of_the_metrics() -> None:
    telemetry = Telemetry()
    counted = {("agrees", ""): 3, ("differs", ""): 0, ("no_opinion", "selector"): 1}
    telemetry.registry.register(OpinionCollector(lambda: {"dropped": 2, "restarts": 1}, lambda: counted))
    assert values(telemetry, "layout_mutation_opinions") == {
        '{"verdict": "agrees", "reason": ""}': 3.0,
        '{"verdict": "differs", "reason": ""}': 0.0,
        '{"verdict": "no_opinion", "reason": "selector"}': 1.0,
    }
    assert values(telemetry, "layout_mutation_opinions_dropped") == {"{}": 2.0}
    assert values(telemetry, "layout_mutation_opinions_restarts") == {"{}": 1.0}


def test_metrics_travel_as_messagepack() -> None:
    families = Telemetry().families()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(families), type=list[Family]) == families


def test_events_are_part_of_the_metrics_where_they_are_told() -> None:
    telemetry = Telemetry()
    status: dict[str, object] = {}
    telemetry.registry.register(EventCollector(lambda: status))
    assert not any(family.name.startswith("layout_mutation_events") for family in telemetry.families())
    status |= {"sent": 5, "pages": 4, "waiting": 1, "waitingBytes": 200, "spoolEvents": 3, "spoolBytes": 900}
    status |= {"dropped": {"full": 2, "torn": 0}}
    assert values(telemetry, "layout_mutation_events_sent") == {"{}": 5.0}
    assert values(telemetry, "layout_mutation_events_dropped") == {'{"reason": "full"}': 2.0, '{"reason": "torn"}': 0.0}
    assert values(telemetry, "layout_mutation_events_pages") == {"{}": 4.0}
    assert values(telemetry, "layout_mutation_events_waiting") == {"{}": 1.0}
    assert values(telemetry, "layout_mutation_events_waiting_bytes") == {"{}": 200.0}
    assert values(telemetry, "layout_mutation_events_spooled") == {"{}": 3.0}
    assert values(telemetry, "layout_mutation_events_spool_bytes") == {"{}": 900.0}


def test_what_is_known_of_an_origin_is_told_with_every_state_and_reason() -> None:
    known = {
        "origin": "http://a",
        "up": False,
        "breaker": "half_open",
        "inProgress": 2,
        "requests": 9,
        "retries": 3,
        "lastResort": 1,
        "failures": {"connect_failed": 4, "unavailable": 0},
        "checks": {"passed": 5, "failed": 0},
    }
    found = {
        (sample.name.removeprefix("layout_mutation_upstream_"), *sorted(sample.labels.values())): sample.value
        for metric in OriginCollector(lambda: {"origins": [known]}).collect()
        for sample in metric.samples
    }
    assert found == {
        ("up", "http://a"): 0.0,
        ("requests_in_progress", "http://a"): 2.0,
        ("requests_total", "http://a"): 9.0,
        ("retries_total", "http://a"): 3.0,
        ("last_resort_total", "http://a"): 1.0,
        ("breaker", "closed", "http://a"): 0.0,
        ("breaker", "http://a", "open"): 0.0,
        ("breaker", "half_open", "http://a"): 1.0,
        ("failures_total", "connect_failed", "http://a"): 4.0,
        ("failures_total", "http://a", "unavailable"): 0.0,
        ("checks_total", "http://a", "passed"): 5.0,
        ("checks_total", "failed", "http://a"): 0.0,
    }


def test_what_the_guard_holds_and_found() -> None:
    openings = {"slow": 3, "hung": 0}
    held = [{"why": "slow"}, {"why": "slow"}]
    status = {"held": held, "openings": openings, "inquiries": {"mutation": 1, "page": 2}}
    telemetry = Telemetry()
    telemetry.registry.register(GuardCollector(lambda: status))
    samples = {
        (sample.name, *sample.labels.values()): sample.value for one in telemetry.families() for sample in one.samples
    }
    assert samples["layout_mutation_mutations_held", "slow"] == 2
    assert samples["layout_mutation_mutations_held", "hung"] == 0
    assert samples["layout_mutation_guard_openings_total", "slow"] == 3
    assert samples["layout_mutation_guard_inquiries_total", "page"] == 2
