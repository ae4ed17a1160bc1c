"""The store that the settings name: built, and brought up to date before it is opened.

Counterpart: `settings.py` says which it is, `app.py` hands it to the services. Never: a connection before `prepare`.
"""

from importlib.util import find_spec
from pathlib import Path

from control_plane.schema import address, runner
from control_plane.schema.address import Address
from control_plane.schema.runner import Before, Step
from control_plane.settings import ControlPlaneSettings, StoreName
from control_plane.store import Chain, Store
from control_plane.store.chroma import ChromaStore, Index
from control_plane.store.local import LocalStore
from control_plane.store.postgres import PostgresStore

INDEX_FOLDER = "similar"


def built(settings: ControlPlaneSettings, chain: Chain) -> Store:
    """The store, not opened yet; ValueError for a DATABASE_URL that is none."""
    if settings.store is StoreName.LOCAL:
        return LocalStore(Path(settings.local_file), chain=chain)
    if settings.store is StoreName.CHROMA:
        return ChromaStore(Path(settings.local_file), chain=chain)
    return PostgresStore(_address(settings), connections_max=settings.database_connections, chain=chain)


def schema_of(settings: ControlPlaneSettings) -> Address | None:
    """Where there is a schema to be looked after; None for a store that does so itself. ValueError as `built`."""
    return _address(settings) if settings.store is StoreName.POSTGRES else None


def index_of(settings: ControlPlaneSettings, store: Store) -> Index | None:
    """What finds documents by meaning; None where the extra `chroma` is not installed."""
    if isinstance(store, ChromaStore):
        return store.index
    return Index(Path(settings.data_dir) / INDEX_FOLDER) if find_spec("chromadb") else None


async def prepare(settings: ControlPlaneSettings, before: Before | None = None) -> tuple[Step, ...]:
    """Bring the store's schema up to date, where opening it does not; what was applied. Raises StoreError, SchemaError.

    `before`: what `runner.migrate` awaits where data is to be migrated.
    """
    if settings.store is not StoreName.POSTGRES:
        return ()
    return await runner.migrate(settings.database_url, pooled=settings.database_pooled, before=before)


def _address(settings: ControlPlaneSettings) -> Address:
    return address.parse(settings.database_url, pooled=settings.database_pooled)
