"""One plane alone: its exit code is the command's."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from layout_mutation.embedded.ports import free_port
from tests.layout_mutation.running_up import ROOT, wait_for
from tests.layout_mutation.typed import FOREIGN

DEADLINE_S = 90


@pytest.mark.parametrize(
    ("command", "environment", "names"),
    [
        ("sidecar", {}, "SIDECAR_UPSTREAM"),
        ("sidecar", {"SIDECAR_UPSTREAM": "nowhere"}, "SIDECAR_UPSTREAM"),
        ("sidecar", {"SIDECAR_UPSTREAM": "http://a", "SIDECAR_WORKERS": "many"}, "SIDECAR_WORKERS"),
        ("control-plane", {}, "CONTROL_PLANE_SIGNING_KEY"),
        ("control-plane", {"DATABASE_URL": "postgresql://a/b", "CONTROL_PLANE_SIGNING_KEY": "x"}, "JWT_SECRET"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_line(
    tmp_path: Path, command: str, environment: Mapping[str, str], names: str
) -> None:
    ran = ended(tmp_path, command, environment)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert ran.stderr.startswith(f"{command}: ")
    assert names in ran.stderr


def test_the_dotenv_of_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SIDECAR_UPSTREAM=http://127.0.0.1:1\nSIDECAR_ROLLOUT=7\n", encoding="utf-8")
    ran = ended(tmp_path, "sidecar", {})
    assert ran.returncode == 2
    assert ran.stderr.startswith("sidecar: SIDECAR_ROLLOUT")


def ended(folder: Path, command: str, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """A plane that ends by itself, in a process: the sidecar's settings are read behind its first one."""
    return subprocess.run(
        [sys.executable, "-m", "layout_mutation", command],
        cwd=folder,
        env=own_environment() | {"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def own_environment() -> dict[str, str]:
    """Without the settings of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


@contextmanager
def sidecar(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """`layout-mutation sidecar` as a process, without Redis and with an origin that is away."""
    given = {
        "PYTHONPATH": str(ROOT),
        "SIDECAR_UPSTREAM": "http://127.0.0.1:1",
        "SIDECAR_LISTEN": f"127.0.0.1:{port}",
        "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
        "SIDECAR_WORKERS": "1",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    command = [sys.executable, "-m", "layout_mutation", "sidecar"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=own_environment() | given, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def answers(port: int) -> bool:
    """Whether somebody speaks HTTP there: without an origin, with an error of its own."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=DEADLINE_S):
            return True
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            return error.code == 502
    except OSError:
        return False


def test_a_plane_that_is_stopped_when_asked_is_exit_code_0(tmp_path: Path) -> None:
    port = free_port()
    with sidecar(tmp_path, port) as process:
        wait_for(lambda: answers(port) or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors


def test_a_port_that_is_taken_is_exit_code_3(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, sidecar(tmp_path, taken.getsockname()[1]) as process:
        _, errors = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 3
        assert errors.startswith("sidecar: ")
        assert errors.count("\n") == 1
