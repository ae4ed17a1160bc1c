"""How much memory a process holds together with its children, as Linux tells it.

Counterpart: `slots` compares it with what the settings allow. Never: memory that other processes share, such as the pages
of programs and libraries; they would be counted once for each.
"""

import os
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROCESSES = Path("/proc")


def held_bytes(pid: int) -> int:
    """What `pid` and all that descend from it hold, in bytes; 0 where nothing is told (it has ended, or no Linux)."""
    total, waiting = 0, [pid]
    while waiting:
        process = _PROCESSES / str(waiting.pop())
        total += _own_bytes(process)
        waiting += _children(process)
    return total


def _own_bytes(process: Path) -> int:
    """Resident pages that are not a file's (proc(5), statm)."""
    try:
        _, resident, shared, *_ = (process / "statm").read_bytes().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * _PAGE_BYTES


def _children(process: Path) -> list[int]:
    """Those that any thread of it started."""
    found: list[int] = []
    try:
        for thread in (process / "task").iterdir():
            found += map(int, (thread / "children").read_bytes().split())
    except OSError:
        pass
    return found
