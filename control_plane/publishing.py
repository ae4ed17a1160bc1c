"""Changes of rules, and the decision table that follows from them.

A change is one transaction: documents, audit and, where the active set altered, the next table, numbered and signed
while every other writer waits. After the commit the table goes to Redis; if Redis is away the change stands, its answer
says so, and the loop in `keep_published` brings the table there later.
Counterpart: `exchange.py` carries tables out, `sidecar.tables.tables` takes them in. Never: a table in Redis that is not saved.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import sha256

import msgspec
import structlog

from control_plane import codec
from control_plane.alerts import Alerts, Severity
from control_plane.company import Known, active, culprit
from control_plane.exchange import Exchange, ExchangeError, Seen
from control_plane.intent import Action, Intent, Publication
from control_plane.refusals import Refusal, Refused
from control_plane.signing import Signer
from control_plane.store import (
    Kind,
    Store,
    StoredAnswer,
    StoredAudit,
    StoredTable,
    StoredVersion,
    StoreError,
    Transaction,
)
from control_plane.store.mirror.standing import State
from control_plane.store.mirrored import standing_of
from control_plane.table_copy import TableCopy
from control_plane.tokens import Actor, Permission, Role
from rules.compiler import compile_table
from rules.errors import RulesError, TableError
from rules.limits import TABLE_BYTES_MAX
from rules.model import RulesFile
from rules.sealing import engine_of, unseal
from rules.table import UNCHECKED, DecisionTable

CHECK_INTERVAL_S = 1.0  # how soon an emptied Redis is noticed, unless the settings of the installation say otherwise
BACKOFF_S_MAX = 5.0
DELIVERY_TIMEOUT_S = 4.0  # an author waits no longer to hear whether Redis took the table
FORGET_INTERVAL_S = 3_600.0
SYSTEM = Actor("control-plane", Role.ADMIN)
NOT_PUBLISHED = Publication(published=False, table_version=0, reason="nothing is published yet")

RULES_DO_NOT_COMPILE = "rules_do_not_compile"
PUBLISHING_FAILED = "publishing_failed"
DATABASE_LOST_HISTORY = "database_lost_history"

log = structlog.get_logger("publishing")


class Change:
    """What happens inside one transaction. `publication` is known when the block has ended."""

    def __init__(self, transaction: Transaction, intent: Intent, at: datetime) -> None:
        self.transaction = transaction
        self.intent = intent
        self.at = at
        self.publication = NOT_PUBLISHED
        self.entries: list[StoredAudit] = []
        self.altered = False
        """Documents changed: the active set may have too."""
        self.second_opinion = ""
        """What the author should hear of the trial of what was saved."""
        self.caching = ""
        """What the author should hear of what was saved costs shared caches."""
        self.renews = False
        """An equal table that another engine has checked is made anew, so that sidecars load it fast."""

    async def put(
        self,
        kind: Kind,
        document_id: str,
        content: bytes,
        action: Action,
        *,
        before: int | None,
        deleted: bool = False,
        reaches: bool = True,
        noted: Action | None = None,
    ) -> None:
        """Save a document as the version after `before`, and note it for the audit, as `action` unless `noted` says otherwise.

        `reaches` is False where visitors got nothing of it before and get nothing of it now: no table can follow.
        """
        version, intent = (before or 0) + 1, self.intent
        entry = StoredVersion(
            version=version,
            content=content,
            action=action,
            actor=intent.actor.subject,
            reason=intent.reason,
            at=self.at,
        )
        await self.transaction.put(kind, document_id, entry, deleted=deleted)
        self.note(noted or action, kind, document_id, before, version, digest=sha256(content).hexdigest())
        self.altered = self.altered or reaches

    def note(
        self,
        action: Action,
        kind: str,
        subject: str,
        before: int | None = None,
        after: int | None = None,
        *,
        digest: str | None = None,
    ) -> None:
        """Put something into the audit, when the transaction ends."""
        self.entries.append(
            StoredAudit(
                at=self.at,
                actor=self.intent.actor.subject,
                role=self.intent.actor.role,
                action=action,
                kind=kind,
                subject=subject,
                reason=self.intent.reason,
                version_before=before,
                version_after=after,
                origin=self.intent.origin,
                digest=digest,
            )
        )

    async def earlier_answer(self) -> bytes | None:
        """What came of this very request before; raises Refused if its key came with another one."""
        if self.intent.idempotency_key is None:
            return None
        stored = await self.transaction.answer(self.intent.actor.subject, self.intent.idempotency_key)
        if stored is None:
            return None
        if stored.fingerprint != self.intent.fingerprint:
            raise Refused(
                Refusal.IDEMPOTENCY_KEY_REUSED,
                "this Idempotency-Key came before with another request; choose a new one",
            )
        return stored.answer

    async def remember(self, answer: bytes) -> None:
        """Keep what came of the request, if it has a key."""
        if self.intent.idempotency_key is not None:
            stored = StoredAnswer(self.intent.fingerprint, answer)
            await self.transaction.remember(self.intent.actor.subject, self.intent.idempotency_key, stored)


class Publishing:
    """The one way to change rules, and the keeper of what is in Redis."""

    def __init__(
        self,
        store: Store,
        exchange: Exchange,
        signer: Signer,
        copy: TableCopy,
        *,
        alerts: Alerts,
        clock: Callable[[], datetime],
        engine: str,
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._signer = signer
        self._copy = copy
        self._alerts = alerts
        self._clock = clock
        self._engine = engine
        self.check_interval_s: Callable[[], float] = lambda: CHECK_INTERVAL_S
        self._latest: StoredTable | None = None
        self._decoded: DecisionTable | None = None
        self._state = NOT_PUBLISHED
        self._known = Known()
        self._foreign = 0
        """Version of a table of ours in Redis that the store does not know: the database lost a part of its history, or another
        instance published while it is away."""
        self._delivering = asyncio.Lock()
        self._wake = asyncio.Event()
        self._stopped = False

    def state(self) -> Publication:
        """What is known about Redis right now; no I/O."""
        return self._state

    def now(self) -> datetime:
        """The clock that changes are dated by."""
        return self._clock()

    async def current(self) -> DecisionTable | None:
        """The newest published table, None before the first and where its format is not read any more; raises StoreError."""
        latest = await self._newest()
        if latest is None:
            return None
        if self._decoded is None or self._decoded.version != latest.version:
            # It comes from our own database, so an older key of ours is as good as the present one.
            try:
                self._decoded = await asyncio.to_thread(unseal, latest.sealed, verify=lambda *_: True)
            except TableError as error:
                log.warning("table_not_read", version=latest.version, error=str(error))
                return None
        return self._decoded

    @asynccontextmanager
    async def change(self, intent: Intent) -> AsyncIterator[Change]:
        """Change rules: all of the block or nothing of it, and then publish.

        Raises:
            Refused: the role may only write, and this would alter what visitors see; or another document would break.
            StoreError: nothing was saved.
        """
        async with self._store.transaction() as transaction:
            change = Change(transaction, intent, self._clock())
            yield change
            table = await self._next_table(change) if change.altered else None
            for entry in change.entries:
                after = None if table is None else table.version
                await transaction.add_audit(msgspec.structs.replace(entry, table_version=after))
        if table is None:
            change.publication = msgspec.structs.replace(self._state, reason=self._state.reason or "unchanged")
        else:
            self._alerts.settle(RULES_DO_NOT_COMPILE)
            self._latest = table
            change.publication = await self.deliver()

    async def ensure_table(self) -> None:
        """Publish what the database has if that never happened, or with another key or engine; raises StoreError."""
        try:
            async with self.change(Intent(actor=SYSTEM, reason="start of the control plane")) as change:
                change.altered = change.renews = True
            self._alerts.settle(RULES_DO_NOT_COMPILE)
        except (RulesError, Refused) as error:
            self._alerts.report(
                RULES_DO_NOT_COMPILE,
                Severity.CRITICAL,
                "The rules that are switched on can't be published as they are.",
                "Mend or switch off the document that is named. The last table stays in force until then.",
                str(error),
            )

    async def deliver(self) -> Publication:
        """Bring Redis up to date now, and say what came of it; never raises for a Redis or database that is away."""
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_S):
                state = await self._reconcile()
        except ExchangeError as error:
            state = self._not_published(str(error))
        except TimeoutError:
            state = self._not_published("delivery_timeout: Redis or the database takes too long to answer")
        if not state.published:
            self._wake.set()
        self._remember_state(state)
        return state

    async def keep_published(self) -> None:
        """Until `stop`: see that Redis has the newest table, also after it lost everything."""
        failures, forgot_at = 0, 0.0
        while not self._stopped:
            try:
                state = await self.deliver()
                self._alerts.settle(PUBLISHING_FAILED)
                failures = 0 if state.published else failures + 1
                now = asyncio.get_running_loop().time()
                if now - forgot_at > FORGET_INTERVAL_S:
                    await self._store.forget_old()
                    forgot_at = now
            except StoreError:
                pass  # whoever asks for the health of the database hears it; tables go on
            except Exception as error:  # a loop that an unforeseen error can end would leave Redis empty
                failures += 1
                log.exception("publishing_failed", error=type(error).__name__)
                self._alerts.report(
                    PUBLISHING_FAILED,
                    Severity.WARNING,
                    "Publishing met an error that nobody foresaw.",
                    "It is tried again. If it goes on, the log of this instance has the traceback: report it as a bug.",
                    type(error).__name__,
                )
            await self._pause(failures)

    def stop(self) -> None:
        """End `keep_published` at its next turn. Cancelling alone is not sure: a client may take it for a time-out."""
        self._stopped = True
        self._wake.set()

    async def _pause(self, failures: int) -> None:
        if self._stopped:
            return
        self._wake.clear()
        longest = min(BACKOFF_S_MAX, 0.1 * 2**failures) if failures else self.check_interval_s()
        seconds = longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads services apart, hides nothing
        try:
            # Not wait_for: before Python 3.12 it can lose a cancellation that comes together with its end.
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(0.05)  # woken by a failure: not at once again

    async def _next_table(self, change: Change) -> StoredTable | None:
        """The table that follows from the change, saved; None if the active set is as before."""
        transaction, intent = change.transaction, change.intent
        served = await active(transaction, self._known)
        digest = await asyncio.to_thread(codec.digest, served)
        before = await transaction.latest_table()
        same = before is not None and before.digest == digest and before.key_id == self._signer.key_id
        if before is not None and same and not (change.renews and _engine_of(before.sealed) != self._engine):
            return None
        if not intent.actor.may(Permission.PUBLISH):
            raise Refused(
                Refusal.MAY_NOT_PUBLISH,
                "this would change what visitors get, which takes the role publisher; save what can be switched off with "
                "isActive false, and let a publisher switch it on",
            )
        version = await transaction.raise_table_version(self._foreign + 1)
        sealed = await asyncio.to_thread(self._compile, served, version, change.at)
        table = StoredTable(
            version=version,
            digest=digest,
            key_id=self._signer.key_id,
            sealed=sealed,
            mutations=len(served.mutations),
            actor=intent.actor.subject,
            reason=intent.reason,
            at=change.at,
        )
        await transaction.add_table(table)
        change.note(Action.PUBLISHED, "table", str(version), None if before is None else before.version, version)
        return table

    def _compile(self, served: RulesFile, version: int, now: datetime) -> bytes:
        try:
            sealed = self._signer.seal(compile_table(served, version=version, now=now, engine=self._engine))
        except RulesError as error:
            problem = f"{culprit(served, error.path)} would no longer be usable: {error.problem} (at {error.path})"
            raise Refused(Refusal.IN_USE, problem) from error
        check_size(sealed)
        return sealed

    async def _reconcile(self) -> Publication:
        """One look at Redis, and what it takes to bring it up to date; raises ExchangeError."""
        async with self._delivering:
            # Redis first: whatever is there was committed before it was offered, so the database can't be older by chance.
            seen = await self._exchange.seen()
            known = await self._newest_known()
            if known is None:
                return NOT_PUBLISHED
            latest, certain = known
            there, over = seen.number, None
            if seen.is_table(latest.version, latest.sealed):
                return await self._published(latest)
            if seen.size and there is not None and there >= latest.version:
                theirs = await self._our_version(await self._exchange.table())
                if theirs > latest.version or theirs == latest.version == there:
                    return self._newer_in_redis(theirs, certain=certain)
                over = seen.version
            elif there is None:
                over = seen.version
            await self._exchange.offer(latest.version, latest.sealed, over=over)
            log.info("table_published", version=latest.version, digest=latest.digest, found=_described(seen))
            return await self._published(latest)

    async def _published(self, latest: StoredTable) -> Publication:
        if self._foreign:
            self._alerts.settle(DATABASE_LOST_HISTORY)
        self._foreign = 0
        if self._state.table_version != latest.version or not self._state.published:
            try:
                await asyncio.to_thread(self._copy.write, latest.sealed)
            except OSError as error:
                log.warning("table_copy_not_written", error=str(error))
        return Publication(published=True, table_version=latest.version)

    def _newer_in_redis(self, theirs: int, *, certain: bool) -> Publication:
        """A table of ours that is newer than what we know: nothing to do, unless the database should have known it.

        Then the database was replaced or restored. What visitors get stays until a person changes something: that
        change is numbered above it. Publishing by ourselves could empty a site because its database was emptied.
        """
        self._foreign = theirs
        if not certain:
            return Publication(published=True, table_version=theirs)
        self._alerts.report(
            DATABASE_LOST_HISTORY,
            Severity.CRITICAL,
            f"Redis holds table {theirs}, which the database does not know: it lost a part of its history.",
            "Restore the database, or import an export. Visitors keep what they get until somebody changes something.",
        )
        reason = f"database_behind: Redis holds table {theirs}, which this database does not know; the next change replaces it"
        return Publication(published=False, table_version=theirs, reason=reason)

    async def _our_version(self, sealed: bytes) -> int:
        """The version of a table that our key signed, 0 for anything else."""
        try:
            return (await asyncio.to_thread(self._signer.unseal, sealed)).version
        except TableError:
            return 0

    async def _newest_known(self) -> tuple[StoredTable, bool] | None:
        """The newest table and whether the database says so; out of memory or the copy on disk where it is away.

        A mirror does not know what another instance published meanwhile.
        """
        try:
            newest = await self._newest()
        except StoreError:
            if self._latest is None:
                self._latest = await asyncio.to_thread(self._from_copy)
            return None if self._latest is None else (self._latest, False)
        return None if newest is None else (newest, standing_of(self._store).state is State.PRIMARY)

    async def _newest(self) -> StoredTable | None:
        version = await self._store.table_version()
        if self._latest is None or self._latest.version != version:
            self._latest = await self._store.latest_table()
        return self._latest

    def _from_copy(self) -> StoredTable | None:
        sealed = self._copy.read()
        try:
            table = self._signer.unseal(sealed)
        except TableError:
            return None
        return StoredTable(
            version=table.version,
            digest=codec.digest(table.rules),
            key_id=self._signer.key_id,
            sealed=sealed,
            mutations=len(table.rules.mutations),
            actor=SYSTEM.subject,
            reason="",
            at=table.created_at,
        )

    def _not_published(self, reason: str) -> Publication:
        return Publication(published=False, table_version=self._latest.version if self._latest else 0, reason=reason)

    def _remember_state(self, state: Publication) -> None:
        if state.published != self._state.published:
            (log.info if state.published else log.warning)("publication", **msgspec.structs.asdict(state))
        self._state = state


def check_size(sealed: bytes) -> None:
    """Raise RulesError for a table that sidecars would refuse: they would go on with the one they have."""
    if len(sealed) > TABLE_BYTES_MAX:
        problem = f"the table would have {len(sealed):,} bytes, and sidecars take {TABLE_BYTES_MAX:,}"
        raise RulesError(f"{problem}; switch something off first, or shorten a saved group")


def _engine_of(sealed: bytes) -> str:
    try:
        return engine_of(sealed)
    except TableError:
        return UNCHECKED


def _described(seen: Seen) -> str:
    return "nothing" if seen.version is None else f"version {seen.version[:20]}"
