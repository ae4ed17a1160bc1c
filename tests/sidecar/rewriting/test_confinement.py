"""A child's loop, over a real socket pair and in this process. Whole children are tested by those that ask them."""

import socket
import threading
from collections.abc import Iterator

import pytest

from sidecar.rewriting.confinement import framed, serve


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    """Our end; at the other `serve` answers in capitals, and ends when ours closes."""
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    thread = threading.Thread(target=serve, args=(theirs, lambda message: bytes(message.upper())))
    thread.start()
    yield ours
    ours.close()
    thread.join(5)
    theirs.close()
    assert not thread.is_alive()


def hear(connection: socket.socket) -> bytes:
    length = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), "big")
    return connection.recv(length, socket.MSG_WAITALL) if length else b""


def test_ready_then_answers_in_order(connection: socket.socket) -> None:
    assert hear(connection) == b""
    connection.sendall(framed(b"one") + framed(b"") + framed(b"three"))
    assert [hear(connection) for _ in range(3)] == [b"ONE", b"", b"THREE"]


@pytest.mark.parametrize("length", [2, 4, 6])
def test_an_end_in_the_middle_of_a_message_is_an_end(connection: socket.socket, length: int) -> None:
    assert hear(connection) == b""
    connection.sendall(framed(b"four")[:length])


def test_a_length_beyond_the_bound_ends_the_child() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"\xff\xff\xff\xff")
        with pytest.raises(SystemExit, match="out of step"):
            serve(theirs, bytes)
