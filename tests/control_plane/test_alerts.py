"""What a person should know of: opened once, said once, settled."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from control_plane.alerts import (
    ADVICE_CHARACTERS_MAX,
    DETAIL_CHARACTERS_MAX,
    OVER_MAX,
    SUMMARY_CHARACTERS_MAX,
    Alerts,
    Severity,
)

START = datetime(2026, 11, 27, 9, tzinfo=UTC)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


def lines(logs: Sequence[Any], event: str) -> list[str]:
    """The levels of the lines with that event."""
    return [line["log_level"] for line in logs if line["event"] == event]


def test_what_is_reported_again_is_one_opening_that_is_said_once() -> None:
    clock = Clock()
    alerts = Alerts(instance="host:8081", clock=clock)
    with capture_logs() as logs:
        alerts.report("database_away", Severity.WARNING, "away", "start it", "refused")
        clock.at += timedelta(seconds=5)
        alerts.report("database_away", Severity.WARNING, "still away", "start it", "timed out")
    [alert] = alerts.open()
    assert (alert.summary, alert.detail, alert.instance) == ("still away", "timed out", "host:8081")
    assert (alert.opened_at, alert.seen_at) == (START, START + timedelta(seconds=5))
    assert lines(logs, "database_away") == ["warning"]


@pytest.mark.parametrize(
    ("severity", "level"), [(Severity.INFO, "info"), (Severity.WARNING, "warning"), (Severity.CRITICAL, "error")]
)
def test_only_what_needs_a_person_now_is_an_error_in_the_log(severity: Severity, level: str) -> None:
    with capture_logs() as logs:
        Alerts().report("x", severity, "what", "do this", "found")
    assert lines(logs, "x") == [level]
    assert (logs[0]["summary"], logs[0]["advice"], logs[0]["detail"]) == ("what", "do this", "found")


def test_what_becomes_worse_is_said_again_and_what_becomes_better_is_not() -> None:
    alerts = Alerts()
    with capture_logs() as logs:
        for severity in (Severity.WARNING, Severity.CRITICAL, Severity.WARNING):
            alerts.report("x", severity, "what", "do this")
    assert lines(logs, "x") == ["warning", "error"]
    assert alerts.open()[0].severity is Severity.WARNING


def test_what_is_settled_is_over_and_may_open_again_as_another_opening() -> None:
    clock = Clock()
    alerts = Alerts(clock=clock)
    alerts.report("x", Severity.WARNING, "what", "do this")
    [first] = alerts.open()
    clock.at += timedelta(minutes=1)
    with capture_logs() as logs:
        alerts.settle("x")
        alerts.settle("x")
        alerts.settle("never heard of")
    assert lines(logs, "alert_settled") == ["info"]
    assert alerts.open() == ()
    [over] = alerts.over()
    assert (over.opening, over.settled_at, over.is_open) == (first.opening, clock.at, False)
    assert alerts.was_settled("x")
    alerts.report("x", Severity.WARNING, "what", "do this")
    assert alerts.open()[0].opening != first.opening
    assert not alerts.was_settled("x")
    alerts.forget({first.opening})
    assert alerts.over() == ()


def test_the_worst_comes_first_then_the_oldest() -> None:
    clock = Clock()
    alerts = Alerts(clock=clock)
    for name, severity in (("a", Severity.INFO), ("b", Severity.CRITICAL), ("c", Severity.CRITICAL)):
        alerts.report(name, severity, "what", "do this")
        clock.at -= timedelta(minutes=1)
    assert [alert.id for alert in alerts.open()] == ["c", "b", "a"]


def test_no_text_is_too_long_or_too_strange() -> None:
    alerts = Alerts()
    alerts.report("x" * 500, Severity.INFO, "s" * 9_000, "a\0" * 9_000, "\udc80" + "d" * 9_000)
    [alert] = alerts.open()
    texts = [len(text) for text in (alert.summary, alert.advice, alert.detail)]
    assert texts == [SUMMARY_CHARACTERS_MAX, ADVICE_CHARACTERS_MAX, DETAIL_CHARACTERS_MAX]
    assert "\0" not in alert.advice
    assert alert.detail.encode("utf-8").startswith(b"?d")
    alerts.settle("x" * 500)
    assert alerts.open() == ()


def test_what_waits_to_be_written_down_is_bounded() -> None:
    alerts = Alerts()
    for _ in range(OVER_MAX + 5):
        alerts.report("x", Severity.INFO, "what", "do this")
        alerts.settle("x")
    assert len(alerts.over()) == OVER_MAX


def test_a_notice_that_was_acknowledged_ends() -> None:
    alerts = Alerts()
    alerts.report("repaired", Severity.INFO, "an index was rebuilt", "nothing")
    alerts.end(alerts.open()[0].opening)
    assert alerts.open() == alerts.over() == ()
