"""The log files of child processes: followed while they grow, cut before they fill the disk.

The children write to the files themselves, so that none of them ever waits for us. Counterpart: `processes.py` opens
the files for appending, which is why cutting them under a writer is safe.

Never parses a line.
"""

import shutil
from contextlib import suppress
from pathlib import Path

SIZE_BYTES_MAX = 4 * 1024 * 1024  # and the same again in `.1`: some days of a demo
READ_BYTES_MAX = 256 * 1024  # shown at once by `--verbose`


class LogFile:
    """One growing file, from its present end on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = self._size()
        self._rest = b""

    def new_lines(self) -> list[str]:
        """The whole lines that came since the last call."""
        size = self._size()
        if size < self._offset:
            self._offset = 0
        if size == self._offset:
            return []
        with self.path.open("rb") as file:
            file.seek(self._offset)
            new = file.read(READ_BYTES_MAX)
        self._offset += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    def trim(self) -> None:
        """Once it is too long, keep a copy as `.1` in place of the last one and start anew.

        What is written between the copy and the cut is lost: a line of a log, for a bound that holds.
        """
        if self._size() <= SIZE_BYTES_MAX:
            return
        with suppress(OSError):  # no room for the copy: all the more reason to cut
            shutil.copyfile(self.path, self.path.with_name(f"{self.path.name}.1"))
        with self.path.open("r+b") as file:
            file.truncate(0)
        self._offset = 0

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0
