"""With an export or a backup and an empty store the service is up again; a store that holds data is not touched by that."""

from pathlib import Path

import msgspec
import pytest

from control_plane.backups.encryption import Keys
from control_plane.backups.lines import BackupError
from control_plane.backups.restoring import NotEmptyError
from control_plane.moving.census import census_of
from control_plane.moving.exports import write
from control_plane.moving.places import opened
from control_plane.settings import ControlPlaneSettings, StoreName
from control_plane.starting_point import begin
from control_plane.store.chain import configured
from service.clock import now
from tests.control_plane.moving.stores import SOMEBODY, fill, note
from tests.control_plane.plane import headline, running

FILE = "everything"


@pytest.fixture
async def there(settings: ControlPlaneSettings, tmp_path: Path) -> ControlPlaneSettings:
    """The settings of an installation of which there is only a file any more, beside its keys."""
    small = msgspec.structs.replace(settings, store=StoreName.LOCAL, data_dir=str(tmp_path / "gone"))
    chain = configured("", settings.signing_key)
    async with opened(small.store_address, chain, to_write=True) as store:
        await fill(store)
        await write(store, tmp_path / FILE, Keys(), now())
    return settings


async def test_an_installation_is_up_again_and_later_starts_change_nothing(
    settings: ControlPlaneSettings, empty_url: str, tmp_path: Path, redis_environment: str
) -> None:
    async with running(settings) as plane:
        made = await plane.create(headline("first", name="first"))
        await plane.ask("PATCH", f"mutations/{made['id']}", {"name": "second"})
        await write(plane.services.store, tmp_path / FILE, Keys(), now())
        before = (await plane.services.store.position()).installation
    other = {"data_dir": str(tmp_path / "new disk"), "layout_mutation_environment": f"{redis_environment}-new"}
    again = msgspec.structs.replace(settings, database_url=empty_url, **other)
    restored = await begin(str(tmp_path / FILE), again, now())
    assert restored is not None
    async with running(again) as plane:
        found = (await plane.ask("GET", f"mutations/{made['id']}")).json()
        assert (found["version"], found["name"]) == (2, "second")
        installation = (await plane.services.store.position()).installation
        assert before is not None
        assert installation is not None
        assert (installation.id, installation.epoch) == (before.id, before.epoch + 1)
        assert (await plane.services.audit.verify()).sound
        await plane.create(name="later")
        assert await begin(str(tmp_path / FILE), again, now()) is None
        assert len((await plane.ask("GET", "mutations")).json()["items"]) == 2


@pytest.mark.parametrize("kind", [StoreName.LOCAL, StoreName.CHROMA])
async def test_a_small_installation_too(there: ControlPlaneSettings, kind: StoreName, tmp_path: Path) -> None:
    small = msgspec.structs.replace(there, store=kind)
    assert await begin(str(tmp_path / FILE), small, now()) is not None
    assert await begin(str(tmp_path / FILE), small, now()) is None


async def test_a_database_that_holds_data_is_left_as_it_is_with_what_to_do(
    there: ControlPlaneSettings, tmp_path: Path
) -> None:
    chain = configured("", there.signing_key)
    async with opened(there.store_address, chain, to_write=True) as store:
        await fill(store, SOMEBODY)
        before = await census_of(store.records())
        with pytest.raises(NotEmptyError, match=r"another installation's, .* name an empty database\. Start without"):
            await begin(str(tmp_path / FILE), there, now())
        assert await census_of(store.records()) == before


async def test_what_parted_from_the_file_or_lacks_a_part_is_told_apart(
    there: ControlPlaneSettings, tmp_path: Path
) -> None:
    chain = configured("", there.signing_key)
    await begin(str(tmp_path / FILE), there, now())
    gone = msgspec.structs.replace(there, store=StoreName.LOCAL, data_dir=str(tmp_path / "gone"))
    async with opened(gone.store_address, chain, to_write=True) as store:
        await note(store)
        await write(store, tmp_path / "newer", Keys(), now())
    with pytest.raises(NotEmptyError, match="changed apart since"):
        await begin(str(tmp_path / "newer"), there, now())


async def test_a_file_whose_audit_cannot_go_on_here_changes_nothing(
    there: ControlPlaneSettings, tmp_path: Path
) -> None:
    stranger = msgspec.structs.replace(there, signing_key="A" * 43 + "=")
    with pytest.raises(BackupError, match=r"sealed with the key [0-9a-f]{16}, which is not known here.*add lost:"):
        await begin(str(tmp_path / FILE), stranger, now())
    assert await begin(str(tmp_path / FILE), there, now()) is not None


async def test_a_torn_file_changes_nothing(there: ControlPlaneSettings, tmp_path: Path) -> None:
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-3])
    with pytest.raises(BackupError, match="torn"):
        await begin(str(tmp_path / FILE), there, now())
    (tmp_path / FILE).write_bytes(whole)
    assert await begin(str(tmp_path / FILE), there, now()) is not None
