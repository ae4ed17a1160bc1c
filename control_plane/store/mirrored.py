"""The store that goes on without its database: PostgreSQL, and a mirror beside it that commits before the answer.

While PostgreSQL is there it is asked and written first, and the mirror has the same before whoever wrote is answered. While
it is not, the mirror answers, and one of all instances, the holder of the lease, writes into the mirror's outbox. When it
is back, or another database is in its place, `mirror/recovery.py` brings both together before anything else is written.
Counterpart: `app.py` runs `keep`. Never: a write that is acknowledged and not on a disk of ours, or of the database.
"""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from typing import TypeVar

import structlog

from control_plane.alerts import Alerts
from control_plane.schema.healing import Copy
from control_plane.store.events import EventStore
from control_plane.store.interface import AwayError, OutcomeUnknownError, ReadOnlyError, Store, StoreError, Transaction
from control_plane.store.local import LocalStore, Provisional
from control_plane.store.mirror.identity import Verdict
from control_plane.store.mirror.keeping import MirrorFile
from control_plane.store.mirror.lease import Lease
from control_plane.store.mirror.patience import patiently, unheard, watched
from control_plane.store.mirror.reading import Block, EitherReader
from control_plane.store.mirror.recovery import ForeignError, Recovery
from control_plane.store.mirror.sides import Approve, Primary, Sources, nothing_wrong
from control_plane.store.mirror.standing import LEVEL, Standing, State
from control_plane.store.records import Installation, Kind, Position, Record

T = TypeVar("T")

TURN_S = 25.0  # a writer of this instance waits no longer for the one before it
LOOK_INTERVAL_S = 1.0
RETRY_INTERVAL_S = 0.5  # between looks for a database that is away
REST_S = 2.0  # a database that could be reached and refused a write, as with a full disk, is left alone for so long
FIRST_LOOK_S = 5.0  # at the start the database has so long before the mirror answers in its place
ASK_INTERVAL_S = 0.1
OTHERS_FIRST_S = 3.0  # how long the instance that wrote during an outage may take to bring its changes back first

log = structlog.get_logger("mirror")


def standing_of(store: Store) -> Standing:
    """How a store and its mirror stand to each other."""
    return store.standing() if isinstance(store, MirroredStore) else LEVEL


class MirroredStore(EitherReader):
    """A database and its mirror as one store."""

    def __init__(
        self,
        primary: Primary,
        mirror: MirrorFile,
        lease: Lease,
        alerts: Alerts,
        *,
        clock: Callable[[], datetime],
        prepare: Callable[[], Awaitable[None]] | None = None,
        sources: Sources = (),
    ) -> None:
        """`prepare` brings the database's schema up to date and connects.

        Whatever it raises as StoreError means that the database is away; ReadOnlyError, that nothing may be written.
        """
        self._primary = primary
        self._file = mirror
        self._lease = lease
        self._alerts = alerts
        self.prepare = prepare
        self.approve: Approve = nothing_wrong
        """Asked of each document that is replayed onto a database that has gone on."""

        async def approve(transaction: Transaction, kind: Kind, document_id: str, content: bytes, deleted: bool) -> str:
            return await self.approve(transaction, kind, document_id, content, deleted)

        self._recovery = Recovery(primary, alerts, clock=clock, approve=approve, sources=sources)
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._looked = asyncio.Event()
        """The database was looked for once: until then nothing goes into the outbox that needn't."""
        self._ready = asyncio.Event()
        self._state, self._problem = State.STARTING, "connecting to the database"
        self._level: Position | None = None
        """Where the database is, seen by a writer, when the mirror has the same; None where that is not known."""
        self._level_at = time.monotonic()
        self._outbox = 0
        self._barred = ""
        """Why nothing may be written, not even into the outbox; empty where it may."""
        self._untold = False
        """The database is there again, and whoever wants to know has not been told."""
        self._rests_until = 0.0
        """A database that refused a write is not tried again before: what is repeated goes to the outbox meanwhile."""

    # ---------------------------------------------------------------- how it stands

    @property
    def provisional(self) -> bool:
        """Whether the mirror answers in the place of the database."""
        return self._state is not State.PRIMARY

    @property
    def beside(self) -> LocalStore | None:
        """The mirror, where it has what the database has had; None while it answers itself, or is to be filled anew."""
        return None if self.provisional or self._file.broken else self._mirror

    @property
    def foreign(self) -> bool:
        """Whether the database holds another installation's data, and nothing in it may be touched."""
        return self._recovery.foreign

    @property
    def primary(self) -> Primary:
        """The database itself, for what is done before it is used."""
        return self._primary

    @property
    def events(self) -> EventStore:
        """What sidecars told: in the database alone. While it is away, it waits in Redis."""
        return self._primary.events

    def standing(self) -> Standing:
        """Who answers, and what waits; no I/O."""
        level = self._state is State.PRIMARY and self._level is not None
        age = 0.0 if level else time.monotonic() - self._level_at
        behind = self._state is State.PRIMARY and self._file.behind
        return Standing(self._state, self._outbox, behind, round(age, 1), self._problem)

    async def refusal(self) -> str:
        """Why nothing can be changed here while the mirror answers; empty where it can. Never raises."""
        return self._barred or await self._lease.refusal()

    async def waiting(self) -> list[Provisional]:
        """What the database has not got yet, in order."""
        return await self._mirror.outbox() if self._outbox else []

    async def usable(self) -> None:
        """Wait until somebody can answer; where the mirror can, the database is not waited for longer than a moment."""
        try:
            async with asyncio.timeout(FIRST_LOOK_S):
                await self._ready.wait()
        except TimeoutError:
            if self._state is State.STARTING:
                await self._ready.wait()

    # ---------------------------------------------------------------- beginning, keeping and ending

    async def open(self) -> None:
        """Open the mirror; what it has can be read at once. The database is `keep`'s affair."""
        await self._file.open()
        self._outbox = len(await self._mirror.outbox())
        if self._file.trusted and (await self._mirror.position()).installation is not None:
            self._state = State.MIRROR

    async def close(self) -> None:
        """Let go of both."""
        await self._lease.release()
        await self._primary.close()
        await self._file.close()

    async def keep(self, recovered: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled: follow the database, and bring both together when it is back; `recovered` is told then."""
        while True:
            try:
                if self._state is State.PRIMARY:
                    await self._follow_others()
                else:
                    self._untold = await self._recover()
                    self._looked.set()
                if self._untold or self._file.gave_back:
                    await recovered()
                    self._untold = self._file.gave_back = False
            except (AwayError, ForeignError) as error:
                await self._lost(error)
            except ReadOnlyError as error:
                self._barred = str(error)
                await self._lost(error)
            except StoreError as error:
                self._say(str(error))
            except Exception as error:  # a loop that an unforeseen error can end would never come back
                log.exception("mirror_failed", error=type(error).__name__)
                self._say(f"{type(error).__name__}: {error}")
            self._looked.set()
            if self._state is not State.STARTING:
                self._ready.set()
            await self._pause()

    async def _pause(self) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(LOOK_INTERVAL_S if self._state is State.PRIMARY else RETRY_INTERVAL_S):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(0.05)

    async def _follow_others(self) -> None:
        """What other instances wrote, and whether it is still our database."""
        theirs = await self._patiently(self._primary.position())
        if theirs == self._level and not self._file.behind:
            self._level_at = time.monotonic()
            return
        async with self._its_turn():
            theirs = await self._patiently(self._primary.position())
            if not self._file.broken and await self._parted_from(theirs, self._primary):
                raise AwayError("the database is no longer what it was: it is looked at anew")
            await self._file.follow(self._primary)
            if not self._file.behind:
                self._level_at = time.monotonic()
                # Exactly what was read, and nothing on its way: as sure as a writer's own look.
                self._level = theirs if await self._mirror.position() == theirs else None

    async def _parted_from(self, theirs: Position, reader: Store | Transaction) -> bool:
        verdict = await self._recovery.look(theirs, reader, self._mirror)
        return verdict is not Verdict.FOLLOW and not self._file.behind

    async def _recover(self) -> bool:
        """Bring both together, if the database can be used; whether that is done."""
        if self._outbox and not self._lease.held:
            await self._lease.hold()  # who has changes to bring back goes before the others
        elif self._lease.held:
            await self._lease.hold()
        if time.monotonic() < self._rests_until:
            return False
        await self._primary.probe()
        async with self._its_turn():
            await self._file.mend_if_damaged()  # lost tables may come from it
            await self._recovery.refuse_foreign(self._mirror)
        if self.prepare is not None:
            await watched(self.prepare(), self._primary.probe)
        await self._primary.open()
        await self._let_the_writer_go_first()
        async with self._its_turn():
            await self._file.mend_if_damaged()
            replayed = [one.changeset for one in await self._mirror.outbox()]
            verdict = await self._recovery.run(self._mirror)
            if verdict.goes_on:
                await self._file.give_back(self._primary)
            anew = verdict in (Verdict.FOUND, Verdict.ADOPT, Verdict.REBASE, Verdict.PARTED)
            await self._file.fill(self._primary, anew=anew, replayed=replayed)
            await self._recovery.bring_spared(self._file, replayed if verdict is not Verdict.ADOPT else ())
            self._outbox = 0
            self._level = None
            self._state, self._problem, self._barred = State.PRIMARY, "", ""
        await self._lease.release()
        log.info("database_in_use", verdict=verdict)
        return True

    async def _let_the_writer_go_first(self) -> None:
        if self._outbox or self._lease.held:
            return
        for _ in range(round(OTHERS_FIRST_S / ASK_INTERVAL_S)):
            if not await self._lease.elsewhere():
                return
            await asyncio.sleep(ASK_INTERVAL_S)

    async def _lost(self, error: StoreError) -> None:
        """The database can't be used: from now on the mirror answers."""
        if self._state is State.PRIMARY:
            log.warning("database_lost", problem=str(error))
            self._state = State.MIRROR
            self._level = None
            self._wake.set()
        self._say(str(error))
        await self._primary.abandon()

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            log.warning("waiting_for_database", problem=problem)
        self._problem = problem

    # ---------------------------------------------------------------- writing

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Changes are saved when the block ends, in the database and the mirror, or in the mirror's outbox.

        Raises:
            ReadOnlyError: another instance takes changes while the database is away.
            OutcomeUnknownError: the database went away while it saved.
            StoreError: nothing was saved.
        """
        await self._first_look()
        async with self._its_turn():
            block = Block()
            begun = await self._begun() if self._state is State.PRIMARY else None
            if begun is None:
                with block.around():
                    async with self._provisionally() as provisional:
                        with block.inside():
                            yield provisional
                return
            stack, transaction, start = begun
            try:
                with block.around():
                    async with stack:
                        with block.inside():
                            yield transaction
                        end = await transaction.position()
            except AwayError as error:
                await self._lost(error)
                self._rests_until = time.monotonic() + REST_S
                if block.ended:
                    problem = "the database went away while it saved; whether it did is not known yet"
                    raise OutcomeUnknownError(problem) from error
                raise
            await self._surely(self._mirrored(start, end, transaction.written))

    async def _begun(self) -> tuple[AsyncExitStack, Transaction, Position] | None:
        """A transaction in the database, None where it is away or no longer ours."""
        stack = AsyncExitStack()
        try:
            transaction = await self._patiently(stack.enter_async_context(self._primary.transaction()))
            start = await transaction.position()
            if start != self._level and not self._file.broken and await self._parted_from(start, transaction):
                raise AwayError("the database is no longer what it was: it is looked at anew")
        except AwayError as error:
            with suppress(StoreError):  # it is given up anyway
                await stack.aclose()
            await self._lost(error)
            return None
        except BaseException:
            await stack.aclose()
            raise
        return stack, transaction, start

    async def _surely(self, mirrored: Coroutine[None, None, None]) -> None:
        """Let the mirror have what the database just saved, even if nobody waits; not acknowledged if the database is gone."""
        task = asyncio.create_task(mirrored)
        task.add_done_callback(unheard)
        try:
            await asyncio.shield(task)
        except AwayError as error:
            await self._lost(error)
            problem = "the database saved it and went away before the mirror had it"
            raise OutcomeUnknownError(problem) from error

    async def _mirrored(self, start: Position, end: Position, written: Sequence[Record]) -> None:
        """The mirror has what was just saved; where it can't, that is its own trouble and not the writer's."""
        if start == self._level and not self._file.behind:
            await self._file.take(written)
        else:
            await self._file.follow(self._primary)
        self._level = None if self._file.behind else end
        if not self._file.behind:
            self._level_at = time.monotonic()

    @asynccontextmanager
    async def _provisionally(self) -> AsyncIterator[Transaction]:
        await self._may_write()
        async with self._file.provisional() as transaction:
            yield transaction
            self._check_lease()
        self._outbox += bool(transaction.written)

    async def _may_write(self) -> LocalStore:
        if self._state is State.STARTING:
            raise AwayError(self._problem)
        if self._barred:
            raise ReadOnlyError(self._barred)
        if self._file.makeshift:
            raise ReadOnlyError(
                "the database can't be used right now, and CONTROL_PLANE_DATA_DIR can't be written, where changes would wait for it"
            )
        if not await self._lease.hold():
            holder = await self._lease.holder()
            raise ReadOnlyError(
                f"the database can't be used right now, and {holder}; here everything can be read meanwhile"
            )
        return self._file.answering()

    def _check_lease(self) -> None:
        if not self._lease.held:
            raise ReadOnlyError("this instance may no longer take changes; nothing was saved, send it again")

    async def use_sign_in(self, sign_in_id: str, expires_at: datetime) -> bool:
        """Remember that a one-time id was used; False if it was used before."""
        await self._first_look()
        async with self._its_turn():
            if self._state is State.PRIMARY:
                try:
                    unused = await self._patiently(self._primary.use_sign_in(sign_in_id, expires_at))
                except AwayError as error:
                    await self._lost(error)
                else:
                    self._level = None
                    await self._surely(self._file.follow(self._primary))
                    return unused
            mirror = await self._may_write()
            unused = await mirror.use_sign_in(sign_in_id, expires_at, provisional=True)
            self._outbox += unused
            return unused

    async def _first_look(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LOOK_S):
                await self._looked.wait()

    async def identify(self) -> list[tuple[str, str]]:
        """As every store's; in the database, and the mirror works it out for itself."""
        async with self._its_turn():
            if self._state is not State.PRIMARY:
                raise AwayError(self._problem)
            return await self._primary.identify()

    async def found(self, installation: Installation) -> Installation:
        """Whose data it is. Who finds nobody's is `keep`: a name that only one of the two knew would part them."""
        known = (await self.position()).installation
        if known is None:
            raise AwayError(self._problem)
        return known

    async def load(self, records: AsyncIterable[Record], installation: Installation | None = None) -> int:
        """Write records as they are; only into the database, which the mirror then follows."""
        async with self._its_turn():
            if self._state is not State.PRIMARY:
                raise ReadOnlyError("this is possible only while the database is there; send it again later")
            count = await self._primary.load(records, installation)
            self._level = None
            await self._file.fill(self._primary, anew=installation is not None)
            return count

    async def copy_of(self, installation_id: str) -> Copy | None:
        """What the mirror has of an installation that the database has had before; None where it knows nothing of it.

        For tables of the database that were lost. What waits in the outbox is not among it: it is replayed afterwards.
        """
        self._level = None
        return await self._file.copy_of(installation_id)

    async def forget_old(self) -> None:
        """Remove what has served its time, where the database is there."""
        if self._state is State.PRIMARY:
            await self._primary.forget_old()
            await self._mirror.forget_old()

    # ---------------------------------------------------------------- reading

    async def ping(self) -> None:
        """Raises StoreError while the database is away, though the mirror answers."""
        if self._state is not State.PRIMARY:
            raise AwayError(self._problem)
        try:
            await self._patiently(self._primary.ping())
        except AwayError as error:
            await self._lost(error)
            raise

    async def records(self, since: Position | None = None) -> AsyncIterator[Record]:
        """All that the store holds, or what came after a position, as of one moment."""
        store: Store = self._primary if self._state is State.PRIMARY else self._fallback()
        async for record in store.records(since):
            yield record

    # ---------------------------------------------------------------- inside

    @property
    def _mirror(self) -> LocalStore:
        return self._file.store

    def _fallback(self) -> LocalStore:
        if self._state is State.STARTING:
            raise AwayError(self._problem)
        return self._file.answering()

    async def _read(self, question: Callable[[Store], Awaitable[T]]) -> T:
        """The database's answer; the mirror's where that is away, within the same request."""
        if self._state is State.PRIMARY:
            try:
                return await self._patiently(question(self._primary))
            except AwayError as error:
                await self._lost(error)
        return await question(self._fallback())

    async def _patiently(self, answer: Awaitable[T]) -> T:
        """An answer; where it takes long, AwayError unless the server still greets a new connection."""
        return await patiently(answer, self._primary.probe)

    @asynccontextmanager
    async def _its_turn(self) -> AsyncIterator[None]:
        """One writer of this instance at a time: it holds one connection, and the mirror hears of changes in their order."""
        try:
            async with asyncio.timeout(TURN_S):
                await self._turn.acquire()
        except TimeoutError:
            raise StoreError(f"the change before this one takes more than {TURN_S:.0f} s; nothing was saved") from None
        try:
            yield
        finally:
            self._turn.release()
