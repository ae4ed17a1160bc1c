"""PostgreSQL in surroundings of the tests' making: on a small disk, with a clock that can be moved, standing still.

Counterpart: `tests.end_to_end.faults.surroundings` has the clock. Never: the machine's own clock or disk, or a mount that outlives
its block.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from layout_mutation.embedded.postgres import EmbeddedPostgres
from layout_mutation.processes import Program
from tests.end_to_end.stack import standing_still

DISK_BYTES = 256 * 1024 * 1024
"""Room for a new cluster, and little more."""


class ClockedPostgres(EmbeddedPostgres):
    """A server whose processes get further variables, such as those that move a clock."""

    def __init__(self, *arguments: Any, variables: Mapping[str, str], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._variables = variables

    def _program(self, name: str, *arguments: str) -> Program:
        program = super()._program(name, *arguments)
        if name != "postgres":  # whoever makes the cluster has the true time
            return program
        given = (f"{name}={value}" for name, value in self._variables.items())
        # By `env`, once the account is the server's: the library leaves behind what another account may not open.
        return replace(program, command=("/usr/bin/env", *given, *program.command))


class SmallDisk:
    """A folder with a disk of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Leave no room."""
        with suppress(OSError), self._ballast.open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))

    def make_room(self) -> None:
        """As an operator does."""
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk | None]:
    """Mount a small disk on a new folder; None where nothing may be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0711", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield SmallDisk(folder) if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def frozen(server: EmbeddedPostgres) -> Iterator[None]:
    """Every process of the server stands still within the block."""
    leader = server.child.pid
    assert leader is not None
    with standing_still(leader):
        others = _children(leader)
        try:
            for pid in others:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in others:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def _children(parent: int) -> list[int]:
    """The processes that a process has started and that still run."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            if int((folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1]) == parent:
                found.append(int(folder.name))
    return found
