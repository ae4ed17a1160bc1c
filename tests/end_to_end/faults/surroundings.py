"""What a machine can do to a program: a disk without room, a network that swallows packets, a clock that jumps.

Each has a true way that needs root, as CI has it, and one that does not. Nothing outside what is made here is touched: both
ends of the network are in namespaces of their own, without a way out, and the machine's clock stays what it is.
Counterpart: `tests.end_to_end.faults.test_fault_matrix`. Never: a mount or a namespace that outlives its block.
"""

import ctypes
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

from layout_mutation.embedded.ports import LOOPBACK
from layout_mutation.embedded.valkey import EmbeddedValkey
from tests.end_to_end.stack import Sidecar

Result = TypeVar("Result")

DISK_BYTES = 1024 * 1024
FILE_BYTES_MAX = 64 * 1024
"""Where nothing can be mounted: the largest file that a worker may write."""
NEAR, FAR = "10.77.0.1", "10.77.0.2"
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of setns(2)."""


class SmallDisk:
    """A folder on a disk of a megabyte; where nothing may be mounted, one in which files can't grow."""

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.folder = folder
        self._mounted = mounted

    def fill(self, sidecar: Sidecar) -> None:
        """From now on nothing can be written."""
        if not self._mounted:
            for pid in sidecar.pids():
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
            return
        with suppress(OSError), (self.folder / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(512))


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount a small disk on `folder`, if that is allowed."""
    tried = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    mounted = tried.returncode == 0
    try:
        yield SmallDisk(folder, mounted=mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


class FarValkey(EmbeddedValkey):
    """A server on the far end of the wire."""

    @property
    def url(self) -> str:
        return super().url.replace(LOOPBACK, FAR)

    def _configuration(self) -> str:
        return super()._configuration().replace(f"bind {LOOPBACK}", f"bind {FAR}")


class Wire:
    """Two network namespaces and a wire between them, which can be cut. Needs root."""

    def __init__(self) -> None:
        self._names = [f"lm-{os.getpid()}-{end}" for end in ("near", "far")]
        self._threads: list[ThreadPoolExecutor] = []

    def __enter__(self) -> Self:
        near, far = self._names
        for name in self._names:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", near, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", far)
        for name, address in ((near, NEAR), (far, FAR)):
            _ip("-n", name, "address", "add", f"{address}/30", "dev", "wire")
            _ip("-n", name, "link", "set", "wire", "up")
        self._threads = [ThreadPoolExecutor(1, initializer=_enter, initargs=(name,)) for name in self._names]
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.shutdown()
        for name in self._names:
            _ip("netns", "delete", name)

    def near(self, do: Callable[[], Result]) -> Result:
        """Do something at the near end: sockets and processes made by it are there."""
        return self._threads[0].submit(do).result()

    def far(self, do: Callable[[], Result]) -> Result:
        """Do something at the far end."""
        return self._threads[1].submit(do).result()

    def cut(self) -> None:
        """Packets that leave the near end vanish from now on: no answer, and no refusal either."""
        _ip("-n", self._names[1], "address", "del", f"{FAR}/30", "dev", "wire")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _enter(name: str) -> None:
    """Move this thread, and it alone, into a network namespace."""
    descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), f"no entry into {name}")
    finally:
        os.close(descriptor)


class Clock:
    """A clock that is moved under the processes that are started with `settings`. The monotonic one stays."""

    def __init__(self, library: str, file: Path) -> None:
        self._file = file
        self.settings = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }
        self.jump("+0")

    def jump(self, offset: str) -> None:
        """To so far from the true time, for example `+1y` or `-3600`."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(offset + "\n")
        draft.replace(self._file)
