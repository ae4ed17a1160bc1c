"""Peers: other control planes that hold backups of this installation, to be asked when nothing nearer has one.

Their addresses and tokens are in the environment, as the store that could hold them is what is gone; the shelf `peers` has the name of the
variable with the token. Counterparts: `control_plane.api.backups` gives its newest to a peer that may have it, `rescue.py` asks and judges.
Never: a redirect that is followed with a token, or more bytes and seconds than are bounded here.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import msgspec
from msgspec import Struct

from control_plane.alerts import Alerts, Severity
from control_plane.backups.files import FILE_MODE
from control_plane.backups.lines import BackupError, PlaceError
from control_plane.settings import PEER_TOKENS, ControlPlaneSettings
from control_plane.store import Shelf, Store

PATH = "/api/layout-mutation/backups/newest/file"
BYTES_MAX = 8 * 1024**3
CONNECT_TIMEOUT_S = 5.0
SILENCE_S_MAX = 30.0  # between two pieces
TOTAL_S_MAX = 900.0  # for one peer, with the look at what it gave
CHUNK_BYTES = 1024 * 1024
LOOK_EVERY = timedelta(days=1)
PEERS_REFUSE = "peers_refuse"
_HOW = "make a token there (`layout-mutation token --role peer --subject NAME --ttl 366d`), and name its subject in that service's CONTROL_PLANE_BACKUP_READERS"


class Peer(Struct, frozen=True):
    """One of them."""

    name: str
    url: str
    """Its API is below that."""
    token: str

    def __repr__(self) -> str:
        return f"Peer({self.name!r}, {self.url!r})"


class NotedPeer(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the shelf has of a peer."""

    id: str
    url: str
    token_variable: str
    """Where the token is: the name of an environment variable."""


def peers_of(settings: ControlPlaneSettings) -> tuple[Peer, ...]:
    """The peers of the settings, in their order."""
    return tuple(Peer(name, url.rstrip("/"), settings.peer_tokens[name]) for name, url in settings.peers.items())


async def note(peers: Sequence[Peer], store: Store, clock: Callable[[], datetime]) -> None:
    """Put down on the shelf who they are, where that is not there yet; raises StoreError."""
    known = {thing.id: thing.content for thing in await store.shelf(Shelf.PEER)} if peers else {}
    for peer in peers:
        noted = msgspec.json.encode(NotedPeer(id=peer.name, url=peer.url, token_variable=PEER_TOKENS))
        if known.get(peer.name) != noted:
            async with store.transaction() as transaction:
                await transaction.keep(Shelf.PEER, peer.name, noted, clock())


async def look(peers: Sequence[Peer], alerts: Alerts) -> None:
    """Ask each whether it would give its newest backup, and tell of those that would not: a token may have ended."""
    problems = list[str]()
    for peer in peers:
        try:
            async with _answer(peer, "HEAD", SILENCE_S_MAX):
                pass
        except BackupError as error:
            problems.append(f"{peer.name}: {error}")
    if problems:
        advice = "Do what the detail says while nothing is lost yet: this is who would be asked when all else is gone."
        alerts.report(PEERS_REFUSE, Severity.WARNING, "A peer would give no backup now.", advice, "; ".join(problems))
    else:
        alerts.settle(PEERS_REFUSE)


async def fetch(peer: Peer, target: Path, *, bytes_max: int = BYTES_MAX, silence_s_max: float = SILENCE_S_MAX) -> None:
    """Bring the newest backup of a peer to `target`; raises BackupError, which says why there is none and what to do."""
    async with _answer(peer, "GET", silence_s_max) as response:
        await _keep(response.content.iter_chunked(CHUNK_BYTES), target, bytes_max)


@asynccontextmanager
async def _answer(peer: Peer, method: str, silence_s_max: float) -> AsyncIterator[aiohttp.ClientResponse]:
    """What a peer has to say, where that is a backup; raises BackupError."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=silence_s_max)
    headers = {"Authorization": f"Bearer {peer.token}", "Accept-Encoding": "identity"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.request(method, peer.url + PATH, headers=headers, allow_redirects=False) as response,
        ):
            _check_answer(peer, response.status)
            yield response
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise PlaceError(f"{peer.url} can't be asked: {_why(error)}") from None


@asynccontextmanager
async def bounded() -> AsyncIterator[None]:
    """All that is done with one peer; BackupError after TOTAL_S_MAX."""
    try:
        async with asyncio.timeout(TOTAL_S_MAX):
            yield
    except TimeoutError:
        raise BackupError(f"it took more than {TOTAL_S_MAX:.0f} s") from None


def _check_answer(peer: Peer, status: int) -> None:
    if status in (401, 403):
        raise BackupError(f"{peer.url} gives no backup to our token ({status}): {_HOW}")
    if status == 404:
        raise BackupError(f"{peer.url} has no backup of its installation")
    if status != 200:
        raise BackupError(
            f"{peer.url} answered {status} in place of a backup; look at CONTROL_PLANE_PEERS and at its log"
        )


async def _keep(chunks: AsyncIterator[bytes], target: Path, bytes_max: int) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        left = bytes_max
        async for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise BackupError(f"it is larger than {bytes_max:,} bytes, the most that is taken from a peer")
            await asyncio.to_thread(file.write, chunk)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error)[:300] or type(error).__name__
