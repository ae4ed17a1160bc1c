"""Counts for Prometheus."""

from control_plane.alerts import Alerts, Severity
from control_plane.intent import Publication
from control_plane.telemetry import Telemetry


def test_answers_and_the_table_are_counted() -> None:
    telemetry = Telemetry()
    telemetry.answered("GET", "/healthz", 200, 0.003)
    text = telemetry.exposition(Publication(published=False, table_version=7)).decode()
    assert 'control_plane_answers_total{method="GET",route="/healthz",status="200"} 1.0' in text
    assert 'control_plane_answer_seconds_bucket{le="0.005",route="/healthz"} 1.0' in text
    assert "control_plane_published 0.0" in text
    assert "control_plane_table_version 7.0" in text


def test_open_alerts_are_counted_by_how_much_they_matter() -> None:
    alerts = Alerts()
    for name in ("a", "b"):
        alerts.report(name, Severity.WARNING, "what", "do this")
    text = Telemetry().exposition(Publication(published=True, table_version=7), alerts.open()).decode()
    assert 'control_plane_alerts_open{severity="warning"} 2.0' in text
    assert 'control_plane_alerts_open{severity="critical"} 0.0' in text
