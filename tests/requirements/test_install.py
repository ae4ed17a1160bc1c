"""Set-up: what is done again, what is not, and how a failure reads. Nothing here uses the network."""

import io
import sys
from pathlib import Path

import pytest

from requirements.install import (
    Environment,
    SetUpError,
    complaint,
    fingerprint,
    run,
    scripts_fingerprint,
    vendored_files,
    wanted,
)
from requirements.progress import Progress


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment with a Python in it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    return Environment(tmp_path)


@pytest.fixture
def progress() -> Progress:
    return Progress("Setting up", io.StringIO())


def test_finished_steps_are_remembered(environment: Environment) -> None:
    assert environment.done() == {}
    environment.mark("run", "1")
    environment.mark("project", "2")
    environment.mark("run", "3")
    assert environment.done() == {"run": "3", "project": "2"}


@pytest.mark.parametrize("broken", ["", "{", "[]", "null"])
def test_a_record_that_is_unreadable_means_that_nothing_was_done(environment: Environment, broken: str) -> None:
    (environment.folder / "set-up.json").write_text(broken)
    assert environment.done() == {}


def test_an_environment_whose_python_went_away_is_none(environment: Environment) -> None:
    environment.mark("run", "1")
    environment.python.unlink()
    environment.python.symlink_to("/nonexistent/python3")
    assert environment.done() == {}


def test_a_step_depends_on_the_bytes_of_its_files_and_on_where_it_is(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    lock.write_text("one")
    before = fingerprint(lock, salt="here")
    assert fingerprint(lock, salt="here") == before
    assert fingerprint(lock, salt="there") != before
    lock.write_text("two")
    assert fingerprint(lock, salt="here") != before
    assert wanted("run", tmp_path)["run"] != wanted("run", tmp_path / "moved")["run"]
    assert set(wanted("dev", tmp_path)) - set(wanted("run", tmp_path)) == {"dev"}


def test_only_a_change_of_the_scripts_fetches_them_again(tmp_path: Path) -> None:
    assert wanted("run", tmp_path)["scripts"] == wanted("dev", tmp_path / "moved")["scripts"] == scripts_fingerprint()
    assert "htmx.min.js" in vendored_files().values()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (["Collecting a", "ERROR: No matching distribution found for a==1", "note: see above"],
         "No matching distribution found for a==1"),
        (["npm error code EINTEGRITY", "npm error sha512"], "code EINTEGRITY"),
        (["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"],
         "Could not install packages due to an OSError: [Errno 28] No space left on device"),
        (["    RuntimeError: it is not installed", "hint"], "RuntimeError: it is not installed"),
        (["something else", ""], "something else"),
        ([], "it said nothing"),
        (["WARNING: Retrying (Retry(total=4)) after connection broken", "ERROR: No matching distribution found for a"],
         "the package index can't be reached (pip uses the index and proxy that `pip config list` shows)"),
    ],
)  # fmt: skip
def test_a_failure_is_told_by_the_line_that_matters(said: list[str], told: str) -> None:
    assert complaint(said) == told


def test_a_tool_that_fails_is_an_error_with_all_it_said(progress: Progress) -> None:
    script = "print('first'); print('ERROR: no such thing'); raise SystemExit(4)"
    with pytest.raises(SetUpError, match="could not do it: no such thing") as caught:
        run([sys.executable, "-c", script], "do it", progress)
    assert caught.value.said == ["first", "ERROR: no such thing"]


def test_a_tool_that_is_not_there_is_an_error(progress: Progress) -> None:
    with pytest.raises(SetUpError, match=r"could not do it: .*No such file"):
        run(["/nonexistent/tool"], "do it", progress)


def test_a_tool_gets_its_folder_and_no_standard_input(progress: Progress, tmp_path: Path) -> None:
    script = "import os, sys; assert sys.stdin.read() == ''; open('here', 'w').write(os.environ['MARK'])"
    run([sys.executable, "-c", script], "do it", progress, cwd=tmp_path, environ={"MARK": "mark"})
    assert (tmp_path / "here").read_text() == "mark"
