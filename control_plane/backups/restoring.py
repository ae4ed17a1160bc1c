"""The way back: a file into an empty store, over what a database holds, or into a throw-away one to see that it works.

Into a store everything comes in one transaction, or nothing does. Counterpart: `files.py` reads; `backups.py` and the
command line call. Never: over data that is there, unless it was backed up before and stays until its successor is whole.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from control_plane.auditing.check import AuditKeyError, check_key
from control_plane.auditing.check import verify as verify_audit
from control_plane.backups import files
from control_plane.backups.encryption import Keys
from control_plane.backups.lines import Account, BackupError, Header, Sum, encode, kind_of
from control_plane.intent import Action
from control_plane.publishing import SYSTEM
from control_plane.schema import address, throwaway
from control_plane.schema import files as migrations
from control_plane.schema.runner import SchemaError, migrate, plan
from control_plane.store import AuditRecord, Chain, Installation, Position, Record, Store, StoredAudit, StoreError
from control_plane.store.local import LocalStore
from control_plane.store.postgres import PostgresStore

CONNECTIONS_MAX = 2
Load = Callable[[AsyncIterable[Record], Installation | None], Awaitable[int]]


class NotEmptyError(Exception):
    """The store that was to be filled holds data. The message says what to do."""


class Restored(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is there again."""

    name: str
    made_at: datetime
    records: int
    installation: Installation | None
    """Whose data it is, with the epoch that began with this; None for data from before there were any."""
    backup_of_replaced: str = ""
    """The backup of what was there before; empty where nothing was."""


class Verified(Struct, frozen=True, kw_only=True, rename="camel"):
    """What came of trying a backup."""

    name: str
    ok: bool
    where: str
    """`database` or `sqlite`: it was restored into a throw-away one; `file`: it can't even be read to its end."""
    problem: str = ""
    records: int = 0
    made_at: datetime | None = None
    audit_sound: bool | None = None
    """Whether each entry of the audit is what was sealed, as far as the keys reach; None where that was not looked at."""
    remark: str = ""


async def into_store(file: Path, keys: Keys, store: Store, chain: Chain, at: datetime) -> Restored:
    """Fill an empty store, with an audit entry that says so; raises BackupError, NotEmptyError, StoreError."""
    if not is_empty(await store.position()):
        raise NotEmptyError("the store holds data already; nothing was changed")
    return await _fill(file, keys, (await read_through(file, keys, chain)).header, store, at)


class Through(Struct, frozen=True):
    """A file that was read to its end."""

    header: Header
    newest: StoredAudit | None
    """The newest entry of its audit."""


async def read_through(file: Path, keys: Keys, chain: Chain) -> Through:
    """Read a file to its end, and see whether its audit can go on here; raises BackupError where it could not be restored."""
    header = await asyncio.to_thread(files.header, file, keys)
    check_schema(file, header)
    newest: StoredAudit | None = None
    async with aclosing(files.records(file, keys)) as records:
        async for record in records:
            if isinstance(record, AuditRecord) and (newest is None or record.entry.number > newest.number):
                newest = record.entry
    try:
        check_key(None if newest is None else newest.key_id, chain)
    except AuditKeyError as error:
        raise BackupError(f"{file.name}: {error}") from None
    return Through(header, newest)


async def _fill(
    file: Path, keys: Keys, header: Header, store: Store, at: datetime, *, load: Load | None = None
) -> Restored:
    whose = header.installation
    if whose is not None:
        whose = msgspec.structs.replace(whose, epoch=whose.epoch + 1)
    async with aclosing(files.records(file, keys)) as records:
        count = await (load or store.load)(records, whose)
    async with store.transaction() as transaction:
        await transaction.add_audit(
            StoredAudit(
                at=at,
                actor=SYSTEM.subject,
                role=SYSTEM.role,
                action=Action.RESTORED_BACKUP,
                kind="backup",
                subject=file.name,
                reason=f"restored a backup of {header.made_at.isoformat(timespec='seconds')}",
            )
        )
    return Restored(name=file.name, made_at=header.made_at, records=count, installation=whose)


async def into_database(
    file: Path, keys: Keys, url: str, chain: Chain, at: datetime, *, pooled: bool | None = None
) -> Restored:
    """Make the database and its schema where they are missing or earlier, and fill it.

    Raises:
        BackupError: the file can't be used; nothing was changed but the schema.
        NotEmptyError: there is data already; nothing was changed.
        SchemaError, StoreError: as `migrate` does.
    """
    header = (await read_through(file, keys, chain)).header
    if await holds_data(url, chain, pooled=pooled):
        raise NotEmptyError(f"the database {address.parse(url).database} holds data already; nothing was changed")
    await migrate(url, pooled=pooled)
    store = _store(address.parse(url, pooled=pooled), chain)
    try:
        await store.open()
        return await _fill(file, keys, header, store, at)
    finally:
        await store.close()


async def replacing(
    file: Path,
    keys: Keys,
    url: str,
    chain: Chain,
    at: datetime,
    *,
    back_up: Callable[[], Awaitable[str]],
    pooled: bool | None = None,
) -> Restored:
    """The same over data that is there: backed up by `back_up`, put aside, and let go of when the new is whole; raises likewise."""
    await read_through(file, keys, chain)
    if not await holds_data(url, chain, pooled=pooled):
        return await into_database(file, keys, url, chain, at, pooled=pooled)
    before = await back_up()
    try:
        await throwaway.put_aside(url, pooled=pooled)
    except throwaway.MayNotError:
        restored = await _in_place(file, keys, url, chain, at, pooled=pooled)
        return msgspec.structs.replace(restored, backup_of_replaced=before)
    try:
        restored = await into_database(file, keys, url, chain, at, pooled=pooled)
    except BaseException:
        await throwaway.bring_back(url, pooled=pooled)
        raise
    await throwaway.let_go(url, pooled=pooled)
    return msgspec.structs.replace(restored, backup_of_replaced=before)


async def _in_place(file: Path, keys: Keys, url: str, chain: Chain, at: datetime, *, pooled: bool | None) -> Restored:
    """For a role that owns this one schema and may make no other: emptied and filled in one transaction."""
    await migrate(url, pooled=pooled)
    store = _store(address.parse(url, pooled=pooled), chain)
    try:
        await store.open()
        return await _fill(file, keys, files.header(file, keys), store, at, load=store.replace)
    finally:
        await store.close()


async def holds_data(url: str, chain: Chain, *, pooled: bool | None = None) -> bool:
    """Whether a database has anything that a restore would harm; raises SchemaError for a schema that can't be judged, StoreError."""
    found = await plan(url, pooled=pooled)
    if found.problem:
        raise SchemaError(found.problem)
    if not found.database_exists or not found.current:
        return False
    store = _store(address.parse(url, pooled=pooled), chain)
    try:
        await store.open()
        await store.fit()
        return not is_empty(await store.position())
    finally:
        await store.close()


async def verify(file: Path, keys: Keys, url: str, chain: Chain, *, pooled: bool | None = None) -> Verified:
    """Restore into a throw-away database beside the one of `url`, compare all that is there, and check the audit.

    Where no database may be made, or `url` is empty, it is a throw-away SQLite store, and `where` says so. Raises StoreError where nothing can be said.
    """
    try:
        header, trailer = await files.check(file, keys)
        check_schema(file, header)
    except BackupError as error:
        return Verified(name=file.name, ok=False, where="file", problem=str(error))
    whole = Verified(name=file.name, ok=True, where="file", records=trailer.records, made_at=header.made_at)
    try:
        if not url:
            raise SchemaError("the installation has no database")
        async with throwaway.throwaway_database(url, pooled=pooled) as there:
            await migrate(there, pooled=pooled)
            store = _store(address.parse(there, pooled=pooled), chain)
            return await _tried(file, keys, store, chain, whole, trailer.kinds)
    except SchemaError as error:
        # Somewhere it is restored in any case: SQLite needs nobody's leave.
        with tempfile.TemporaryDirectory(prefix="layout-mutation-verify-") as folder:
            tried = await _tried(
                file, keys, LocalStore(Path(folder) / "store", chain=chain), chain, whole, trailer.kinds
            )
        return msgspec.structs.replace(tried, where="sqlite", remark=f"restored into SQLite: {error}")


async def _tried(
    file: Path, keys: Keys, store: Store, chain: Chain, whole: Verified, kinds: dict[str, Sum]
) -> Verified:
    try:
        await store.open()
        async with aclosing(files.records(file, keys)) as records:
            await store.load(records)
        found = await _kinds_of(store)
        report = await verify_audit(store, chain)
    except BackupError as error:
        return msgspec.structs.replace(whole, ok=False, where="database", problem=str(error))
    finally:
        await store.close()
    differing = sorted(kind for kind in kinds.keys() | found.keys() if kinds.get(kind) != found.get(kind))
    problem = f"restored, it is not what was backed up: {', '.join(differing)}" if differing else ""
    # A database may have been tampered with before it was backed up: that is no fault of the backup's, and still a problem.
    if not problem and not report.sound:
        first = report.faults[0].detail if report.faults else ""
        problem = f"the audit in it is not sound: {report.faults_total} faults, the first: {first}"
    return msgspec.structs.replace(whole, ok=not problem, where="database", problem=problem, audit_sound=report.sound)


async def _kinds_of(store: Store) -> dict[str, Sum]:
    account = Account(b"")
    async for record in store.records():
        account.add(kind_of(record), encode(record), 1)
    return account.trailer().kinds


def is_empty(position: Position) -> bool:
    """Whether nobody has written yet."""
    return position.installation is None and position.audit_number == 0 and position.table_version == 0


def check_schema(file: Path, header: Header) -> None:
    """Raise BackupError for a file of a newer schema than this program's."""
    known = len(migrations.read())
    if header.schema > known:
        raise BackupError(
            f"{file.name} is of schema {header.schema}, and this program knows {known}: run the program that made it ({header.program}) or a newer one"
        )


def _store(place: address.Address, chain: Chain) -> PostgresStore:
    return PostgresStore(place, connections_max=CONNECTIONS_MAX, chain=chain)


__all__ = [
    "NotEmptyError",
    "Restored",
    "StoreError",
    "Verified",
    "into_database",
    "into_store",
    "read_through",
    "replacing",
    "verify",
]
