"""What the service needs and has not got becomes an alert, and ends with it."""

import pytest

from control_plane.alerts import Alerts, Severity
from control_plane.conditions import LOOKS, SCHEMA_NEEDS_A_PERSON, Conditions
from control_plane.health import Health, HealthReport, Part
from control_plane.intent import Publication
from tests.control_plane.plane import Plane, until

UP = Part(up=True)
AWAY = Part(up=False, detail="refused")
PUBLISHED = Publication(published=True, table_version=1)
STUCK = Publication(published=False, table_version=1, reason="redis_unreachable: full")
BEHIND = Publication(published=False, table_version=9, reason="database_behind: Redis holds table 9")

WELL = HealthReport(True, UP, UP, PUBLISHED)
NO_DATABASE = HealthReport(False, AWAY, UP, PUBLISHED)
NO_REDIS = HealthReport(True, UP, AWAY, STUCK)
NOTHING = HealthReport(False, AWAY, AWAY, STUCK)
FULL_REDIS = HealthReport(True, UP, UP, STUCK)
LOST = HealthReport(True, UP, UP, BEHIND)


class Looked(Health):
    """Nothing is asked: a test hands the reports in."""

    def __init__(self) -> None:
        self.starting = ""


@pytest.mark.parametrize(
    ("report", "found"),
    [
        (WELL, []),
        (NO_DATABASE, [("database_away", Severity.CRITICAL, "refused")]),
        (NO_REDIS, [("redis_away", Severity.CRITICAL, "refused")]),
        (NOTHING, [("database_away", Severity.CRITICAL, "refused"), ("redis_away", Severity.CRITICAL, "refused")]),
        (FULL_REDIS, [("not_published", Severity.WARNING, "redis_unreachable: full")]),
        (LOST, []),
    ],
)
def test_what_is_missing_for_a_while_is_told_and_what_is_well_again_is_settled(
    report: HealthReport, found: list[tuple[str, Severity, str]]
) -> None:
    alerts = Alerts()
    conditions = Conditions(Looked(), alerts)
    for _ in range(LOOKS - 1):
        conditions.look(report)
    assert alerts.open() == ()
    conditions.look(WELL)
    for _ in range(LOOKS):
        conditions.look(report)
    assert [(alert.id, alert.severity, alert.detail) for alert in alerts.open()] == found
    conditions.look(WELL)
    assert alerts.open() == ()


def test_a_schema_that_needs_a_person_is_told_once() -> None:
    alerts = Alerts()
    alerts.report(SCHEMA_NEEDS_A_PERSON, Severity.CRITICAL, "what", "do this")
    conditions = Conditions(Looked(), alerts)
    for _ in range(LOOKS):
        conditions.look(NO_DATABASE)
    assert [alert.id for alert in alerts.open()] == [SCHEMA_NEEDS_A_PERSON]


async def test_a_running_plane_looks_by_itself(plane: Plane) -> None:
    """Its health says that it has not begun; nothing else is wrong."""
    plane.services.health.starting = "waiting for a reason"

    async def is_told() -> bool:
        items = (await plane.ask("GET", "alerts")).json()["items"]
        return [(one["id"], one["detail"]) for one in items] == [("database_away", "waiting for a reason")]

    await until(is_told)
