"""The page of backups: one is made, tried and shown with the commands of the way back; for admins alone."""

from datetime import timedelta

import msgspec
import pytest

from control_plane.admin.addresses import BACKUPS, PREFIX, backup
from control_plane.admin.backups import _interval
from control_plane.services import Services
from control_plane.settings import ControlPlaneSettings
from tests.control_plane.admin.person import Person, Seen
from tests.control_plane.plane import until


@pytest.fixture
def settings(settings: ControlPlaneSettings) -> ControlPlaneSettings:
    """None is made by itself in the middle of a test."""
    return msgspec.structs.replace(settings, backup_every="off")


async def looked(admin: Person) -> Seen:
    """The page once nothing is under way."""
    page = await admin.open(BACKUPS)

    async def is_done() -> bool:
        nonlocal page
        page = await admin.open(BACKUPS)
        return "Look again" not in page.words("#found")

    await until(is_done)
    return page


async def test_one_is_made_tried_and_shown_with_the_way_back(
    admin: Person, publisher: Person, services: Services
) -> None:
    page = await admin.open(BACKUPS)
    assert page.words(".empty h2") == "There is no backup yet"
    assert "before a migration only" in page.words(".strip")
    await admin.submit(page, "#make")
    page = await looked(admin)
    (made,) = await services.backups.all()
    assert f"{made.name} was made and read back" in page.words("[role=status]")
    row = page.words("#found tbody tr")
    assert "by hand" in row
    assert "kept apart" in row
    assert "the newest 10 made by hand" in page.words(".strip")
    assert f"{made.records} records, schema {made.schema}" in row
    assert "not yet" in row
    assert [line.split()[1:3] for line in page.all_words("#restore pre")] == [["restore", made.name]] * 3
    await admin.submit(page, "#found tbody form")
    page = await looked(admin)
    assert "holds:" in page.words("[role=status]")
    assert "its audit is sound" in page.words("[role=status]")
    assert "holds" in page.words("#found tbody .badge.good")
    await admin.send(backup("none.backup"), {"csrf": await admin.word()})
    page = await looked(admin)
    assert "there is no backup none.backup here" in page.words("[role=alert]")
    assert (await publisher.open(BACKUPS)).status == 403
    assert (await publisher.open(PREFIX)).tree.css_first(f'nav a[href="{BACKUPS}"]') is None


def test_how_often_in_words() -> None:
    assert _interval(timedelta(days=1)) == "every day"
    assert _interval(timedelta(hours=36)) == "every 36 hours"
    assert _interval(timedelta(minutes=90)) == "every 90 minutes"
