"""Where a control plane begins that has an empty store and a file: the file's data is there before anything is served.

Counterpart: `__main__.py` is told the file, `control_plane.backups.restoring` fills the store. Never: a store that holds data is
written to. Where that data is the file's, as at every start after the first, it is gone on with.
"""

from datetime import datetime
from pathlib import Path

import structlog

from control_plane.backups.backups import given_file
from control_plane.backups.configured import Configured, kept_of
from control_plane.backups.restoring import NotEmptyError, Restored, into_database, into_store
from control_plane.moving.exports import ExportFile
from control_plane.moving.places import opened, place_of
from control_plane.moving.standing import Standing, standing
from control_plane.settings import ControlPlaneSettings, StoreName
from control_plane.store import Chain
from control_plane.store.chain import configured
from control_plane.store.local import LocalStore

log = structlog.get_logger("starting_point")

_START = "Start without --restore to go on with what is there"
WHY_NOT = {
    Standing.BEHIND: "it has a part of what the file has; `layout-mutation import FILE` adds the rest",
    Standing.PARTED: "it and the file are of one installation, and were changed apart since",
    Standing.FOREIGN: "it is another installation's, which is never mixed; name an empty database",
}


async def begin(file: str, settings: ControlPlaneSettings, at: datetime) -> Restored | None:
    """Fill the store that the settings name; None where it has all that the file has. `file`: a path, a backup's name, or `latest`.

    Raises:
        BackupError: the file can't be used; nothing was changed but the schema.
        NotEmptyError: the store holds something else; nothing was changed.
        SchemaError, StoreError: as a migration does.
    """
    chain, kept = configured(settings.audit_keys, settings.signing_key), kept_of(settings)
    async with given_file(kept, file) as path:
        try:
            restored = await _fill(path, settings, kept, chain, at)
        except NotEmptyError:
            await _check_data(path, settings, kept, chain)
            log.info("file_restored_before", file=path.name)
            return None
    log.info("file_restored", file=path.name, records=restored.records)
    return restored


async def _fill(file: Path, settings: ControlPlaneSettings, kept: Configured, chain: Chain, at: datetime) -> Restored:
    if settings.store is StoreName.POSTGRES:
        pooled = settings.database_pooled
        return await into_database(file, kept.keys, settings.database_url, chain, at, pooled=pooled)
    store = LocalStore(Path(settings.local_file), chain=chain)
    try:
        await store.open()
        return await into_store(file, kept.keys, store, chain, at)
    finally:
        await store.close()


async def _check_data(file: Path, settings: ControlPlaneSettings, kept: Configured, chain: Chain) -> None:
    """Raise NotEmptyError unless the store has all that the file has."""
    async with opened(settings.store_address, chain, pooled=settings.database_pooled) as store:
        how = await standing(ExportFile(file, kept.keys), store)
    if how not in (Standing.SAME, Standing.AHEAD):
        place = place_of(settings.store_address)
        raise NotEmptyError(f"{place} holds data already, and was left as it is: {WHY_NOT[how]}. {_START}")
