"""The data folder of `up`: where everything of one installation on this machine lives.

    .env             keys and addresses (`keyring.py`)     lock           held while `up` runs
    postgres/        the embedded PostgreSQL               valkey/        the embedded Valkey
    control-plane/   the control plane's local mirror      sidecar/       its snapshot of the decision table
    logs/            what the processes print              run/           who the running processes are
    seeded           the demo's mutations were imported

Counterpart: `up.py`. One `up` at a time has a folder: the kernel's lock goes with the process, however it ends.
Never deletes data.
"""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layout_mutation.embedded.account import can_reach, open_folder, server_account
from layout_mutation.processes import Account, RunError

FOLDER_NAME = ".layout-mutation"
SYSTEM_FOLDER = Path("/var/lib/layout-mutation")
FIRST_START_BYTES = 200 * 1024 * 1024  # a new cluster (40 MB), a copy of the binaries (41 MB), logs, some rows
LATER_START_BYTES = 20 * 1024 * 1024  # a WAL segment, an append-only file, logs


@dataclass(frozen=True, slots=True)
class Installation:
    """One data folder, by its absolute path."""

    folder: Path

    @property
    def dotenv(self) -> Path:
        return self.folder / ".env"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def records(self) -> Path:
        return self.folder / "run"

    @property
    def seeded(self) -> Path:
        return self.folder / "seeded"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def valkey(self) -> Path:
        return self.folder / "valkey"

    @property
    def control_plane(self) -> Path:
        return self.folder / "control-plane"

    @property
    def sidecar(self) -> Path:
        return self.folder / "sidecar"

    def create(self) -> None:
        """Make the folders, or take them as they are.

        Raises:
            RunError: the disk is full, or the folder cannot be made or reached.
        """
        with telling(self.folder):
            open_folder(self.folder, server_account())
            self.require_space()
            for folder in (self.logs, self.records, self.control_plane, self.sidecar):
                folder.mkdir(mode=0o700, exist_ok=True)

    def require_space(self) -> None:
        """Raises RunError when the disk has too little left to start on."""
        needed = LATER_START_BYTES if self.dotenv.exists() else FIRST_START_BYTES
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise full_disk(self.folder, f"{free / 1e6:.0f} MB free, {needed / 1e6:.0f} MB needed")

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Have the folder to oneself. Gives whether the run before ended without giving it back.

        Raises:
            RunError: another `up` has it; the message names its pid.
        """
        path = self.folder / "lock"
        with telling(self.folder):
            descriptor = _lock(path)
        try:
            killed_before = bool(os.pread(descriptor, 64, 0).strip())
            with telling(self.folder):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield killed_before
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def installation(data_dir: Path | None, *, embedded: bool = True) -> Installation:
    """The installation in `data_dir`; without one, that of the current folder.

    That is `.layout-mutation` here, unless root asks and the embedded servers' unprivileged user could not get there:
    then it is a folder of its own under /var/lib.
    """
    if data_dir is not None:
        return Installation(data_dir.absolute())
    return Installation(default_folder(Path.cwd(), server_account() if embedded else None))


def default_folder(here: Path, account: Account | None) -> Path:
    """The data folder for the clone or project in `here`, when the servers run as `account`."""
    folder = here.absolute() / FOLDER_NAME
    if can_reach(folder / "postgres", account) or (folder.is_dir() and can_reach(folder, account)):
        return folder
    digest = hashlib.sha256(os.fsencode(here.resolve())).hexdigest()[:12]
    return SYSTEM_FOLDER / digest


def full_disk(folder: Path, fact: str) -> RunError:
    """The one line for a full disk."""
    return RunError(f"the disk of {folder} is full ({fact}); make room or choose another folder with --data-dir")


@contextmanager
def telling(folder: Path) -> Iterator[None]:
    """Turn what the operating system says about `folder` into one line that says what to do."""
    try:
        with telling_full_disk(folder):
            yield
    except OSError as error:
        where = error.filename or folder
        raise RunError(f"{where}: {os.strerror(error.errno or 0)}; choose another folder with --data-dir") from error


@contextmanager
def telling_full_disk(folder: Path) -> Iterator[None]:
    """The same for the one trouble that any part may have at any time, be it ours or in a server's last words."""
    try:
        yield
    except RunError as error:
        if any(os.strerror(errno.ENOSPC) in line for line in error.details):
            raise full_disk(folder, str(error)) from error
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise full_disk(folder, os.strerror(error.errno).lower()) from error
        raise


def _lock(path: Path) -> int:
    """An open, locked descriptor of the file that stands at `path` while the lock is held."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
        except BlockingIOError:
            pid = os.pread(descriptor, 64, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            message = f"another `layout-mutation up` (pid {pid}) uses {path.parent}; stop it, or choose another folder"
            raise RunError(f"{message} with --data-dir") from None
        # The holder gave the lock back and removed the file between our open and our lock: take the next one.
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
