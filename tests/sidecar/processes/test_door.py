"""The door's small parts; its life with generations is in tests/end_to_end/test_proxy_restarts.py."""

import os
import socket
import subprocess
import sys

import pytest

from sidecar.processes.door import OPERATORS, VISITORS, activated

ACTIVATED = """
import os, sys
from sidecar.processes.door import activated
kept = activated({**os.environ, "LISTEN_PID": str(os.getpid())})
print({name: (address, one.getsockname()[1]) for name, (address, one) in kept.items()})
"""


@pytest.mark.parametrize(
    ("names", "expected"),
    [("operators:visitors", [OPERATORS, VISITORS]), ("", [VISITORS]), ("lm.socket", [VISITORS])],
)
def test_sockets_of_systemd_are_taken_by_name_and_the_first_without_one_is_for_visitors(
    names: str, expected: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ports = [one.getsockname()[1] for one in (first, second)]
        given = (first, second)[: len(expected)]
        redirected = " ".join(f"{3 + place}<&{one.fileno()}" for place, one in enumerate(given))
        found = subprocess.run(
            ["/bin/bash", "-c", f'exec {redirected}; exec "$0" -c "$1"', sys.executable, ACTIVATED],
            env={**os.environ, "LISTEN_FDS": str(len(given)), "LISTEN_FDNAMES": names},
            pass_fds=[one.fileno() for one in given],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    assert found.stdout.strip() == str({name: ("", port) for name, port in zip(expected, ports, strict=False)})


def test_what_systemd_says_to_another_process_is_not_for_this_one() -> None:
    assert activated({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == {}
    assert activated({}) == {}
