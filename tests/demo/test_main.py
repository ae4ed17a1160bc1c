"""`python -m demo` as people start and stop it."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "demo", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env=os.environ.copy()) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_opens_where_it_says_and_closes_when_asked(number: signal.Signals) -> None:
    with started("--listen", "127.0.0.1:0") as process:
        assert process.stdout
        address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert address
        with urllib.request.urlopen(address[0], timeout=DEADLINE_S) as response:
            assert b"Tea for every sort of weather" in response.read()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_slow_page_does_not_hold_up_the_closing() -> None:
    with started("--listen", "127.0.0.1:0", "--slow-chunk-ms", "60000") as process:
        assert process.stdout
        address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert address
        with urllib.request.urlopen(f"{address[0]}slow", timeout=DEADLINE_S) as response:
            assert response.read(15) == b"<!DOCTYPE html>"
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, errors) == (0, "")


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started("--listen", f"127.0.0.1:{port}") as process:
            output, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, output) == (3, "")
    assert errors == (
        f"demo: can't listen on 127.0.0.1:{port}: the port is taken; "
        "stop what listens there or choose another with --listen\n"
    )


def test_an_address_of_another_machine_is_one_clear_line() -> None:
    with started("--listen", "192.0.2.1:0") as process:
        _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 3
    assert errors.count("\n") == 1
    assert "192.0.2.1" in errors


@pytest.mark.parametrize("listen", ["8082", "127.0.0.1:", "127.0.0.1:many", "127.0.0.1:65536"])
def test_an_address_that_is_none_is_wrong_usage(listen: str) -> None:
    with started("--listen", listen) as process:
        _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert "is not HOST:PORT" in errors
