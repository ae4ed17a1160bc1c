"""Where backups are kept: a folder of this machine, and a bucket that speaks S3.

The client for S3 is obstore. Its credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, …, as
Amazon's own tools have them) and from nowhere else. Counterpart: `files.py` makes the files. Never: a look inside them.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import obstore
from msgspec import Struct
from obstore.exceptions import BaseError
from obstore.store import S3Store

from control_plane.backups.files import DRAFT, FILE_MODE, FOLDER_MODE
from control_plane.backups.lines import BackupError, Header, PlaceError
from control_plane.backups.occasions import occasion_of, word_of

T = TypeVar("T")

REMOTE_TIMEOUT = "120s"  # for one request; a part of a large file is one
REMOTE_RETRIES_S = 20.0
UNNAMED = "unknown"
_NAME = re.compile(
    r"^layout-mutation-(\d{8}T\d{6}Z)-([0-9a-f]{8}|unknown)-(\d+)(?:-(\d+)-([0-9a-f]{16}))?"
    r"(?:-([a-z]+(?:-[a-z]+)*))?\.backup(\.age)?$"
)
HASH_BYTES = 8  # of the audit's head, in a name: nobody without the key makes another entry with the same


class Found(Struct, frozen=True):
    """A backup as its name tells of it."""

    name: str
    size: int
    made_at: datetime
    installation: str
    """First eight digits of its id."""
    change: int
    audit_number: int = 0
    """Number of the audit's newest entry when it was made; 0 where the name says nothing of it."""
    audit_hash: bytes = b""
    """The first bytes of that entry's hash."""
    occasion: str = ""
    """What it is kept apart for; empty where it rotates."""


class Place(Protocol):
    """Where files are kept; every method raises PlaceError when it can't be reached."""

    @property
    def word(self) -> str:
        """`folder` or `remote`."""

    async def found(self) -> list[Found]:
        """The backups that are there, the newest first."""

    async def put(self, file: Path) -> None:
        """Keep a file under its name."""

    async def fetch(self, name: str, folder: Path) -> Path:
        """The file, at `folder` if it is not on this machine anyway."""

    async def remove(self, name: str) -> None:
        """Let go of a file; nothing happens where it is not there."""


def name_of(header: Header, *, encrypted: bool, provisional: bool = False) -> str:
    """What the file of a backup is called: when, whose and how far, so that a listing says all.

    The audit's head is in it, so that also a listing of encrypted files far away tells an audit that was cut off or rewritten;
    not that of `provisional` data, whose entries get other numbers. Last comes the occasion that it is kept apart for.
    """
    whose = UNNAMED if header.installation is None else header.installation.id[:8]
    at = header.made_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    position = header.position
    anchored = bool(position.audit_hash) and not provisional
    head = f"-{position.audit_number}-{position.audit_hash[:HASH_BYTES].hex()}" if anchored else ""
    word = word_of(header.occasion)
    apart = f"-{word}" if word else ""
    return f"layout-mutation-{at}-{whose}-{position.change}{head}{apart}.backup{'.age' if encrypted else ''}"


def named(name: str, size: int) -> Found | None:
    """What a name says; None for other files."""
    match = _NAME.match(name)
    if match is None:
        return None
    try:
        at = datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    head = int(match[4] or 0), bytes.fromhex(match[5] or "")
    return Found(name, size, at, match[2], int(match[3]), *head, occasion_of(match[6] or ""))


class Folder:
    """A folder, made when it is first needed."""

    word = "folder"

    def __init__(self, path: Path) -> None:
        self.path = path

    async def found(self) -> list[Found]:
        """The backups that are there, the newest first."""
        return await self._do(self._found)

    async def put(self, file: Path) -> None:
        """Keep a copy of a file from elsewhere."""
        await self._do(lambda: self._copy(file))

    async def fetch(self, name: str, folder: Path) -> Path:
        """The file where it is."""
        return self.path / name

    async def remove(self, name: str) -> None:
        """Let go of a file."""
        await self._do(lambda: (self.path / name).unlink(missing_ok=True))

    def _found(self) -> list[Found]:
        if not self.path.is_dir():
            return []
        files = [(entry.name, entry.stat().st_size) for entry in self.path.iterdir() if entry.is_file()]
        return _sorted(files)

    def _copy(self, file: Path) -> None:
        target = self.path / file.name
        if target == file:
            return
        self.path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        draft = target.with_name(target.name + DRAFT)
        shutil.copyfile(file, draft)
        draft.chmod(FILE_MODE)
        draft.replace(target)

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise PlaceError(f"{error.filename or self.path}: {error.strerror or error}") from error


class Bucket:
    """A bucket, or what lies under a prefix in it."""

    word = "remote"

    def __init__(self, url: str, endpoint: str = "") -> None:
        """`url`: s3://bucket/prefix; ValueError otherwise. `endpoint`: of the server, Amazon's where it is empty."""
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or "@" in parts.netloc:
            raise ValueError("CONTROL_PLANE_BACKUP_URL must be s3://bucket/prefix, without keys in it")
        if endpoint and urlsplit(endpoint).scheme not in ("http", "https"):
            raise ValueError("CONTROL_PLANE_BACKUP_ENDPOINT must begin with http:// or https://")
        more: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
        self.url = url
        self._store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={"allow_http": endpoint.startswith("http://"), "timeout": REMOTE_TIMEOUT},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=REMOTE_RETRIES_S)},
            **more,
        )

    async def found(self) -> list[Found]:
        """The backups that are there, the newest first."""

        async def work() -> list[tuple[str, int]]:
            files = []
            async for batch in obstore.list(self._store):
                files += [(one["path"], one["size"]) for one in batch]
            return files

        return _sorted(await self._do(work()))

    async def put(self, file: Path) -> None:
        """Send a file, in parts where it is large."""
        await self._do(obstore.put_async(self._store, file.name, file))

    async def fetch(self, name: str, folder: Path) -> Path:
        """Bring a file to the folder."""
        target = folder / name

        async def work() -> None:
            answer = await obstore.get_async(self._store, name)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                async for chunk in answer.stream():
                    await asyncio.to_thread(file.write, chunk)

        await self._do(work())
        return target

    async def remove(self, name: str) -> None:
        """Let go of a file."""
        await self._do(obstore.delete_async(self._store, name))

    async def _do(self, work: Any) -> Any:
        try:
            return await work
        except FileNotFoundError:
            raise BackupError(f"{self.url} has no such backup, or there is no such bucket") from None
        except (BaseError, OSError) as error:
            raise PlaceError(f"{self.url} can't be used: {_why(error)}") from error


def _sorted(files: list[tuple[str, int]]) -> list[Found]:
    found = [one for name, size in files if (one := named(name, size)) is not None]
    return sorted(found, key=lambda one: (one.made_at, one.change), reverse=True)


def _why(error: BaseException) -> str:
    """The first line of it: further ones are the client's own insides."""
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
