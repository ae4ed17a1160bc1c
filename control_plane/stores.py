"""The store that the settings name: built, and brought up to date before it is opened.

Counterpart: `settings.py` says which it is, `app.py` hands it to the services. Never: a connection before `prepare`.
"""

from pathlib import Path

from control_plane.schema import address, runner
from control_plane.schema.address import Address
from control_plane.schema.runner import Step
from control_plane.settings import ControlPlaneSettings, StoreName
from control_plane.store import Chain, Store
from control_plane.store.local import LocalStore
from control_plane.store.postgres import PostgresStore


def built(settings: ControlPlaneSettings, chain: Chain) -> Store:
    """The store, not opened yet; ValueError for a DATABASE_URL that is none."""
    if settings.store is StoreName.LOCAL:
        return LocalStore(Path(settings.local_file), chain=chain)
    return PostgresStore(_address(settings), connections_max=settings.database_connections, chain=chain)


def schema_of(settings: ControlPlaneSettings) -> Address | None:
    """Where there is a schema to be looked after; None for a store that does so itself. ValueError as `built`."""
    return None if settings.store is StoreName.LOCAL else _address(settings)


async def prepare(settings: ControlPlaneSettings) -> tuple[Step, ...]:
    """Bring the store's schema up to date, where opening it does not; what was applied. Raises StoreError, SchemaError."""
    if settings.store is StoreName.LOCAL:
        return ()
    return await runner.migrate(settings.database_url, pooled=settings.database_pooled)


def _address(settings: ControlPlaneSettings) -> Address:
    return address.parse(settings.database_url, pooled=settings.database_pooled)
