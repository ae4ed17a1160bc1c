"""A wire to a database server that can be cut, and stores that stand on it: outages without stopping what others use.

Counterpart: `tests/servers.py` has the server; tests that need it killed start one of their own.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from control_plane.alerts import Alerts
from control_plane.schema import address, runner
from control_plane.store import Kind, Stored, StoredAudit, StoredVersion, StoreError, Transaction
from control_plane.store.local import LocalStore
from control_plane.store.mirror.keeping import FILE_NAME, MirrorFile
from control_plane.store.mirror.lease import Alone, Lease
from control_plane.store.mirror.sides import Sources
from control_plane.store.mirror.standing import State
from control_plane.store.mirrored import MirroredStore
from control_plane.store.postgres import PostgresStore
from service.clock import now
from tests.control_plane.plane import CHAIN, until

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Wire:
    """Carries bytes to a server, until it is cut: then what is connected ends, and nobody is let in."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._there = (parts.hostname or "", parts.port or 5432)
        self._parts = parts
        self._server: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self.silent = False
        """Takes connections and carries nothing, as a server that hangs does."""
        self.deaf = False
        """Carries what is asked and cuts before the answer: an outcome that nobody hears of."""
        self.cuts_at = b""
        """Cuts when these bytes were carried to the server."""

    @property
    def url(self) -> str:
        """Where to connect instead."""
        place = f"{self._parts.username}:{self._parts.password}@127.0.0.1:{self._port}"
        return urlunsplit(self._parts._replace(netloc=place))

    async def mend(self) -> None:
        """Let people in; on the same port as before."""
        self.silent = False
        if self._server is None:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
            self._port = int(self._server.sockets[0].getsockname()[1])

    async def cut(self) -> None:
        """End everything at once."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        self._writers |= ends  # who is cut while the server is being connected ends too
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._there)
            ends.add(there_writer)
            self._writers |= ends
            if not writer.transport.is_closing():
                await asyncio.gather(
                    self._pump(reader, there_writer, out=True), self._pump(there_reader, writer, out=False)
                )
        except OSError:
            pass
        finally:
            for one in ends:
                one.transport.abort()
            self._writers -= ends

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, out: bool) -> None:
        while data := await source.read(65_536):
            while self.silent:
                await asyncio.sleep(0.01)
            target.write(data)
            await target.drain()
            if out and self.cuts_at and self.cuts_at in data:
                self.cuts_at = b""
                await asyncio.sleep(0.1)  # the server does it; nobody hears of it
                await self.cut()
        target.close()


class Instance:
    """One instance's store."""

    def __init__(self, store: MirroredStore, primary: PostgresStore, alerts: Alerts, folder: Path) -> None:
        self.store = store
        self.primary = primary
        self.alerts = alerts
        self.folder = folder
        self.recoveries = 0
        """How often it was told that the database is there again, or its rows are."""

    async def answers(self, state: State) -> None:
        """Wait until the database or the mirror answers."""

        async def does() -> bool:
            with suppress(StoreError):
                await self.store.position()
            return self.store.standing().state is state

        await until(does)

    def alert_ids(self) -> set[str]:
        return {alert.id for alert in self.alerts.open()}


@asynccontextmanager
async def instance(
    url: str, folder: Path, *, lease: Lease | None = None, sources: Sources = (), wait: bool = True
) -> AsyncIterator[Instance]:
    """A mirrored store that is kept as the service keeps it."""
    alerts = Alerts(instance=folder.name)
    primary = PostgresStore(address.parse(url), connections_max=4, chain=CHAIN)

    async def prepare() -> None:
        try:
            await runner.migrate(url)
        except runner.SchemaError as error:
            raise StoreError(str(error)) from error

    async def recovered() -> None:
        made.recoveries += 1

    store = MirroredStore(
        primary,
        MirrorFile(folder / FILE_NAME, lambda path: LocalStore(path, chain=CHAIN), alerts, clock=now),
        lease or Alone(),
        alerts,
        clock=now,
        prepare=prepare,
        sources=sources,
    )
    await store.open()
    made = Instance(store, primary, alerts, folder)
    keeping = asyncio.create_task(store.keep(recovered))
    try:
        if wait:
            await made.answers(State.PRIMARY)
        yield made
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        await store.close()


async def mirror_of(made: Instance) -> LocalStore:
    """The file beside the database."""
    return made.store._mirror


class Writable(Protocol):
    """What a change can be made in."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...


async def write(store: Writable, name: str, text: str = "", by: str = "me") -> int:
    """Save the next version of a segment, with its audit entry; its number."""
    async with store.transaction() as transaction:
        before = await transaction.find(Kind.SEGMENT, name)
        number = 1 if before is None else before.version + 1
        content = f'{{"id":"{name}","note":"{text}"}}'.encode()
        action = "created" if before is None else "updated"
        version = StoredVersion(version=number, content=content, action=action, actor=by, reason="", at=now())
        await transaction.put(Kind.SEGMENT, name, version)
        entry = StoredAudit(
            at=now(),
            actor=by,
            role="admin",
            action=action,
            kind="segment",
            subject=name,
            version_before=number - 1 or None,
            version_after=number,
        )
        await transaction.add_audit(entry)
    return number


async def segments(store: MirroredStore | PostgresStore | LocalStore) -> dict[str, bytes]:
    """What is there, by id."""
    return {one.id: one.content for one in await store.everything(Kind.SEGMENT)}


def noted(text: str) -> bytes:
    return f'"note":"{text}"'.encode()


async def chain_is_sound(store: MirroredStore | PostgresStore | LocalStore) -> bool:
    """Whether every entry follows on the one before it, without a gap."""
    entries = list(reversed(await store.audit_page(None, None, None, 100_000)))
    previous = b""
    for number, entry in enumerate(entries, 1):
        if entry.number != number or entry.previous_hash != previous or not CHAIN.is_sound(entry):
            return False
        previous = entry.hash or b""
    return True


def stored(found: Stored | None) -> Stored:
    assert found is not None
    return found


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()
