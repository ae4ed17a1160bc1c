"""A service that finds an empty database and no mirror comes back from what is left, and says what it lost."""

from pathlib import Path

import msgspec
import pytest

from control_plane.backups.rescue import IMPOSSIBLE, RESTORED
from control_plane.settings import ControlPlaneSettings
from control_plane.store.mirror.keeping import FILE_NAME
from tests.control_plane.backups.test_places import CREDENTIALS, s3_server
from tests.control_plane.plane import Plane, headline, running

__all__ = ["s3_server"]


def elsewhere(settings: ControlPlaneSettings, url: str, data_dir: Path, **more: str) -> ControlPlaneSettings:
    """The same installation's settings, with another database and another disk."""
    return msgspec.structs.replace(settings, database_url=url, data_dir=str(data_dir), **more)


async def written(plane: Plane) -> tuple[str, str]:
    """A mutation that visitors get, in its second version, and a draft."""
    live = await plane.create(headline("first"))
    answer = await plane.ask("PATCH", f"mutations/{live['id']}", {"isActive": True, "status": "active", "name": "live"})
    assert answer.status == 200, answer.body
    draft = await plane.create(headline("draft", isActive=False))
    return live["id"], draft["id"]


def without_mirror(data_dir: Path) -> None:
    """A disk of which the mirror alone is gone."""
    for file in data_dir.glob(f"{FILE_NAME}*"):
        file.unlink()


def told(plane: Plane) -> dict[str, str]:
    return {alert.id: f"{alert.summary} {alert.detail}" for alert in plane.services.alerts.open()}


async def test_the_newest_backup_of_this_machine_comes_first(settings: ControlPlaneSettings, empty_url: str) -> None:
    async with running(settings) as plane:
        live, draft = await written(plane)
        await plane.services.backups.make("by_hand")
        later = await plane.create(headline("later"))
    without_mirror(Path(settings.data_dir))
    async with running(elsewhere(settings, empty_url, Path(settings.data_dir))) as plane:
        assert (await plane.ask("GET", f"mutations/{live}")).json()["version"] == 2
        assert (await plane.ask("GET", f"mutations/{draft}")).status == 200
        assert (await plane.ask("GET", f"mutations/{later['id']}")).status == 404
        said = told(plane)[RESTORED]
        assert "restored from the backup layout-mutation-" in said
        assert "0.0 hours ago" in said
        assert "after it was made is lost" in said
        assert (await plane.ask("GET", "audit")).json()["items"]


async def test_the_remote_backup_comes_where_the_disk_is_gone_too(
    settings: ControlPlaneSettings, empty_url: str, tmp_path: Path, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    settings = msgspec.structs.replace(settings, backup_url=f"s3://backups/{tmp_path.name}", backup_endpoint=s3_server)
    async with running(settings) as plane:
        live, draft = await written(plane)
        assert (await plane.services.backups.make("by_hand")).places == ("folder", "remote")
    async with running(elsewhere(settings, empty_url, tmp_path / "new disk")) as plane:
        assert (await plane.ask("GET", f"mutations/{live}")).json()["version"] == 2
        assert (await plane.ask("GET", f"mutations/{draft}")).status == 200
        assert RESTORED in told(plane)


async def test_at_last_the_table_in_redis_has_what_visitors_get(
    settings: ControlPlaneSettings, empty_url: str, tmp_path: Path
) -> None:
    async with running(settings) as plane:
        live, draft = await written(plane)
        version = plane.services.publishing.state().table_version
    async with running(elsewhere(settings, empty_url, tmp_path / "new disk")) as plane:
        found = (await plane.ask("GET", f"mutations/{live}")).json()
        assert (found["version"], found["createdBy"], found["name"]) == (1, "control-plane", "live")
        assert (await plane.ask("GET", f"mutations/{draft}")).status == 404
        assert "Drafts, histories, the audit and what was switched off are lost" in told(plane)[RESTORED]
        history = (await plane.ask("GET", f"mutations/{live}/versions")).json()
        assert f"restored from the table {version}" in msgspec.json.encode(history).decode()
        assert plane.services.publishing.state().table_version > version
        assert (await plane.services.audit.verify()).sound


async def test_a_table_that_somebody_else_signed_is_nothing(
    settings: ControlPlaneSettings, empty_url: str, tmp_path: Path
) -> None:
    async with running(settings) as plane:
        live, _ = await written(plane)
    other = elsewhere(settings, empty_url, tmp_path / "new disk", signing_key="A" * 43 + "=")
    async with running(other) as plane:
        assert (await plane.ask("GET", f"mutations/{live}")).status == 404
        assert RESTORED not in told(plane)


async def test_backups_of_two_installations_are_left_to_a_person(
    settings: ControlPlaneSettings, empty_url: str, tmp_path: Path, redis_environment: str
) -> None:
    folder = tmp_path / "data" / "backups"
    folder.mkdir(parents=True)
    for whose in ("aaaaaaaa", "bbbbbbbb"):
        (folder / f"layout-mutation-20300101T000000Z-{whose}-7.backup").touch()
    async with running(settings) as plane:
        assert "several installations" in told(plane)[IMPOSSIBLE]
    (folder / "layout-mutation-20300101T000000Z-bbbbbbbb-7.backup").unlink()
    without_mirror(tmp_path / "data")
    (tmp_path / "data" / "store.json").unlink()  # which knows whose the backups should be
    async with running(elsewhere(settings, empty_url, tmp_path / "data")) as plane:
        assert "torn" in told(plane)[IMPOSSIBLE]


async def test_a_fresh_disk_adopts_the_installation_of_its_database_and_goes_on(
    settings: ControlPlaneSettings, tmp_path: Path
) -> None:
    """A container whose disk does not last: with DATABASE_URL and the keys in the environment."""
    async with running(settings) as plane:
        live, _ = await written(plane)
        before = await plane.services.store.position()
    async with running(elsewhere(settings, settings.database_url, tmp_path / "new disk")) as plane:
        assert (await plane.ask("GET", f"mutations/{live}")).json()["version"] == 2
        await plane.create(name="went on")
        after = await plane.services.store.position()
        assert after.installation == before.installation
        assert after.audit_number > before.audit_number
        assert (await plane.services.audit.verify()).sound
        assert (tmp_path / "new disk" / FILE_NAME).exists()
        assert not told(plane)
