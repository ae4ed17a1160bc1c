"""Which socket a generation listens on; its life as a process is in tests/end_to_end/test_proxy_restarts.py."""

import os
import socket

import pytest

from sidecar.processes.door import BEAT
from sidecar.processes.supervision import Generation, listening_on, taken_or_opened
from sidecar.settings import SidecarSettings


@pytest.mark.parametrize("written", ["127.0.0.1:0", ""], ids=["same address", "somebody else chose it"])
def test_a_socket_that_was_kept_is_taken(written: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as kept,
        taken_or_opened([written, os.dup(kept.fileno())], "127.0.0.1:0") as taken,
    ):
        assert taken.getsockname() == kept.getsockname()
        assert not taken.getblocking()


def test_for_another_address_another_socket_is_opened_and_the_kept_one_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as kept:
        descriptor = os.dup(kept.fileno())
        with taken_or_opened(["127.0.0.1:1", descriptor], "127.0.0.1:0") as opened:
            assert opened.getsockname() != kept.getsockname()
            assert opened.fileno() == descriptor or not os.path.exists(f"/proc/self/fd/{descriptor}")  # noqa: PTH110


def test_a_port_that_is_taken_is_said_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=rf"can't listen on {address}: Address already in use"):
            listening_on(address)


async def test_a_door_that_ended_before_it_heard_everything_has_ended() -> None:
    """What it had not read makes its end a reset (unix(7)): nobody may be left behind."""
    settings = SidecarSettings(upstream="http://127.0.0.1:1", workers=1)
    ours, theirs = socket.socketpair()
    with ours, socket.socket() as visitors, socket.socket() as operators:
        generation = Generation(settings, visitors, operators, ours, switched_off=False, lost={})
        ours.send(BEAT)
        theirs.close()
        await generation._listen()
        assert generation._told.is_set()
