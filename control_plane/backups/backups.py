"""The backups of an installation: made, listed, verified, rotated, and kept account of on a shelf.

Counterpart: the API and the command line ask; `app.py` has it done regularly. Never: a backup
removed by itself before a newer one was read to its end.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from control_plane.alerts import Alerts, Severity
from control_plane.backups import files, restoring
from control_plane.backups.configured import Configured
from control_plane.backups.lines import FORMAT, BackupError, Header, PlaceError
from control_plane.backups.occasions import BEFORE_MIGRATION, SCHEDULED, is_apart, occasion_of
from control_plane.backups.places import Found, Place, name_of
from control_plane.backups.restoring import Verified
from control_plane.backups.rotation import superfluous
from control_plane.schema import address
from control_plane.schema import files as migrations
from control_plane.schema.runner import SchemaError
from control_plane.store import Chain, Shelf, Store, StoreError
from control_plane.store.mirrored import standing_of
from control_plane.store.postgres import PostgresStore
from service.engine import engine

LATEST = "latest"
OLD_AFTER = 2.5  # times the interval
FAILED, OLD, UNVERIFIED, REMOTE_AWAY = "backup_failed", "backup_old", "backup_unverified", "backup_remote_away"

log = structlog.get_logger("backups")


class NoBackupError(BackupError):
    """There is none."""


class Backup(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of one backup."""

    name: str
    made_at: datetime
    size: int
    """Bytes of the file."""
    places: tuple[str, ...] = ()
    """`folder`, `remote`: where it is now."""
    occasion: str = ""
    """Empty where the shelf does not know it, and its name does not say it."""
    apart: bool = False
    """Whether it is kept apart from those that rotate, within a bound of its own."""
    installation: str = ""
    """First eight digits of the id."""
    change: int = 0
    schema: int = 0
    records: int = 0
    audit_number: int = 0
    """Number of its newest audit entry."""
    audit_hash: bytes = b""
    """Hash of that entry: an audit that has another one there was tampered with."""
    encrypted: bool = False
    verified_at: datetime | None = None
    verified: Verified | None = None


async def make(store: Store, kept: Configured, *, occasion: str, at: datetime, schema: int | None = None) -> Backup:
    """Make a file, read it back, and bring it to the other place; raises BackupError and StoreError.

    `schema`: number of the newest migration of the store that is read, the program's own where it is left out.
    """
    position = await store.position()
    header = Header(
        format=FORMAT,
        program=engine(),
        schema=len(migrations.read()) if schema is None else schema,
        made_at=at,
        occasion=occasion,
        installation=position.installation,
        position=position,
    )
    encrypted = bool(kept.keys.recipients)
    path = kept.folder.path / name_of(header, encrypted=encrypted, provisional=standing_of(store).outbox > 0)
    try:
        trailer = await files.write(path, header, store.records(), kept.keys)
    except OSError as error:
        raise PlaceError(f"{error.filename or path}: {error.strerror or error}") from error
    if kept.keys.identities or not encrypted:
        _, read = await files.check(path, kept.keys)
        if read != trailer:
            raise BackupError(f"{path} does not say what was written to it: look at the disk")
    return Backup(
        name=path.name,
        made_at=at,
        size=path.stat().st_size,
        places=("folder",),
        occasion=occasion,
        apart=is_apart(occasion),
        installation="" if position.installation is None else position.installation.id[:8],
        change=trailer.change,
        schema=header.schema,
        records=trailer.records,
        audit_number=trailer.audit_number,
        audit_hash=trailer.audit_hash,
        encrypted=encrypted,
    )


async def listed(kept: Configured) -> tuple[list[Backup], str]:
    """The backups of all places, the newest first, and what is wrong with the remote one, if it is."""
    found: dict[str, tuple[Found, tuple[str, ...]]] = {
        one.name: (one, ("folder",)) for one in await kept.folder.found()
    }
    problem = ""
    try:
        for one in await kept.remote.found() if kept.remote is not None else ():
            there = found.get(one.name, (one, ()))[1]
            found[one.name] = (one, (*there, "remote"))
    except BackupError as error:
        problem = str(error)
    known = [_of_place(one, places) for one, places in found.values()]
    return sorted(known, key=lambda one: (one.made_at, one.change), reverse=True), problem


def before_migration(
    url: str, kept: Configured, chain: Chain, clock: Callable[[], datetime], *, pooled: bool | None = None
) -> Callable[[int], Awaitable[None]]:
    """What `runner.migrate` awaits: data that is there is backed up first. Where that fails nothing is migrated (SchemaError)."""

    async def back_up(schema: int) -> None:
        store = PostgresStore(address.parse(url, pooled=pooled), connections_max=2, chain=chain)
        try:
            await store.open()
            await store.fit()
            if not restoring.is_empty(await store.position()):
                await make(store, kept, occasion=BEFORE_MIGRATION, at=clock(), schema=schema)
        except BackupError as error:
            raise SchemaError(
                f"nothing was migrated, because no backup could be made before: {error}. Make room, or set CONTROL_PLANE_BACKUP_DIR; "
                "`layout-mutation migrate --without-backup` goes on without one"
            ) from error
        finally:
            await store.close()

    return back_up


@asynccontextmanager
async def local_file(kept: Configured, name: str) -> AsyncIterator[Path]:
    """A backup as a file of this machine, fetched for so long where it is only remote; raises BackupError."""
    backups, problem = await listed(kept)
    if name == LATEST and backups:
        name = backups[0].name
    backup = next((one for one in backups if one.name == name), None)
    if backup is None:
        more = f" ({problem})" if problem else ""
        raise BackupError(f"there is no backup {name} here{more}; `layout-mutation backup list` shows those that are")
    if "folder" in backup.places or kept.remote is None:
        yield kept.folder.path / name
        return
    with tempfile.TemporaryDirectory(prefix="layout-mutation-") as folder:
        yield await kept.remote.fetch(name, Path(folder))


@asynccontextmanager
async def given_file(kept: Configured, text: str) -> AsyncIterator[Path]:
    """The same for a person at this machine, who may also name any file."""
    if await asyncio.to_thread(Path(text).is_file):
        yield Path(text)
        return
    async with local_file(kept, text) as file:
        yield file


class Backups:
    """The backups of one installation, as the service has them."""

    def __init__(self, store: Store, kept: Configured, alerts: Alerts, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._alerts = alerts
        self._clock = clock
        self._busy = asyncio.Lock()
        self.kept = kept

    @property
    def every(self) -> timedelta | None:
        """How often one of all instances makes a backup; None for never."""
        return self.kept.every

    async def make(self, occasion: str) -> Backup:
        """A backup of all there is now, in all places, and the old ones gone; raises BackupError and StoreError."""
        async with self._busy:
            try:
                backup = await make(self._store, self.kept, occasion=occasion, at=self._clock())
            except BackupError as error:
                advice = "Do what the detail says, then make one by hand: `layout-mutation backup`."
                self._alerts.report(FAILED, Severity.CRITICAL, "No backup could be made.", advice, str(error))
                raise
            backup = await self._sent(backup)
            await self._keep(backup)
            self._alerts.settle(FAILED)
            self._alerts.settle(OLD)
            await self._rotate(backup)
            return backup

    async def scheduled(self) -> None:
        """What one of all instances does regularly; raises as `make` does."""
        backup = await self.make(SCHEDULED)
        log.info("backup_made", name=backup.name, size=backup.size, records=backup.records, places=backup.places)

    async def all(self) -> list[Backup]:
        """Those that are there, the newest first, with what the shelf knows of them; raises BackupError, StoreError."""
        backups, problem = await listed(self.kept)
        self._tell_remote(problem)
        known = await self._known()
        return [
            msgspec.structs.replace(known[one.name], places=one.places, size=one.size) if one.name in known else one
            for one in backups
        ]

    async def remove(self, name: str) -> tuple[str, ...]:
        """Let go of one in all places; those where it was. Raises BackupError, also where there is none, and StoreError."""
        async with self._busy:
            backups, problem = await listed(self.kept)
            backup = next((one for one in backups if one.name == name), None)
            if backup is None or problem:
                raise BackupError(problem or f"there is no backup {name} here; name one from the list in full")
            if self.kept.remote is not None and self.kept.remote.word in backup.places:
                await self.kept.remote.remove(name)
            await self.kept.folder.remove(name)
            await self._forget([name])
            return backup.places

    @asynccontextmanager
    async def newest(self) -> AsyncIterator[Path]:
        """The newest backup of this installation as a file; raises BackupError, and NoBackupError where there is none, StoreError."""
        whose = (await self._store.position()).installation
        backups, problem = await listed(self.kept)
        ours = [one.name for one in backups if whose is not None and one.installation == whose.id[:8]]
        if not ours:
            raise NoBackupError(problem or "there is no backup of this installation here")
        async with local_file(self.kept, ours[0]) as file:
            yield file

    async def verify(self, name: str, url: str, chain: Chain, *, pooled: bool | None = None) -> Verified:
        """Try a backup, or the `latest`, and keep account of it; raises BackupError and StoreError."""
        async with local_file(self.kept, name) as file:
            verified = await restoring.verify(file, self.kept.keys, url, chain, pooled=pooled)
        backup = next((one for one in await self.all() if one.name == verified.name), None)
        if backup is not None:
            await self._keep(msgspec.structs.replace(backup, verified=verified, verified_at=self._clock()))
        if verified.ok:
            self._alerts.settle(UNVERIFIED)
        else:
            advice = "Make another backup now (`layout-mutation backup`) and verify it; look at the disk and at who may write there."
            self._alerts.report(
                UNVERIFIED,
                Severity.CRITICAL,
                f"The backup {verified.name} can't be relied on.",
                advice,
                verified.problem,
            )
        return verified

    async def try_latest(self, url: str, chain: Chain, *, pooled: bool | None = None) -> None:
        """What is done regularly with the newest, where it can be read here; raises as `verify` does."""
        if await self.kept.folder.found() and (self.kept.keys.identities or not self.kept.keys.recipients):
            await self.verify(LATEST, url, chain, pooled=pooled)

    async def look(self) -> None:
        """Report a newest backup that is too old, or a place that is away; raises BackupError and StoreError."""
        backups, problem = await listed(self.kept)
        self._tell_remote(problem)
        if self.kept.every is None:
            return
        age = self._clock() - backups[0].made_at if backups else None
        whose = (await self._store.position()).installation
        if age is None and whose is not None and self._clock() - whose.created_at < self.kept.every * OLD_AFTER:
            return  # it has only begun: the first one is on its way
        if age is None or age > self.kept.every * OLD_AFTER:
            what = (
                "There is no backup."
                if age is None
                else f"The newest backup is {age.total_seconds() / 3_600:.0f} hours old."
            )
            advice = "Make one: `layout-mutation backup`; its output and the log say what is in the way."
            self._alerts.report(OLD, Severity.WARNING, what, advice)
        else:
            self._alerts.settle(OLD)

    async def _sent(self, backup: Backup) -> Backup:
        if self.kept.remote is None:
            return backup
        try:
            await self.kept.remote.put(self.kept.folder.path / backup.name)
        except BackupError as error:
            self._tell_remote(str(error))
            return backup
        self._tell_remote("")
        return msgspec.structs.replace(backup, places=("folder", "remote"))

    async def _rotate(self, newest: Backup) -> None:
        """Let the old ones go, here and there; the newest was read to its end a moment ago."""
        places: list[Place] = [self.kept.folder, *([] if self.kept.remote is None else [self.kept.remote])]
        gone = set[str]()
        known = await self._known()
        for place in places:
            try:
                found = [one for one in await place.found() if one.installation == newest.installation]
                ours = [_with_occasion(one, known) for one in found]
                if newest.name not in {one.name for one in ours}:
                    continue  # it did not get there: what is there is the best that is there
                for one in superfluous(ours, self.kept.keep):
                    if one.name != newest.name:  # its date says otherwise where the clock was set back
                        await place.remove(one.name)
                        gone.add(one.name)
            except BackupError as error:
                self._tell_remote(str(error))
        if gone:
            await self._forget(sorted(gone))

    async def _known(self) -> dict[str, Backup]:
        """What the shelf has of each, by name."""
        known = dict[str, Backup]()
        for thing in await self._store.shelf(Shelf.BACKUP):
            backup = msgspec.json.decode(thing.content, type=Backup)
            occasion = occasion_of(backup.occasion)
            known[thing.id] = msgspec.structs.replace(backup, occasion=occasion, apart=is_apart(occasion))
        return known

    async def _forget(self, names: list[str]) -> None:
        async with self._store.transaction() as transaction:
            for name in names:
                await transaction.discard(Shelf.BACKUP, name, self._clock())

    async def _keep(self, backup: Backup) -> None:
        async with self._store.transaction() as transaction:
            await transaction.keep(Shelf.BACKUP, backup.name, msgspec.json.encode(backup), self._clock())

    def _tell_remote(self, problem: str) -> None:
        if problem:
            advice = "Backups stay on this machine meanwhile. Check CONTROL_PLANE_BACKUP_URL, its endpoint and its credentials."
            self._alerts.report(
                REMOTE_AWAY, Severity.WARNING, "Backups don't reach their second place.", advice, problem
            )
        else:
            self._alerts.settle(REMOTE_AWAY)


def _with_occasion(one: Found, known: dict[str, Backup]) -> Found:
    """What the shelf knows counts where the name says nothing: names did not say it at first."""
    if one.occasion or one.name not in known:
        return one
    return msgspec.structs.replace(one, occasion=known[one.name].occasion)


def _of_place(one: Found, places: tuple[str, ...]) -> Backup:
    return Backup(
        name=one.name,
        made_at=one.made_at,
        size=one.size,
        places=places,
        installation=one.installation,
        change=one.change,
        occasion=one.occasion,
        apart=is_apart(one.occasion),
        encrypted=one.name.endswith(".age"),
    )


__all__ = ["Backup", "BackupError", "Backups", "StoreError", "listed", "local_file", "make"]
