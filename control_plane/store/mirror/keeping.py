"""The mirror's file: opened, filled, followed, and put aside when it is damaged.

A mirror that can't be written is told of and never in the way: the database has what was saved, and the mirror follows as
soon as it can. Counterpart: `control_plane.store.mirrored` says when. Never: a file that is deleted.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec
import structlog
import uuid_utils

from control_plane.alerts import Alerts, Severity
from control_plane.schema.healing import Copy
from control_plane.schema.runner import SchemaError
from control_plane.store.interface import AwayError, StoreError
from control_plane.store.local import Damaged, LocalStore, LocalTransaction, Provisional, Salvaged
from control_plane.store.mirror.settled import settled
from control_plane.store.mirror.sides import Primary
from control_plane.store.mirror.spare import SUFFIX, Spare
from control_plane.store.records import MADE_AGAIN, AuditRecord, Kept, Record, Shelf
from control_plane.store.retention import MARKS_KEPT

FILE_NAME = "mirror.db"
FILLED_AT_ONCE = 20_000  # changes; a larger mirror is filled beside the work, and writers don't wait for it
UNWRITABLE, DAMAGED, BEHIND = "mirror_unwritable", "mirror_damaged", "mirror_behind"
NOT_GIVEN_BACK = "rows_not_given_back"
SUFFIXES = ("", "-wal", "-shm")
UNREAD = ".unread"
"""At the end of the name of a damaged file whose outbox was not looked for yet."""

log = structlog.get_logger("mirror")


class MirrorFile:
    """One LocalStore, and another one in its place when it is damaged."""

    def __init__(
        self, path: Path, make: Callable[[Path], LocalStore], alerts: Alerts, *, clock: Callable[[], datetime]
    ) -> None:
        self._path = path
        self._make = make
        self._alerts = alerts
        self._clock = clock
        self.spare = Spare(path.with_name(path.name + SUFFIX))
        self._filling: asyncio.Task[None] | None = None
        self._damaged = False
        self._replayed: Sequence[str] = ()
        self._anew = False
        """Nothing of what it has counts any more."""
        self._void, self._set_back = False, False
        """Nothing has been filled into it yet; it lacks changes that were acknowledged and are in their second copy."""
        self.store = make(path)
        self.behind = False
        """Whether it lacks something that the database has."""
        self.gave_back = False
        """Rows of this mirror went into tables that another instance had made again."""
        self._name = str(uuid_utils.uuid4())
        self._given = 0
        """Number of the change that said so last."""
        self.makeshift = False
        """Whether it lies where nobody looks for it at the next start: good to read from, and for no change that only it has."""

    @property
    def broken(self) -> bool:
        """Whether what it has says nothing about the database."""
        return self._damaged or self._anew

    @property
    def trusted(self) -> bool:
        """Whether it has what it acknowledged: else it would say that nothing is there, or what was before."""
        return not (self._void or self._set_back)

    def answering(self) -> LocalStore:
        """The file, to answer from; raises AwayError while it is not trusted."""
        if not self.trusted:
            raise AwayError("the mirror's file was damaged, and the database has not been read again yet; try again")
        return self.store

    def whole(self) -> None:
        """What was only in the second copy is in the database, and in no file any more."""
        self._set_back = False

    async def open(self) -> None:
        """Open it, a new one in place of a damaged one, or one for this run alone where there can be none."""
        try:
            try:
                await self.store.open()
                await self.store.position()
            except Damaged as error:
                await self._put_aside(error)
            await self._salvage()  # who put one aside may have been killed before
            self._set_back = await self._lacks_spared()
        except (StoreError, SchemaError) as error:
            self._fell_behind(error)
            await self.store.close()
            self._path = Path(await asyncio.to_thread(tempfile.mkdtemp)) / FILE_NAME
            self.store, self.makeshift = self._make(self._path), True
            await self.store.open()

    async def _lacks_spared(self) -> bool:
        """Whether the file is sound, and of before a change that was acknowledged: as a log that lost blocks leaves it."""
        number = (await self.store.position()).audit_number
        waiting = {one.changeset for one in await self.store.outbox()}
        return any(one.changeset not in waiting and _audited(one) > number for one in await self.spare.read())

    async def close(self) -> None:
        """Let go of it."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait([self._filling])
        await self.store.close()

    @asynccontextmanager
    async def provisional(self) -> AsyncIterator[LocalTransaction]:
        """A transaction whose changes wait for the database: in the file's outbox, and once more beside it. Raises StoreError."""
        async with self.store.transaction(provisional=True) as transaction:
            yield transaction
        if not transaction.written:
            return
        written = tuple(transaction.written)
        one = Provisional(changeset=transaction.changeset, base=transaction.base, records=written, at=self._clock())
        try:
            await self.spare.add(one)
        except OSError as error:
            self._report_unwritable(error.strerror or type(error).__name__)

    async def take(self, written: Sequence[Record]) -> None:
        """Write what a transaction wrote, which follows on what the mirror has; never raises StoreError."""
        try:
            await self.store.load(_each(written))
        except StoreError as error:
            self._fell_behind(error)

    async def follow(self, primary: Primary) -> None:
        """Write what the database has and the mirror lacks; raises AwayError where the database is away. Much goes on beside the work."""
        if self._filling is not None and not self._filling.done():
            return
        await self.give_back(primary)
        await self._bring_level(primary)

    async def give_back(self, primary: Primary) -> None:
        """Put what the mirror has into tables that were lost and made again, by whomever: a copy of theirs may lack what came a moment
        before. Only for a database that has the mirror's history. Raises AwayError; what else goes wrong is told."""
        try:
            await self._give_back(primary)
        except AwayError:
            raise
        except StoreError as error:
            self._alerts.report(
                NOT_GIVEN_BACK,
                Severity.CRITICAL,
                "Tables of the database were made again, and what this instance's mirror has of their rows could not be put back.",
                "Do what the detail says; `layout-mutation export --from local:FILE` takes everything out of a mirror's file.",
                str(error),
            )

    async def _give_back(self, primary: Primary) -> None:
        theirs = await primary.kept(Shelf.QUARANTINE, MADE_AGAIN)
        if theirs is None or theirs.change <= self._given or self.broken:
            return
        ours = await self.store.kept(Shelf.QUARANTINE, MADE_AGAIN)
        stale = await self.store.is_older(self._clock() - MARKS_KEPT)  # it may have what was discarded since
        known_here = ours is not None and ours.change >= theirs.change
        if not (stale or known_here or _is_by(theirs, self._name)):
            whose, known = (await self.store.position()).installation, (await primary.position()).installation
            if whose is None or known is None or whose.id != known.id:
                return
            count = await primary.load(self.settled())
            log.warning("rows_given_back", records=count)
            self.gave_back = True
        self._given = theirs.change

    async def fill(self, primary: Primary, *, anew: bool, replayed: Sequence[str] = ()) -> None:
        """Bring it level with the database; `anew`: of what it has nothing counts. A large one goes on beside the work.

        `replayed`: changesets that the database has now, and that leave the outbox when the mirror is level.
        """
        # What was discarded while nobody looked may be forgotten by now, and would stay here for ever.
        with suppress(StoreError):
            anew = anew or await self.store.is_older(self._clock() - MARKS_KEPT)
        self._anew, self.behind, self._replayed = self._anew or anew, True, replayed
        await self._bring_level(primary)

    async def _bring_level(self, primary: Primary) -> None:
        """At once, or beside the work where that would keep writers waiting; never raises StoreError but AwayError."""
        if not self.behind or await self._lacks(primary) <= FILLED_AT_ONCE:
            await self._try(primary)
            return
        self._alerts.report(
            BEHIND,
            Severity.WARNING,
            "The mirror beside this instance is being filled. Until it is level, what is saved is in the database alone.",
            "Nothing has to be done: this settles by itself. If it goes on for minutes, see whether the disk of CONTROL_PLANE_DATA_DIR is slow.",
        )
        self._filling = asyncio.create_task(self._fill(primary), name="fill-mirror")

    async def _lacks(self, primary: Primary) -> int:
        """How many changes it lacks, at most; 0 where that can't be found out, which whoever tries finds out too."""
        try:
            there = await primary.newest_change()
            return there if self.broken else there - (await self.store.position()).change
        except AwayError:
            raise
        except StoreError:
            return 0

    async def mend_if_damaged(self) -> None:
        """Put a damaged file aside and open a new one; raises StoreError."""
        if not self._damaged:
            try:
                await self.store.position()
                await self.store.outbox()
                return
            except Damaged as error:
                self._fell_behind(error)
        await self._put_aside(None)

    async def copy_of(self, installation_id: str) -> Copy | None:
        """What it has of an installation; None where it is of none, or of another one."""
        if self.broken:
            return None
        ours = (await self.store.position()).installation
        if ours is None or ours.id != installation_id:
            return None
        log.warning("rows_come_from_the_mirror", installation=installation_id)
        return Copy(self._name, self.settled())

    async def settled(self) -> AsyncIterator[Record]:
        """What the file has that the database has had before; raises StoreError, and knows a damaged file from then on."""
        try:
            async for record in settled(self.store):
                yield record
        except Damaged as error:
            self._fell_behind(error)
            raise

    async def _fill(self, primary: Primary) -> None:
        with suppress(AwayError):  # whoever follows next begins again
            await self._try(primary)

    async def _try(self, primary: Primary) -> None:
        try:
            if self._damaged:
                await self._put_aside(None)
            theirs = await primary.position()
            if self._anew and theirs.installation is not None:
                await self.store.replace(primary.records(), theirs.installation)
            else:
                await self.store.load(primary.records(await self.store.position()), theirs.installation)
            await self.store.settled(*self._replayed)
        except AwayError:
            self.behind = True
            raise
        except StoreError as error:
            self._fell_behind(error)
            return
        if self.behind:
            self._alerts.settle(UNWRITABLE)
            self._alerts.settle(BEHIND)
        self._anew, self._void, self.behind, self._replayed = False, False, False, ()

    def _fell_behind(self, error: StoreError | SchemaError) -> None:
        if not self.behind:
            log.warning("mirror_fell_behind", problem=str(error))
        self.behind = True
        self._damaged = self._damaged or isinstance(error, Damaged)
        if not self._damaged:
            self._report_unwritable(str(error))

    def _report_unwritable(self, problem: str) -> None:
        self._alerts.report(
            UNWRITABLE,
            Severity.WARNING,
            "The mirror beside this instance can't be written.",
            "See whether the disk of CONTROL_PLANE_DATA_DIR is full or read-only. The mirror follows by itself as soon "
            "as it can be written; until then an outage of the database would be served from an older state.",
            problem,
        )

    async def _put_aside(self, error: StoreError | None) -> None:
        await self.store.close()
        await self._rename(
            self._path, self._path.with_name(f"{self._path.name}.damaged-{self._clock():%Y%m%dT%H%M%S}{UNREAD}")
        )
        self.store = self._make(self._path)
        await self.store.open()
        self._damaged, self._anew, self.behind = False, True, True
        self._void, self._set_back = True, True
        await self._salvage("" if error is None else str(error))

    async def _salvage(self, problem: str = "") -> None:
        """Let changes that wait in files that were put aside wait in the new one, and tell of the files."""
        for unread in sorted(self._path.parent.glob(f"{self._path.name}.damaged-*{UNREAD}")):
            spared = await self.spare.read()
            found = await self.store.salvage(unread, spared)
            if spared and not self.spare.damaged:
                found = Salvaged(found.changesets)  # what could not be read is among them
            aside = unread.with_name(unread.name.removesuffix(UNREAD))
            await self._rename(unread, aside)
            log.warning("mirror_put_aside", file=str(aside), salvaged=len(found.changesets), lost=found.lost)
            self._tell_damaged(aside, found, problem)

    async def _rename(self, one: Path, other: Path) -> None:
        """The file last: as long as it has its name, the rest has to be there. Raises StoreError."""
        for suffix in reversed(SUFFIXES):
            source = one.with_name(one.name + suffix)
            try:
                await asyncio.to_thread(source.replace, other.with_name(other.name + suffix))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreError(f"{source} can't be renamed: {error.strerror or type(error).__name__}") from error

    def _tell_damaged(self, aside: Path, found: Salvaged, problem: str) -> None:
        lost = "; ".join(found.lost)
        self._alerts.report(
            DAMAGED,
            Severity.CRITICAL if lost else Severity.WARNING,
            "The mirror's file was damaged. It was put aside, and a new one is filled from the database."
            + (" Changes that waited in it could not be read." if lost else ""),
            "See whether the disk of CONTROL_PLANE_DATA_DIR is sound. "
            + (
                "If changes were made while the database was away, compare with the audit that you remember, and keep the file for "
                "whoever can read SQLite (`sqlite3 FILE .recover`)."
                if lost
                else "Nothing that waited in it is missing: the file can be deleted."
            ),
            f"{aside}{problem and ': '}{problem}; {len(found.changesets)} changes that waited were read"
            + (f"; not read: {lost}" if lost else ""),
        )


def _is_by(mark: Kept, name: str) -> bool:
    """Whether tables that were made again were filled from the copy of that name."""
    content = msgspec.json.decode(mark.content)
    return isinstance(content, dict) and content.get("by") == name


def _audited(one: Provisional) -> int:
    """Number of a changeset's last audit entry; 0 for none."""
    return max((record.entry.number for record in one.records if isinstance(record, AuditRecord)), default=0)


async def _each(records: Sequence[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record
