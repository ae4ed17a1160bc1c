"""A database that is there again, or another one: what is done with it, and what people are told.

Counterpart: `identity.py` judges what it is; `control_plane.store.mirrored` calls this whenever its database came back or no
longer is where it was. Never: data of two installations in one place, and never a change that only one side knew thrown away.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime

import structlog
import uuid_utils

from control_plane.alerts import Alerts, Severity
from control_plane.intent import Action
from control_plane.store.interface import MovedError, Reader, StoreError
from control_plane.store.local import LocalStore, Provisional
from control_plane.store.mirror.conflicts import tell
from control_plane.store.mirror.identity import Facts, Verdict, judge, same_entry
from control_plane.store.mirror.keeping import MirrorFile
from control_plane.store.mirror.replay import Replay, since, system_entry
from control_plane.store.mirror.settled import settled
from control_plane.store.mirror.sides import Approve, Primary, Sources, entry
from control_plane.store.mirror.spare import of_others
from control_plane.store.records import Installation, Position, Record, Shelf

TRIES = 5  # another instance may be faster each time; then there is nothing left to do
FOREIGN = "foreign_database"
SPARED = "mirror_lost_changes"
RESTORED, SET_BACK, PARTED = "database_restored", "database_set_back", "histories_parted"

FROM_THE_MIRROR = (
    "Nothing that was acknowledged is lost. Find out who emptied, replaced or set back the database; whoever restored a backup on "
    "purpose, to undo something, rolls back the documents in question instead."
)
WITHOUT_A_MIRROR = "What is newer than that is lost. Find out who emptied the database, and what became of the mirrors."

log = structlog.get_logger("mirror")


class ForeignError(StoreError):
    """The database holds another installation's data; it is left as it is."""


class Recovery:
    """Brings a database and its mirror together."""

    def __init__(
        self,
        primary: Primary,
        alerts: Alerts,
        *,
        clock: Callable[[], datetime],
        approve: Approve,
        sources: Sources,
    ) -> None:
        self._primary = primary
        self._alerts = alerts
        self._clock = clock
        self._approve = approve
        self._sources = sources
        self.foreign = False
        """Whether the database was somebody else's at the last look."""

    async def run(self, mirror: LocalStore) -> Verdict:
        """Judge and act until both agree. FOUND, ADOPT, REBASE and PARTED leave the mirror to be filled anew, FOLLOW to be brought level.

        Raises:
            ForeignError: somebody else's data.
            StoreError: the database went away again, or the mirror can't be read.
        """
        await self._put_back_the_audit(mirror)
        for _ in range(TRIES):
            waiting = await mirror.outbox()
            facts = await self._facts(mirror, waiting)
            verdict = judge(facts)
            log.info("database_judged", verdict=verdict, outbox=len(waiting))
            try:
                await self._act(verdict, facts, mirror, waiting)
            except MovedError:
                continue
            if verdict is not Verdict.FOREIGN:
                self._alerts.settle(FOREIGN)
            return verdict
        raise StoreError("other instances keep writing; trying again")

    async def bring_spared(self, file: MirrorFile, replayed: Sequence[str]) -> None:
        """Bring over what the mirror had acknowledged and no longer has, being damaged or gone; the copy of it is let go of then.

        `replayed`: changesets that came out of the mirror itself. Raises StoreError.
        """
        brought = set(replayed)
        waiting = [one for one in await file.spare.read() if one.changeset not in brought]
        known = (await self._primary.position()).installation
        if waiting and known is not None and not of_others(waiting, known.id):
            replay = Replay(self._primary, self._primary, self._approve, self._clock)  # it alone knows what was before
            done = await replay.run(waiting)
            log.warning("outbox_spared", applied=done.applied, known=done.known, conflicts=done.conflicts)
            if done.conflicts:
                tell(self._alerts, len(await self._primary.shelf(Shelf.CONFLICT)))
            if done.applied or done.conflicts:
                self._tell_spared(done.applied, done.conflicts)
            await file.follow(self._primary)
        elif waiting:
            await self._put_spare_aside(file, "aside", "outbox_of_others")
        if file.spare.damaged:
            await self._put_spare_aside(file, "damaged", "outbox_copy_damaged")
        await file.spare.clear()
        file.whole()

    async def _put_spare_aside(self, file: MirrorFile, word: str, event: str) -> None:
        """Keep it for a person; a folder that can't be written is no reason to do without the database."""
        try:
            kept = await file.spare.put_aside(f".{word}-{self._clock():%Y%m%dT%H%M%S}")
        except OSError as error:
            kept = None
            log.warning("outbox_copy_stays", problem=error.strerror or type(error).__name__)
        log.warning(event, kept=str(kept))

    def _tell_spared(self, applied: int, conflicts: int) -> None:
        self._alerts.report(
            SPARED,
            Severity.WARNING,
            "The mirror had lost changes that were made while the database was away. They came out of their second copy.",
            "Nothing that was acknowledged is lost. See whether the disk of CONTROL_PLANE_DATA_DIR is sound.",
            f"Brought over: {applied}; conflicts: {conflicts}",
        )

    async def _put_back_the_audit(self, mirror: LocalStore) -> None:
        """A database without the entry that its own ledger names has lost rows, not gone another way: they come from the mirror."""
        theirs, ours = await self._primary.position(), await mirror.position()
        if theirs.installation is None or ours.installation is None or theirs.installation.id != ours.installation.id:
            return
        if theirs.audit_number and await entry(self._primary, theirs.audit_number) is None:
            count = await self._primary.load(settled(mirror))
            log.warning("audit_put_back", number=theirs.audit_number, records=count)

    async def look(self, theirs: Position, reader: Reader, mirror: LocalStore) -> Verdict:
        """What a database is that was ours a moment ago; the outbox is empty. `reader`: the database."""
        ours = await mirror.position()
        facts = Facts(
            theirs=theirs,
            newest=theirs.change,
            ours=ours,
            base=ours,
            waiting=False,
            theirs_in_base=await _holds(mirror, reader, theirs, ours),
            base_in_theirs=await _holds(reader, mirror, ours, theirs),
        )
        return judge(facts)

    async def _facts(self, mirror: LocalStore, waiting: Sequence[Provisional]) -> Facts:
        theirs, newest = await self._primary.position(), await self._primary.newest_change()
        ours = await mirror.position()
        base = waiting[0].base if waiting else ours
        return Facts(
            theirs=theirs,
            newest=newest,
            ours=ours,
            base=base,
            waiting=bool(waiting),
            theirs_in_base=await _holds(mirror, self._primary, theirs, base),
            base_in_theirs=await _holds(self._primary, mirror, base, theirs),
        )

    async def _act(self, verdict: Verdict, facts: Facts, mirror: LocalStore, waiting: Sequence[Provisional]) -> None:
        if verdict is Verdict.FOUND:
            await self._found(facts)
            await self._take_up(waiting)
        elif verdict is Verdict.ADOPT:
            await self._primary.found(self._new_installation())
            await self._take_up(waiting)
        elif verdict is Verdict.FOLLOW:
            pass  # the mirror is brought level by whoever keeps its file, and is in nobody's way where it can't be
        elif verdict is Verdict.REPLAY:
            await self._primary.load(_all_of(waiting), onto=facts.theirs)
            await _settle(mirror, waiting)
            log.info("outbox_replayed", changesets=len(waiting))
        elif verdict is Verdict.RESTORE:
            await self._bring(facts, mirror, None)
        elif verdict is Verdict.ADVANCE:
            await self._bring(facts, mirror, facts)
        elif verdict is Verdict.REBASE:
            await self._rebase(mirror, waiting)
        elif verdict is Verdict.PARTED:
            await self._parted(facts, mirror)
        else:
            ours, theirs = facts.ours.installation or facts.base.installation, facts.theirs.installation
            self._refuse("" if ours is None else ours.id, "nobody" if theirs is None else theirs.id, mirror)

    async def _found(self, facts: Facts) -> None:
        """Neither side knows anything: restore from where something is left, or begin."""
        for ask in self._sources:
            source = await ask()
            if source is not None:
                await self._primary.load(source.records(), _next_epoch(source.installation), onto=facts.theirs)
                await self._tell_restored(source.name, "The database and its mirror were empty.", WITHOUT_A_MIRROR)
                return
        known = facts.base.installation
        await self._primary.found(self._new_installation() if known is None else _next_epoch(known))

    async def _take_up(self, salvaged: Sequence[Provisional]) -> None:
        """What waited in a damaged mirror: there is nothing left of what it was made from but the database itself."""
        if salvaged:
            await self._rebase(self._primary, salvaged)

    async def _bring(self, facts: Facts, mirror: LocalStore, behind: Facts | None) -> None:
        """Write what the mirror has into the database, all of it or what came after where it is."""
        ours = facts.ours.installation
        if ours is None:
            raise StoreError("the mirror does not know whose data it holds")
        theirs_too = facts.theirs.installation
        newer = theirs_too is not None and theirs_too.id == ours.id and theirs_too.epoch > ours.epoch
        named = _next_epoch(theirs_too if newer and theirs_too is not None else ours)
        after = None
        if behind is not None and theirs_too is not None:  # who lost its name may have lost anything else
            theirs = behind.theirs
            after = Position(None, behind.newest, theirs.audit_number, theirs.audit_hash, theirs.table_version)
        count = await self._primary.load(mirror.records(after), named, onto=facts.theirs)
        await mirror.load(_nothing(), named)
        await _settle(mirror, await mirror.outbox())
        log.warning("database_brought_forward", records=count, epoch=named.epoch)
        state = "was empty" if behind is None else "had been set back to an earlier state"
        word = RESTORED if behind is None else SET_BACK
        await self._tell_restored("the mirror of this instance", f"The database {state}.", FROM_THE_MIRROR, word)
        await mirror.load(self._primary.records(await mirror.position()))

    async def _tell_restored(self, source: str, found: str, advice: str, word: str = RESTORED) -> None:
        async with self._primary.transaction() as transaction:
            position = await transaction.position()
            known = position.installation
            await transaction.add_audit(
                system_entry(
                    Action.DATABASE_RESTORED,
                    "installation",
                    "" if known is None else known.id,
                    f"{found} Restored from {source}.",
                    self._clock(),
                )
            )
        self._alerts.report(
            word,
            Severity.WARNING,
            f"{found} It was brought up to date from {source}."[:300],
            advice,
            f"Now at audit entry {position.audit_number + 1}, table {position.table_version}, "
            f"epoch {0 if known is None else known.epoch}.",
        )

    async def _rebase(self, mirror: Reader, waiting: Sequence[Provisional]) -> None:
        replay = Replay(self._primary, mirror, self._approve, self._clock)
        done = await replay.run(waiting)
        log.info("outbox_rebased", applied=done.applied, known=done.known, conflicts=done.conflicts)
        if done.conflicts:
            tell(self._alerts, len(await self._primary.shelf(Shelf.CONFLICT)))

    async def _parted(self, facts: Facts, mirror: LocalStore) -> None:
        """The database stays as it is; what only the mirror has fits onto it or becomes conflicts."""
        kept = await self._copy_of(mirror)
        fork = await _fork(self._primary, mirror, min(facts.theirs.audit_number, facts.ours.audit_number))
        changes = await since(mirror, fork, mirror.records())
        done = await Replay(self._primary, mirror, self._approve, self._clock).run(changes)
        log.warning("histories_parted", fork=fork, applied=done.applied, conflicts=done.conflicts)
        self._alerts.report(
            PARTED,
            Severity.WARNING,
            f"The database and the mirror had different histories after audit entry {fork}.",
            "The database's stays in force. Changes that only the mirror had were added where they fit; the others are "
            "conflicts, to be settled on the admin page Conflicts. The mirror as it was is kept in a file.",
            f"Added: {done.applied}; conflicts: {done.conflicts}; kept: {kept}",
        )
        if done.conflicts:
            tell(self._alerts, len(await self._primary.shelf(Shelf.CONFLICT)))

    async def _copy_of(self, mirror: LocalStore) -> str:
        """Where the copy is, or why there is none: a full disk is no reason to do without the database."""
        target = mirror.path.with_name(f"{mirror.path.name}.parted-{self._clock():%Y%m%dT%H%M%S}")
        try:
            for suffix in ("", "-wal"):
                source = mirror.path.with_name(mirror.path.name + suffix)
                if await asyncio.to_thread(source.exists):
                    await asyncio.to_thread(shutil.copy2, source, target.with_name(target.name + suffix))
        except OSError as error:
            return f"nothing ({error.strerror or type(error).__name__})"
        return str(target)

    async def refuse_foreign(self, mirror: LocalStore) -> None:
        """Raise ForeignError for a database that says it is another installation's, before its schema or keys are looked at."""
        waiting = await mirror.outbox()  # one that was salvaged may be all that there is
        ours = (await mirror.position()).installation or (waiting[0].base.installation if waiting else None)
        theirs = await self._primary.whose()
        if ours is not None and theirs is not None and theirs != ours.id:
            self._refuse(ours.id, theirs, mirror)
        self.foreign = False

    def _refuse(self, ours: str, theirs: str, mirror: LocalStore) -> None:
        self.foreign = True
        self._alerts.report(
            FOREIGN,
            Severity.CRITICAL,
            "DATABASE_URL leads to another installation's data. It was left as it is; this instance serves from its mirror.",
            "Let DATABASE_URL lead to the right database and restart; or take what this database has instead: stop this "
            "instance, run `layout-mutation doctor --adopt` with its environment (it puts the mirror aside), and start it.",
            f"The mirror {mirror.path} belongs to installation {ours}, the database to {theirs}.",
        )
        raise ForeignError(f"the database belongs to another installation ({theirs}); it was left as it is")

    def _new_installation(self) -> Installation:
        return Installation(str(uuid_utils.uuid4()), 1, self._clock())


async def _holds(holder: Reader, owner: Reader, position: Position, within: Position) -> bool:
    """Whether `holder` has the audit entry that `owner` is at, at or before `within`."""
    if position.audit_number == 0:
        return True
    if position.audit_number > within.audit_number:
        return False
    one, other = await entry(holder, position.audit_number), await entry(owner, position.audit_number)
    return one is not None and other is not None and same_entry(one, other)


async def _fork(one: Reader, other: Reader, longest: int) -> int:
    """Number of the last audit entry that both have, at most `longest`; 0 where not even the first is the same."""
    low, high = 0, longest
    while low < high:
        middle = (low + high + 1) // 2
        mine, theirs = await entry(one, middle), await entry(other, middle)
        if mine is not None and theirs is not None and same_entry(mine, theirs):
            low = middle
        else:
            high = middle - 1
    return low


def _next_epoch(installation: Installation) -> Installation:
    return Installation(installation.id, installation.epoch + 1, installation.created_at)


async def _settle(mirror: LocalStore, waiting: Sequence[Provisional]) -> None:
    await mirror.settled(*(one.changeset for one in waiting))


async def _all_of(waiting: Sequence[Provisional]) -> AsyncIterator[Record]:
    for one in waiting:
        for record in one.records:
            yield record


async def _nothing() -> AsyncIterator[Record]:
    return
    yield  # what makes it a stream
