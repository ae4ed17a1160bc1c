"""How our programs start: what they import is not looked through for garbage, neither then nor later.

Every start of a worker, of its supervisor and of the control plane is mostly imports, and a fifth of that was the collector looking at
modules and classes that stay for good. Counterparts: the first and the last lines of each program.
"""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.end_to_end.stack import inherited

WATCHED = """
import gc, json, runpy, sys
program, rounds = sys.argv[1], []
gc.callbacks.append(lambda phase, _: rounds.append(phase) if phase == "start" else None)
begun = len(sys.modules)
try:
    runpy.run_module(program, run_name="__main__", alter_sys=True)
except SystemExit:
    said = [len(sys.modules) - begun, len(rounds), gc.get_freeze_count(), gc.isenabled()]
    sys.__stderr__.write(json.dumps(said))
"""
"""Runs a program, and says what the collector did before that ended."""


@pytest.mark.parametrize(
    "program", ["sidecar", "sidecar.processes.supervision", "sidecar.processes.workers", "control_plane"]
)
def test_imports_are_no_garbage(program: str, clone: Path) -> None:
    command = [sys.executable, "-c", WATCHED, program, "--help"]
    done = subprocess.run(command, capture_output=True, cwd=clone, env=inherited(), check=True)
    modules, rounds, frozen, collects = msgspec.json.decode(done.stderr, type=tuple[int, int, int, bool])
    assert modules > 100
    assert rounds < 5, "the collector ran while modules were imported"
    assert frozen > 10 * modules
    assert collects
