"""What holds for every test: real servers as fixtures, and a rule about skipping.

A test may skip for one reason only: something that set-up can't bring is missing on this machine, and the reason names
it (`Debian package: nginx`, or the folder `../shared`). `missing` is how a test asks. Where `CI` is set everything is
installed, so there a skip is reported as the failure that it hides.
With `--soak SECONDS` (which is `make soak`) there is also what takes long: the fuzzers in `tests/soak`, each for that
time, and the whole of what is otherwise tried in a seeded tenth.
Counterpart: `.ci/run` installs the packages; `tests/servers.py` and `tests/control_plane/postgres_kinds.py` start servers.
"""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import pytest

pytest_plugins = ["tests.hanging", "tests.servers", "tests.control_plane.postgres_kinds"]

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

SOAK_SECONDS = 600.0
"""How long each fuzzer runs where `--soak` does not say."""
SHARE_IN_A_HURRY = 0.1
"""What is tried without `--soak`, of what is tried with it."""

FIGURES = pytest.StashKey[list[str]]()

SLOW = tuple(Path(__file__).parent / name for name in ("end_to_end/faults", "end_to_end", "browser", "deploy"))

MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 4 * 1024**3
"""Several times what all servers of a run write."""

BEYOND_PATH = ("/usr/sbin", "/usr/local/sbin", "/usr/lib/postgresql/15/bin")
"""Where Debian puts servers, and an ordinary user's PATH does not look."""


def pytest_configure() -> None:
    """What tests write again and again stays in memory, and programs that they start are compiled once.

    A database is hundreds of files: on a disk, making and removing one costs ten times what it does in memory. `TMPDIR`
    says otherwise, as does a small or locked /dev/shm, which is what containers have. Nor is garbage looked for while twelve
    thousand tests are collected, which takes a third of the time then.
    """
    gc.disable()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if "TMPDIR" not in os.environ and _has_room(MEMORY):
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def _has_room(folder: Path) -> bool:
    """Whether servers may run in a folder, with their data and their programs."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    there = os.statvfs(folder)
    return there.f_bavail * there.f_frsize >= MEMORY_BYTES_MIN and not there.f_flag & os.ST_NOEXEC


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--soak", type=float, metavar="SECONDS", help="also what takes long; each fuzzer runs for so many seconds"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`tests/soak` is for `--soak`; a path named on the command line is run all the same."""
    return True if collection_path.name == "soak" and config.getoption("--soak") is None else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest comes first: the last file to begin decides when all is over, where several run side by side.

    What is marked `soak` is for `--soak`: another test shows nearly the same in less time.
    """
    if config.getoption("--soak") is None:
        items[:] = [item for item in items if item.get_closest_marker("soak") is None]
    turns = {path: _turn(path) for path in {item.path for item in items}}
    items.sort(key=lambda item: turns[item.path])


def _turn(path: Path) -> int:
    """Which of `SLOW` a file is in, or the number after the last."""
    return next((at for at, folder in enumerate(SLOW) if folder in path.parents), len(SLOW))


def pytest_collection_finish() -> None:
    """What was collected stays until the end of the run: no later look for garbage goes through it."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(FIGURES, [])
    if lines and config.getoption("--soak") is not None:
        terminalreporter.section("figures")
        terminalreporter.write("".join(f"{line}\n" for line in lines))


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Say what was counted or measured; `--soak` prints it at the end."""
    return pytestconfig.stash.setdefault(FIGURES, []).append


@pytest.fixture(scope="session")
def soak_seconds(pytestconfig: pytest.Config) -> float:
    """How long a fuzzer is to run."""
    given = pytestconfig.getoption("--soak")
    return SOAK_SECONDS if given is None else given


@pytest.fixture(scope="session")
def soak_share(pytestconfig: pytest.Config) -> float:
    """The share of a long series of tries that is to be made."""
    return SHARE_IN_A_HURRY if pytestconfig.getoption("--soak") is None else 1.0


@pytest.fixture(scope="session")
def missing() -> Callable[[str, str], str]:
    """`program = missing("nginx", "nginx")`: the path of a program, or a skip that names the Debian package."""
    return debian_program


def debian_program(program: str, package: str) -> str:
    """The path of a program that only Debian brings; skips the test, naming the package, where it is not there."""
    path = shutil.which(program) or shutil.which(program, path=os.pathsep.join(BEYOND_PATH))
    if path is None:
        pytest.skip(f"{program} is not installed (Debian package: {package})")
    return path


@pytest.fixture(scope="session")
def clone() -> Path:
    """The root of this clone."""
    return Path(__file__).resolve().parent.parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _judged((yield))


def _judged(report: Report) -> Report:
    """A skip as it counts on this machine: as a skip, or under `CI` as the failure that it is there."""
    if report.skipped and in_ci() and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = (
            f"{reason}\nA skip is a failure where CI is set, as everything is installed there: "
            "add the package to .ci/run, or make the test need less."
        )
    return report


def in_ci() -> bool:
    """Whether `CI` is set to anything but a no."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")
