"""The judging child's loop, over a real socket pair and in this process."""

import socket
import threading
from collections.abc import Iterator

import msgspec
import pytest

from service.opinions import Doubt, Judged, Verdict
from sidecar.rewriter import framed
from sidecar.verifier import serve
from tests.service.judging import PAGE, groups_of, one, rewritten

CASE = rewritten(PAGE, groups_of([one("remove", "h1")]))


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    """Our end; at the other `serve` runs and ends when ours closes."""
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    thread = threading.Thread(target=serve, args=(theirs,))
    thread.start()
    yield ours
    ours.close()
    thread.join(5)
    theirs.close()
    assert not thread.is_alive()


def hear(connection: socket.socket) -> bytes:
    length = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), "big")
    return connection.recv(length, socket.MSG_WAITALL) if length else b""


def test_ready_then_judges_in_order(connection: socket.socket) -> None:
    assert hear(connection) == b""
    wrong = msgspec.structs.replace(CASE, rewritten=PAGE)
    broken = msgspec.structs.replace(CASE, groups=())
    for case in (CASE, wrong, broken):
        connection.sendall(framed(msgspec.msgpack.encode(case)))
    said = [msgspec.msgpack.decode(hear(connection), type=Judged) for _ in range(3)]
    assert [judged.opinion.verdict for judged in said] == [Verdict.AGREES, Verdict.DIFFERS, Verdict.NO_OPINION]
    assert [judged.blamed for judged in said] == [(), ("m-0",), ()]
    assert (said[2].opinion.doubt, said[2].opinion.detail) == (Doubt.FAILED, "KeyError: 'm-0'")


def test_an_end_in_the_middle_of_a_case_is_an_end(connection: socket.socket) -> None:
    assert hear(connection) == b""
    connection.sendall(framed(msgspec.msgpack.encode(CASE))[:2])
