"""The child process that gives the second opinion: selectolax may crash in here, and nobody waits.

Counterpart: `verification.py` starts it and asks, over the wire of `child.py`: a length and that many bytes, an empty
message when it is ready. Confined like the rewriter, and of lower priority than anything that serves a visitor.
Never: the network, secrets, a page's bytes beyond the answer.
"""

import argparse
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from service.opinions import Case, Judged
from service.second_opinion import judged
from sidecar.rewriter import LENGTH_BYTES, OUT_OF_MEMORY, confine, framed

NICENESS = 10

Judge = Callable[[Case], Judged]
"""`service.second_opinion.judged`, or what a test runs in its place."""


def serve(connection: socket.socket, judge: Judge = judged) -> None:
    """Say that we are ready, answer cases one by one until the other end closes. `connection` is blocking."""
    decode, encode = msgspec.msgpack.Decoder(Case).decode, msgspec.msgpack.Encoder().encode
    connection.sendall(framed(b""))
    with connection.makefile("rb") as incoming:
        while len(prefix := incoming.read(LENGTH_BYTES)) == LENGTH_BYTES:
            message = incoming.read(int.from_bytes(prefix, "big"))
            try:
                answer = encode(judge(decode(message)))
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            connection.sendall(framed(answer))


def main(arguments: Sequence[str] | None = None, judge: Judge = judged) -> None:
    """`python -m sidecar.verifier --fd N --parent PID`; started by `verification.py`, never by a person."""
    parser = argparse.ArgumentParser(prog="sidecar.verifier", description="Judges pages for one sidecar worker.")
    parser.add_argument("--fd", type=int, required=True, help="the inherited end of a stream socket pair")
    parser.add_argument("--parent", type=int, required=True, help="process id of the worker")
    options = parser.parse_args(arguments)
    confine(options.parent)
    with suppress(OSError):
        os.nice(NICENESS)
    with socket.socket(fileno=options.fd) as connection:
        connection.setblocking(True)
        with suppress(BrokenPipeError, ConnectionResetError):  # the worker is gone, or has given us up
            serve(connection, judge)


if __name__ == "__main__":
    main()
