"""The bar has what whoever looks may open, and says where they are."""

import pytest

from control_plane.admin.addresses import BACKUPS, CONFLICTS, MIGRATION, PREFIX, SCHEMA, SETTINGS, mutation
from control_plane.admin.navigation import navigation
from control_plane.tokens import Permission

ALL = {permission.value: True for permission in Permission}


def test_nobody_sees_a_place_that_they_may_not_open() -> None:
    reader = {step.address for step in navigation(PREFIX, {"read": True})}
    assert not reader & {BACKUPS, MIGRATION}
    assert SETTINGS in reader
    assert {step.address for step in navigation(PREFIX, ALL)} == reader | {BACKUPS, MIGRATION}
    assert navigation(PREFIX, {}) == ()


@pytest.mark.parametrize(
    ("here", "label", "current"),
    [
        (PREFIX, "Mutations", "page"),
        (mutation("a/b", "edit"), "Mutations", "true"),
        (f"{PREFIX}/new", "Mutations", "true"),
        (f"{PREFIX}/preview", "Preview", "page"),
        (CONFLICTS, "Alerts", "true"),
        (f"{CONFLICTS}/x", "Alerts", "true"),
        (SCHEMA, "Migration", "true"),
        (f"{PREFIX}/nothing", "", ""),
    ],
)
def test_one_place_is_the_one_where_one_is(here: str, label: str, current: str) -> None:
    found = [(step.label, step.current) for step in navigation(here, ALL) if step.current]
    assert found == ([(label, current)] if label else [])
