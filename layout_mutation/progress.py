"""What a person sees of `up`: the start as it goes, the addresses when all is there, trouble in one line.

Counterpart: `supervisor.py` tells, this shows. On a terminal the start is a small live display; elsewhere plain lines.

Never shows a key. The sign-in link is the one secret that is meant to be seen: it works once.
"""

import sys
import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.progress import Progress as LiveProgress
from rich.progress import SpinnerColumn, TaskID, TextColumn

NOTES = {
    "PostgreSQL": "the system of record",
    "Valkey": "where the planes meet",
    "control plane": "admin and API",
    "sidecar": "the site, mutated",
    "demo site": "the shop to mutate",
}


class StartProgress:
    """The start, part by part. A context manager: on leaving, the live display stays as it is."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._began: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._live: LiveProgress | None = None
        if console.is_terminal:
            columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"))
            self._live = LiveProgress(*columns, console=console)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Let the display stand as it is. Safe to call twice."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def note(self, line: str) -> None:
        """One line beside the display."""
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)

    def preparing(self, part: str) -> None:
        self._began[part] = time.monotonic()
        if self._live is not None:
            self._tasks[part] = self._live.add_task(f"{part:<14} [dim]{NOTES.get(part, '')}", total=1)

    def ready(self, part: str) -> None:
        seconds = time.monotonic() - self._began[part]
        if self._live is not None:
            text = f"{part:<14} [dim]{NOTES.get(part, '')} · {seconds:.1f} s"
            self._live.update(self._tasks[part], description=text, completed=1)
        else:
            self.note(f"{part} is ready ({seconds:.1f} s)")

    def fell(self, part: str, how: str, last_lines: Sequence[str]) -> None:
        self.note(f"{part} ended {how}; starting it again. Its last words:")
        for line in last_lines[-3:]:
            self.note(f"    {line}")

    def came_back(self, part: str) -> None:
        self.note(f"{part} is back")

    def log_line(self, part: str, line: str) -> None:
        self.note(f"{part} | {line}")


def show_addresses(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """The block that ends a start: one address a line, none of them broken, to be clicked or copied."""
    width = max(len(label) for label, _ in rows)
    console.print()
    console.print("  [bold]Layout Mutation Engine[/bold] is running", highlight=False)
    console.print()
    for label, value in rows:
        console.print(f"  {label:<{width}}   {value}", soft_wrap=True, highlight=False, markup=False)
    console.print()
    console.print("  Ctrl-C stops everything.", highlight=False)
    console.print()


def show_trouble(message: str, details: Sequence[str]) -> None:
    """One line on standard error, and under it the log lines that explain it."""
    print(f"layout-mutation up: {message}", file=sys.stderr)
    for line in details:
        print(f"    {line}", file=sys.stderr)
