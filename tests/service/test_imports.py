"""A server imports what it is made of and nothing else, and is afterwards a process like any other."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from service import imports

SERVERS = ("sidecar.processes.supervision", "sidecar.processes.workers", "control_plane.__main__")
CODE = f"""
import gc, sys
from service import imports
imports.begin()
import {", ".join(SERVERS)}
imports.end()
assert gc.isenabled()
print(*sorted({{name.partition(".")[0] for name in sys.modules}} & set(imports.UNASKED)))
import opentelemetry.sdk.trace, rich.console, sidecar.tracing.delivery
print("afterwards")
"""


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    yield
    gc.enable()


def test_a_server_has_nothing_that_nobody_asked_for_and_gets_it_when_somebody_does() -> None:
    ran = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=60)
    assert (ran.stdout, ran.stderr) == ("\nafterwards\n", "")


def test_what_is_there_already_stays() -> None:
    there = ModuleType("rich")
    modules: dict[str, ModuleType | None] = {"rich": there}
    imports.begin(modules)
    assert not gc.isenabled()
    assert modules == {"rich": there, "opentelemetry": None}
    imports.end(modules)
    assert gc.isenabled()
    assert modules == {"rich": there}


def test_an_end_without_a_beginning_does_no_harm() -> None:
    modules: dict[str, ModuleType | None] = {}
    imports.end(modules)
    assert modules == {}
