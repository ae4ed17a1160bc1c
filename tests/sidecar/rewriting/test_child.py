"""The wire to one child process."""

import asyncio
import os
import sys

import pytest

from sidecar.rewriting.child import MALLOC, Child, environment
from tests.sidecar.waiting import until

ECHO = """
import socket, sys
connection = socket.socket(fileno=int(sys.argv[2]))
connection.sendall(bytes(4))
while data := connection.recv(65536):
    connection.sendall(data)
"""


class Heard:
    """A child and what it said."""

    def __init__(self) -> None:
        self.ready = False
        self.replies: list[bytes] = []
        self.ends: list[str] = []
        self.child = Child(on_ready=self._on_ready, on_reply=self._on_reply, on_end=self._on_end)

    def _on_ready(self, _: Child) -> None:
        self.ready = True

    def _on_reply(self, _: Child, message: bytes) -> None:
        self.replies.append(message)

    def _on_end(self, _: Child, why: str) -> None:
        self.ends.append(why)


async def started(program: str) -> Heard:
    heard = Heard()
    await heard.child.start((sys.executable, "-c", program))
    return heard


async def test_messages_of_any_size_cross_whole() -> None:
    heard = await started(ECHO)
    await until(lambda: heard.ready)
    messages = [b"x", os.urandom(100_000), os.urandom(5_000_000)]
    for message in messages:
        heard.child.ask(message)
    await until(lambda: len(heard.replies) == 3)
    assert heard.replies == messages
    heard.child.hang_up()
    assert await heard.child.reaped() == "exit code 0"
    assert heard.ends == []


async def test_the_end_of_a_child_is_heard_once() -> None:
    heard = await started(ECHO)
    await until(lambda: heard.ready)
    assert heard.child.pid is not None
    os.kill(heard.child.pid, 9)
    await until(lambda: bool(heard.ends))
    assert await heard.child.reaped() == "killed by SIGKILL"
    assert len(heard.ends) == 1


async def test_after_end_nothing_is_heard() -> None:
    heard = await started(ECHO)
    await until(lambda: heard.ready)
    heard.child.ask(b"question")
    heard.child.end()
    await heard.child.reaped()
    await asyncio.sleep(0)
    assert (heard.replies, heard.ends) == ([], [])


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("bytes([0, 0, 0, 1, 65])", "out of turn"),
        ("bytes(8)", "out of turn"),
        (r"b'\xff\xff\xff\xff'", "too long"),
    ],
)
async def test_nonsense_ends_the_child(said: str, why: str) -> None:
    heard = await started(
        f"import os, sys; os.write(int(sys.argv[2]), {said}); sys.stdin = open(0); os.read(int(sys.argv[2]), 1)"
    )
    await until(lambda: bool(heard.ends))
    assert why in heard.ends[0]
    await heard.child.reaped()


async def test_a_program_that_can_not_be_run_is_an_os_error() -> None:
    heard = Heard()
    with pytest.raises(FileNotFoundError):
        await heard.child.start(("/nonexistent/program",))
    heard.child.end()
    assert await heard.child.reaped() == "never started"


def test_the_child_is_told_where_modules_are_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:secret@127.0.0.1/0")
    monkeypatch.setenv("MALLOC_TOP_PAD_", "0")
    known = environment()
    assert "REDIS_URL" not in known
    assert known["MALLOC_TOP_PAD_"] == "0"
    assert known["MALLOC_MMAP_THRESHOLD_"] == MALLOC["MALLOC_MMAP_THRESHOLD_"]
    assert set(sys.path) - {""} == set(known["PYTHONPATH"].split(os.pathsep))
