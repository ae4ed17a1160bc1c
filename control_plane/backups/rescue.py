"""Where a service comes from again that finds neither its database's data nor a mirror: backups, and at last Redis's table.

The newest backup that can be used is taken, wherever it is; then that of a peer, if it is proven to be this installation's; then the
table that Redis holds, if our key has signed it: that has what visitors get, and no drafts and no history. What is lost is said in an alert.
Counterpart: `app.py` asks the sources in their order before anything is served. Never: a choice between two installations.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import msgspec
import structlog
import uuid_utils

from control_plane import codec
from control_plane.alerts import Alerts, Severity
from control_plane.backups import files, peers
from control_plane.backups.backups import Backup, listed
from control_plane.backups.configured import Configured
from control_plane.backups.lines import BackupError
from control_plane.backups.peers import Peer
from control_plane.backups.restoring import is_empty, read_through, verify
from control_plane.company import MEMBERS
from control_plane.exchange import Exchange, ExchangeError
from control_plane.intent import Action
from control_plane.publishing import SYSTEM
from control_plane.signing import Signer
from control_plane.store import (
    AuditRecord,
    Chain,
    CounterRecord,
    DocumentRecord,
    Installation,
    Kind,
    Record,
    Store,
    StoredAudit,
    StoredVersion,
    StoreError,
)
from rules.errors import TableError
from rules.model import LayoutMutation, RulesFile
from rules.table import DecisionTable

TRIED_MAX = 5  # backups, from the newest on, before the next source is asked
RESTORED, IMPOSSIBLE, NO_PEER = "restored_from_backup", "restore_impossible", "peers_gave_nothing"
AFTER_IT = "What was changed after it was made is lost."
NO_MORE = "It has what visitors get, as version 1 of each document. Drafts, histories, the audit and what was switched off are lost."

log = structlog.get_logger("rescue")


class Source:
    """Something that everything can be restored from."""

    def __init__(self, name: str, installation: Installation, records: Callable[[], AsyncIterator[Record]]) -> None:
        """`installation`: whose data it is, with the epoch that is over."""
        self.name = name
        self.installation = installation
        self.records = records


Ask = Callable[[], Awaitable[Source | None]]
"""A source, None where there is nothing."""


class Rescue:
    """The sources of one service."""

    def __init__(
        self,
        kept: Configured,
        exchange: Exchange,
        signer: Signer,
        chain: Chain,
        alerts: Alerts,
        *,
        clock: Callable[[], datetime],
        peers: Sequence[Peer] = (),
        known: Callable[[], str] = lambda: "",
    ) -> None:
        """`known`: id of the installation that this service ran on last; empty where nothing tells."""
        self._peers = peers
        self._known = known
        self._kept = kept
        self._exchange = exchange
        self._signer = signer
        self._chain = chain
        self._alerts = alerts
        self._clock = clock
        self._fetched: tempfile.TemporaryDirectory[str] | None = None

    def sources(self) -> tuple[Ask, ...]:
        """In the order in which they are asked."""
        return (self.backup, self.peer, self.table)

    async def fill(self, store: Store) -> str:
        """Fill an empty store from the first source that has something, and say so; its name. Raises StoreError."""
        if not is_empty(await store.position()):
            return ""
        try:
            for ask in self.sources():
                source = await ask()
                if source is not None:
                    whose = msgspec.structs.replace(source.installation, epoch=source.installation.epoch + 1)
                    async with store.transaction():  # of two that start at once, one waits here
                        empty = is_empty(await store.position())
                    if empty:
                        await store.load(source.records(), whose)
                        async with store.transaction() as transaction:
                            await transaction.add_audit(
                                self._entry(f"The database was empty. Restored from {source.name}.")
                            )
                    return source.name
        finally:
            self.close()
        return ""

    def close(self) -> None:
        """Let go of what was fetched."""
        if self._fetched is not None:
            self._fetched.cleanup()
            self._fetched = None

    async def backup(self) -> Source | None:
        """The newest backup that can be used, read to its end; None where there is none, or it is not certain which are ours."""
        try:
            backups, problem = await listed(self._kept)
        except BackupError as error:
            backups, problem = [], str(error)
        whose, known = {one.installation for one in backups} - {"unknown"}, self._known()[:8]
        if known in whose:
            backups = [one for one in backups if one.installation == known]
        elif whose and (known or len(whose) > 1):
            detail = f"There are backups of {', '.join(sorted(whose))}" + (f"; this is {known}." if known else ".")
            summary = "backups of another installation" if known else "backups of several installations"
            self._impossible(f"The database is empty, and there are {summary}.", detail)
            return None
        problems = [problem] if problem else []
        for one in backups[:TRIED_MAX]:
            try:
                return await self._usable(one)
            except BackupError as error:
                problems.append(str(error))
        if problems:
            self._impossible("The database is empty, and no backup can be used.", "; ".join(problems))
        return None

    async def peer(self) -> Source | None:
        """The newest backup of the first peer that gives one of this installation; None where none does."""
        problems = list[str]()
        for number, peer in enumerate(self._peers):
            file = Path(self._folder()) / f"peer-{number}"
            try:
                async with peers.bounded():
                    await peers.fetch(peer, file)
                    return await self._of_peer(peer, file)
            except BackupError as error:
                problems.append(f"{peer.name}: {error}")
                log.warning("peer_gave_nothing", peer=peer.name, problem=str(error))
        if problems:
            summary = "The database was empty, and no peer gave a backup that can be used."
            advice = "Nothing, if this installation is new. Otherwise do what the detail says, before the peer is needed again."
            self._alerts.report(NO_PEER, Severity.INFO, summary, advice, "; ".join(problems))
        return None

    async def _of_peer(self, peer: Peer, file: Path) -> Source:
        """What a peer gave, if all of it is sound and it is ours: by its id, or where that is not known, by our key's seal."""
        through = await read_through(file, self._kept.keys, self._chain)
        whose, known = through.header.installation, self._known()
        sealed = through.newest is not None and self._chain.is_sound(through.newest)
        if whose is None or (known and whose.id != known) or not (known or sealed):
            told = "nobody's" if whose is None else f"installation {whose.id}'s"
            expected = f"this is {known}" if known else "no key of ours has sealed its audit"
            raise BackupError(
                f"its backup is {told}, and {expected}; whoever wants it restores it by `layout-mutation restore`"
            )
        verified = await verify(file, self._kept.keys, "", self._chain)
        if not verified.ok:
            raise BackupError(f"its backup can't be relied on: {verified.problem}")
        made_at = through.header.made_at
        name = f"the backup of the peer {peer.name}, made {_ago(self._clock(), made_at)}"
        return Source(name, whose, lambda: self._telling(name, AFTER_IT, self._read(file)))

    async def table(self) -> Source | None:
        """What the table in Redis has, if our key has signed it; None otherwise."""
        try:
            table = await asyncio.to_thread(self._signer.unseal, await self._exchange.table())
        except (ExchangeError, TableError):
            return None
        at = self._clock()
        rules = table.rules
        count = sum(len(getattr(rules, name)) for name in MEMBERS.values())
        if not count:
            return None
        name = f"the table {table.version} that Redis holds, published {_ago(at, table.created_at)}"
        installation = Installation(str(uuid_utils.uuid4()), 0, at)
        return Source(name, installation, lambda: self._telling(name, NO_MORE, self._records(table, rules, at)))

    async def _usable(self, one: Backup) -> Source:
        if "folder" in one.places or self._kept.remote is None:
            file = self._kept.folder.path / one.name
        else:
            file = await self._kept.remote.fetch(one.name, Path(self._folder()))
        header = (await read_through(file, self._kept.keys, self._chain)).header
        name = f"the backup {one.name}, made {_ago(self._clock(), header.made_at)}"
        new = Installation(str(uuid_utils.uuid4()), 0, header.made_at)
        return Source(name, header.installation or new, lambda: self._telling(name, AFTER_IT, self._read(file)))

    async def _telling(self, name: str, lost: str, records: AsyncGenerator[Record, None]) -> AsyncIterator[Record]:
        """The records; once they are all taken, people hear of it. Where another instance was faster nobody takes any."""
        async with aclosing(records):
            async for record in records:
                yield record
        self._restored(name, lost)

    def _folder(self) -> str:
        """Where files from elsewhere are until `close`."""
        self._fetched = self._fetched or tempfile.TemporaryDirectory(prefix="layout-mutation-")
        return self._fetched.name

    async def _read(self, file: Path) -> AsyncGenerator[Record, None]:
        try:
            async with aclosing(files.records(file, self._kept.keys)) as records:
                async for record in records:
                    yield record
        except BackupError as error:
            raise StoreError(str(error)) from error

    async def _records(self, table: DecisionTable, rules: RulesFile, at: datetime) -> AsyncGenerator[Record, None]:
        """Every document of the table as its first version, each with a sealed entry in the audit."""
        yield CounterRecord(table.version)
        reason = f"restored from the table {table.version} that Redis held"
        number, previous = 0, b""
        for kind, member in MEMBERS.items():
            for document in getattr(rules, member):
                number += 1
                content = codec.encode(_first(document, at))
                action = Action.RESTORED_BACKUP
                version = StoredVersion(
                    version=1, content=content, action=action, actor=SYSTEM.subject, reason=reason, at=at
                )
                yield DocumentRecord(kind=kind, id=document.id, version=version, change=number)
                entry = self._entry(reason, kind, document.id, number, sha256(content).hexdigest())
                sealed = self._chain.sealed(entry, previous)
                previous = sealed.hash or b""
                yield AuditRecord(sealed)

    def _entry(
        self, reason: str, kind: Kind | None = None, subject: str = "", number: int = 0, digest: str | None = None
    ) -> StoredAudit:
        return StoredAudit(
            number=number,
            at=self._clock(),
            actor=SYSTEM.subject,
            role=SYSTEM.role,
            action=Action.RESTORED_BACKUP,
            kind="backup" if kind is None else kind.value,
            subject=subject,
            reason=reason,
            version_after=None if kind is None else 1,
            digest=digest,
        )

    def _restored(self, name: str, lost: str) -> None:
        log.warning("restored", source=name, lost=lost)
        advice = "Look whether what people did last has to be done again, and find out who emptied the database and the mirror."
        self._alerts.report(
            RESTORED, Severity.WARNING, f"The database was empty and was restored from {name}."[:300], advice, lost
        )

    def _impossible(self, summary: str, detail: str) -> None:
        advice = (
            "Restore by hand: `layout-mutation backup list`, then `layout-mutation restore FILE --replace`. Encrypted backups need "
            "CONTROL_PLANE_BACKUP_IDENTITY."
        )
        self._alerts.report(IMPOSSIBLE, Severity.CRITICAL, summary, advice, detail)


def _first(document: codec.AnyDocument, at: datetime) -> codec.AnyDocument:
    """The document as if it had just been made; a rollback could lead nowhere."""
    if not isinstance(document, LayoutMutation):
        return document
    return msgspec.structs.replace(document, version=1, rollback_pointer=None, created_by=SYSTEM.subject, timestamp=at)


def _ago(now: datetime, then: datetime) -> str:
    return f"{max(0.0, (now - then).total_seconds()) / 3_600:.1f} hours ago"
