"""Commands as they are typed, run in this process: standard input, a folder and an environment of their own.

Counterpart: `tests/end_to_end/test_command_line.py` starts real processes; here the edges are cheap.
"""

import io
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layout_mutation.__main__ import main

FOREIGN = ("SIDECAR_", "CONTROL_PLANE_", "DATABASE_URL", "REDIS_URL", "LAYOUT_MUTATION_", "LOG_LEVEL")


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    def is_one_error(self, code: int) -> bool:
        """Nothing but one line on standard error that says it is one, and this exit code."""
        one_line = self.err.startswith("error: ") and self.err.count("\n") == 1 and self.err.endswith("\n")
        return (self.code, self.out, one_line) == (code, b"", True)


class CommandLine:
    """Runs commands in `folder`. The settings of whoever runs the tests stay outside, for as long as a command runs."""

    def __init__(self, folder: Path, capture: Any) -> None:
        self.folder = folder
        self._capture = capture

    def __call__(self, *words: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> Ran:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            for name in [name for name in os.environ if name.startswith(FOREIGN)]:
                patch.delenv(name)
            for name, value in (environment or {}).items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            self._capture.readouterr()
            try:
                code = main(list(words))
            except SystemExit as end:  # argparse: help, or wrong usage
                code = end.code if isinstance(end.code, int) else 1
            out, err = self._capture.readouterr()
        return Ran(code, out, err.decode())

    def write(self, name: str, text: str | bytes) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path
