"""The child process that runs `rules.html`, and the messages it exchanges with its worker.

Counterpart: `child.py` starts it and talks to it, `isolation.py` decides what it is asked and for how long. A page can crash or hang
a parser and nothing inside a process can interrupt that, so the parser lives here, where the loss is one page.

A message is a length (four bytes, big-endian) and that many bytes. The child says an empty message when it is ready,
then answers requests one by one until the socket ends. It answers with edits, not with a page: the worker splices them
into its own copy of the origin's bytes, so that whatever goes wrong here, bytes outside an edit stay the origin's.

Never: the event loop, Redis, the network, secrets (its environment has none), files after its imports.
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
from functools import partial
from typing import Any

import msgspec

from rules.decision import Group, Outcome
from rules.html import Edit, PassedThrough, Rewritten, Script, Touched, apply_groups
from rules.html.lessons import gaps_between, learn
from rules.html.skeleton import Gap, Lesson
from rules.reasons import Reason

LENGTH_BYTES = 4
MESSAGE_BYTES_MAX = 128 * 1024 * 1024
"""The largest page that a setting allows (64 MiB) fits with its groups; a larger length is nonsense."""

ADDRESS_SPACE_BYTES_MAX = 2 * 1024 * 1024 * 1024
"""Measured: 30 MB when idle, 0.1 GB for 4 MiB of text, 0.62 GB for 4 MiB of nothing but `<b>`. What needs more than
this would take the machine's memory before the deadline ends it."""

DECODED_BYTES_MAX = 4 * 1024 * 1024
"""Encoded size of the groups that are kept decoded; decoding a typical decision costs 10 µs, looking it up less than 1."""

OUT_OF_MEMORY = 71
"""Exit code of a child that a page drove over its memory (sysexits EX_OSERR)."""

PR_SET_PDEATHSIG = 1  # prctl(2)
PR_SET_DUMPABLE = 4


class Request(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=True):
    """One page to rewrite. `groups` is the encoded `tuple[Group, ...]` of a decision."""

    number: int
    groups: bytes
    charset: str | None
    nonce: str | None
    page: bytes
    script: Script | None = None


class Pair(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=True):
    """Two pages of one address to learn a skeleton from; `known` is where others were seen to differ from `base`."""

    number: int
    groups: bytes
    charset: str | None
    with_nonce: bool
    known: tuple[Gap, ...]
    base: bytes
    other: bytes


class Changes(msgspec.Struct, array_like=True, frozen=True):
    """A `Rewritten` without its page."""

    edits: tuple[Edit, ...]
    outcomes: tuple[Outcome, ...]
    style_hashes: tuple[str, ...]
    charset: str
    touched: tuple[Touched, ...] = ()
    calls_script: bool = False


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """The answer to the request of the same number: `changes`, or why there are none; or what was learned, if anything."""

    number: int
    changes: Changes | None = None
    passed: PassedThrough | None = None
    lesson: Lesson | None = None


Apply = Callable[..., Rewritten | PassedThrough]
"""`rules.html.apply_groups`, or what a test runs in its place."""


class DecodedGroups:
    """Groups by their encoded bytes. Forgets everything when it is full: what is still in use comes back with the next page."""

    def __init__(self, bytes_max: int = DECODED_BYTES_MAX) -> None:
        self._decoder = msgspec.msgpack.Decoder(tuple[Group, ...])
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: dict[bytes, tuple[Group, ...]] = {}

    def __getitem__(self, encoded: bytes) -> tuple[Group, ...]:
        known = self._kept.get(encoded)
        if known is not None:
            return known
        decoded = self._decoder.decode(encoded)
        if self._bytes + len(encoded) > self._bytes_max:
            self._kept.clear()
            self._bytes = 0
        self._kept[encoded] = decoded
        self._bytes += len(encoded)
        return decoded


def serve(connection: socket.socket, apply: Apply = apply_groups) -> None:
    """Say that we are ready, answer requests until the other end closes. `connection` is blocking."""
    groups = DecodedGroups()
    decode = msgspec.msgpack.Decoder(Request | Pair).decode
    encode = msgspec.msgpack.Encoder().encode
    connection.sendall(framed(b""))
    while (message := _receive(connection)) is not None:
        asked = decode(message)
        reply = answer(asked, groups, apply) if isinstance(asked, Request) else learned(asked, groups, apply)
        connection.sendall(framed(encode(reply)))


def answer(request: Request, groups: DecodedGroups, apply: Apply) -> Reply:
    """Rewrite one page. A bug in the rewriter is an answer; running out of memory ends the process."""
    try:
        result = apply(
            request.page,
            groups[request.groups],
            charset=request.charset,
            nonce=request.nonce,
            script=request.script,
            page_bytes_max=len(request.page),  # the worker has applied the setting
        )
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception as error:  # noqa: BLE001 - fail open: the page passes, and its reason names the bug
        detail = f"{type(error).__name__}: {error}"[:500]
        return Reply(request.number, passed=PassedThrough(reason=Reason.REWRITE_FAILED, outcomes=(), detail=detail))
    if isinstance(result, PassedThrough):
        return Reply(request.number, passed=result)
    changes = Changes(
        result.edits, result.outcomes, result.style_hashes, result.charset, result.touched, result.calls_script
    )
    return Reply(request.number, changes)


def learned(pair: Pair, groups: DecodedGroups, apply: Apply) -> Reply:
    """What two pages teach. A bug here teaches nothing; running out of memory ends the process."""
    try:
        gaps = gaps_between(pair.base, pair.other, pair.known)
        lesson = (
            None
            if gaps is None
            else learn(
                pair.base,
                gaps,
                groups[pair.groups],
                charset=pair.charset,
                with_nonce=pair.with_nonce,
                apply=partial(apply, page_bytes_max=MESSAGE_BYTES_MAX),
            )
        )
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception:  # noqa: BLE001 - pages are parsed as before
        lesson = None
    return Reply(pair.number, lesson=lesson)


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
        raise SystemExit(f"a request of {length} bytes: the worker and its rewriter are out of step")
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
        raise SystemExit("the worker ended before its rewriter began")


def main(arguments: Sequence[str] | None = None, apply: Apply = apply_groups) -> None:
    """`python -m sidecar.rewriter --fd N --parent PID`; started by `child.py`, never by a person."""
    parser = argparse.ArgumentParser(prog="sidecar.rewriter", description="Rewrites pages for one sidecar worker.")
    parser.add_argument("--fd", type=int, required=True, help="the inherited end of a stream socket pair")
    parser.add_argument("--parent", type=int, required=True, help="process id of the worker")
    options = parser.parse_args(arguments)
    confine(options.parent)
    # What is imported by now lives as long as the process: the collector need not look at it again.
    gc.freeze()
    with socket.socket(fileno=options.fd) as connection:
        connection.setblocking(True)
        with suppress(BrokenPipeError, ConnectionResetError):  # the worker is gone, or has given us up
            serve(connection, apply)


if __name__ == "__main__":
    main()
