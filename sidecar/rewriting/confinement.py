"""What every child of a worker is: confined, and answering messages one by one over an inherited socket.

A message is a length (four bytes, big-endian) and that many bytes. The child says an empty message when it is ready, then
answers until the socket ends.
Counterparts: `child.py` is the worker's end of the wire; `rewriter.py` and `verifier.py` are what children do.
Never: the event loop, Redis, the network, secrets (a child's environment has none), files after its imports.
"""

import argparse
import ctypes
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

LENGTH_BYTES = 4
MESSAGE_BYTES_MAX = 128 * 1024 * 1024
"""The largest page that a setting allows (64 MiB) fits with its groups; a larger length is nonsense."""

ADDRESS_SPACE_BYTES_MAX = 2 * 1024 * 1024 * 1024
"""Measured: 30 MB when idle, 0.1 GB for 4 MiB of text, 0.62 GB for 4 MiB of nothing but `<b>`. What needs more than
this would take the machine's memory before the deadline ends it."""

OUT_OF_MEMORY = 71
"""Exit code of a child that a page drove over its memory (sysexits EX_OSERR)."""

PR_SET_PDEATHSIG = 1  # prctl(2)
PR_SET_DUMPABLE = 4

Answering = Callable[[bytearray], bytes]
"""A message -> what is answered. MemoryError ends the child."""


def run(answer: Answering, arguments: Sequence[str] | None = None, *, niceness: int = 0) -> None:
    """The whole life of a child: `--fd N --parent PID`, then answers until its worker is gone, or has given it up."""
    parser = argparse.ArgumentParser(description="Works for one sidecar worker, which starts it.")
    parser.add_argument("--fd", type=int, required=True, help="the inherited end of a stream socket pair")
    parser.add_argument("--parent", type=int, required=True, help="process id of the worker")
    options = parser.parse_args(arguments)
    confine(options.parent)
    with suppress(OSError):
        os.nice(niceness)
    # What is imported by now lives as long as the process: the collector need not look at it again.
    gc.freeze()
    with socket.socket(fileno=options.fd) as connection:
        connection.setblocking(True)
        with suppress(BrokenPipeError, ConnectionResetError):
            serve(connection, answer)


def confine(parent: int) -> None:
    """Bound what this process may take, and tie its life to its worker's.

    The end of the socket ends an idle child; a child that hangs in a page needs the kernel's help (Linux only).
    SIGINT of a terminal reaches the whole process group: the worker finishes its visitors first and then closes us.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES_MAX, ADDRESS_SPACE_BYTES_MAX))
        prctl: Any = ctypes.CDLL(None).prctl
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # A core of a page may hold a visitor's data, and RLIMIT_CORE does not stop one that is piped to a program.
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the worker ended before its child began")


def serve(connection: socket.socket, answer: Answering) -> None:
    """Say that we are ready, answer messages one by one until the other end closes. `connection` is blocking."""
    connection.sendall(framed(b""))
    while (message := _receive(connection)) is not None:
        try:
            said = answer(message)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        connection.sendall(framed(said))


def framed(message: bytes) -> bytes:
    """The message behind its length."""
    return len(message).to_bytes(LENGTH_BYTES, "big") + message


def _receive(connection: socket.socket) -> bytearray | None:
    """The next message, None when the other end has closed."""
    prefix = _receive_exactly(connection, LENGTH_BYTES)
    if prefix is None:
        return None
    length = int.from_bytes(prefix, "big")
    if length > MESSAGE_BYTES_MAX:
        raise SystemExit(f"a message of {length} bytes: the worker and its child are out of step")
    return _receive_exactly(connection, length)


def _receive_exactly(connection: socket.socket, length: int) -> bytearray | None:
    message = bytearray(length)
    missing = memoryview(message)
    while missing:
        received = connection.recv_into(missing, 0, socket.MSG_WAITALL)
        if received == 0:
            return None
        missing = missing[received:]
    return message
