"""One line that moves while a tool works: what is being done, how far it is, and for how long.

Counterpart: `install.py` runs pip and npm under it. On a terminal the line is redrawn in place; elsewhere (a log) each
step is one plain line. Never: decides anything; what a tool prints is handed on, not judged.
"""

import os
import re
import select
import shutil
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self, TextIO

FRAME_S = 0.1
BAR_WIDTH = 24

_PACKAGE = re.compile(
    r"(?:Collecting|Ignoring|Processing|Requirement already satisfied:)\s+(?:\S*/)?(\w[\w.]*(?:-[a-z]\w*)*)"
)


class Progress:
    """The display of one set-up; a context manager that says at the end how long it took, or cleans its line."""

    def __init__(self, title: str, out: TextIO = sys.stderr) -> None:
        self._title = title
        self._out = out
        self._live = out.isatty() and os.environ.get("TERM") != "dumb"
        self._started_s = time.monotonic()
        self._step, self._total, self._seen, self._detail = "", 0, 0, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()
        if kind is None:
            self._out.write(f"{self._title}: done in {time.monotonic() - self._started_s:.0f} s\n")
            self._out.flush()

    def show(self, step: str, *, total: int = 0) -> None:
        """Begin a step; `total` is how many packages it will name, 0 where that is unknown."""
        self._step, self._total, self._seen, self._detail = step, total, 0, ""
        if not self._live:
            self._out.write(f"{self._title}: {step}{f' ({total})' if total else ''} ...\n")
        self._draw()

    def follow(self, descriptor: int) -> Iterator[str]:
        """The lines that a tool writes to `descriptor` until it closes it, redrawing meanwhile."""
        rest = b""
        while True:
            if not select.select([descriptor], [], [], FRAME_S)[0]:
                self._draw()
                continue
            chunk = os.read(descriptor, 65536)
            *lines, rest = (rest + chunk).split(b"\n")
            if not chunk and rest:
                lines.append(rest)
            for line in lines:
                text = line.decode(errors="replace").rstrip()
                self._note(text)
                yield text
            self._draw()
            if not chunk:
                return

    def _note(self, line: str) -> None:
        if match := _PACKAGE.match(line):
            self._seen = min(self._seen + 1, self._total)
            self._detail = match[1]
        elif line.startswith("Installing collected packages"):
            self._seen, self._detail = self._total, "unpacking"

    def _draw(self) -> None:
        if not self._live:
            return
        elapsed = f"{time.monotonic() - self._started_s:3.0f} s"
        bar = ""
        if self._total:
            filled = BAR_WIDTH * self._seen // self._total
            bar = f"{'█' * filled}{'░' * (BAR_WIDTH - filled)} {self._seen}/{self._total} "
        line = f"{self._title} {elapsed}  {bar}{self._step}{f': {self._detail}' if self._detail else ''}"
        columns = shutil.get_terminal_size().columns
        self._out.write(f"\r\x1b[2K{line[: columns - 1]}")
        self._out.flush()

    def _clear(self) -> None:
        if self._live:
            self._out.write("\r\x1b[2K")
            self._out.flush()
