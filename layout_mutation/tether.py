"""The first thing a child process runs: tie it to its parent, then become the program.

Counterpart: `processes.ChildProcess` starts every child as ``python -I -S tether.py … program``. The tether writes
down who the child is before it is anybody, drops root where asked, asks the kernel to end the child when its parent
ends, and replaces itself with the program.

A program of its own and not a `preexec_fn`, because Python code between fork and exec can deadlock. It runs with
``-I -S``, so it imports nothing but the standard library. It never returns to the supervisor and never logs.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # prctl(2)
PROC = Path("/proc/self/stat")
STATE, GROUP, START_TIME = 0, 2, 19  # fields of /proc/pid/stat, counted from the one after the command
ENDED = ("Z", "X")
MARK = "LAYOUT_MUTATION_RECORD"  # in the environment of a child and of its own children: the path of the record


def identity(pid: int) -> str | None:
    """What tells the process `pid` from a later one of the same number: `boot/start`, or None when there is none.

    The kernel keeps a process's start time across exec, so the identity of a tether is that of the program it
    becomes. A zombie has ended and has no identity.
    """
    if not PROC.exists():
        return _identity_from_ps(pid)
    fields = _stat(pid)
    if fields is None or fields[STATE] in ENDED:
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return f"{boot}/{fields[START_TIME]}"


def group_lives(group: int) -> bool:
    """Whether a process group has a member that is no zombie: init may be slow to bury those, or never do it."""
    if PROC.exists():
        return bool(group_members(group))
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def group_members(group: int) -> list[int]:
    """The living processes of a group; none where there is no /proc to tell."""
    pids = [int(entry.name) for entry in PROC.parents[1].iterdir() if entry.name.isdecimal()] if PROC.exists() else []
    found = [(pid, _stat(pid)) for pid in pids]
    return [pid for pid, fields in found if fields and int(fields[GROUP]) == group and fields[STATE] not in ENDED]


def carries(pid: int, record: Path) -> bool:
    """Whether a process, or whoever forked it, was started by a tether with this record."""
    try:
        return f"{MARK}={record}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/pid/stat after the command, None when there is no such process (proc(5))."""
    try:
        # The command in brackets may hold blanks and brackets; what follows the last one is plain.
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _identity_from_ps(pid: int) -> str | None:
    """The same where there is no /proc (macOS)."""
    command = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a number is all we add
    return answer.stdout.strip() or None


def write_record(record: Path) -> None:
    """Write `pid identity` of this process to `record`, whole or not at all."""
    draft = record.with_name(f"{record.name}.{os.getpid()}")
    draft.write_text(f"{os.getpid()} {identity(os.getpid())}\n", "ascii")
    draft.replace(record)


def drop_root(uid: int, gid: int) -> None:
    """Become the unprivileged user, for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def end_with_parent(parent: int, farewell: int) -> None:
    """Ask the kernel (Linux) to send `farewell` when the parent ends; leave at once if it already has.

    Comes after `drop_root`: a change of credentials clears the request.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, farewell, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the parent ended before its child began")


def main(arguments: list[str]) -> None:
    """`RECORD PARENT FAREWELL UID GID PROGRAM [ARGUMENT…]`; `-` for UID and GID keeps the user."""
    record, parent, farewell, uid, gid, *command = arguments
    os.umask(0o077)
    write_record(Path(record))
    os.environ[MARK] = record
    if uid != "-":
        drop_root(int(uid), int(gid))
    end_with_parent(int(parent), int(farewell))
    # Python ignores these two for itself; an ignored signal stays ignored across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execv(command[0], command)  # noqa: S606 - becoming the program is the purpose
    except OSError as error:
        raise SystemExit(f"{command[0]} cannot be run: {error.strerror}") from error


if __name__ == "__main__":
    main(sys.argv[1:])
