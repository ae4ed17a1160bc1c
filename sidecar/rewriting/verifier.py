"""The child process that gives the second opinion: selectolax may crash in here, and nobody waits.

Counterpart: `verification.py` starts it and asks, over the wire of `child.py`. Confined like the rewriter (`confinement.py`),
and of lower priority than anything that serves a visitor.
Never: the network, secrets, a page's bytes beyond the answer.
"""

from collections.abc import Callable, Sequence

import msgspec

from service.opinions import Case, Judged
from service.second_opinion import judged
from sidecar.rewriting.confinement import Answering, run

NICENESS = 10

Judge = Callable[[Case], Judged]
"""`service.second_opinion.judged`, or what a test runs in its place."""


def answering(judge: Judge = judged) -> Answering:
    """A case's bytes -> those of what is judged."""
    decode, encode = msgspec.msgpack.Decoder(Case).decode, msgspec.msgpack.Encoder().encode
    return lambda message: encode(judge(decode(message)))


def main(arguments: Sequence[str] | None = None, judge: Judge = judged) -> None:
    """`python -m sidecar.rewriting.verifier --fd N --parent PID`; started by `verification.py`, never by a person."""
    run(answering(judge), arguments, niceness=NICENESS)


if __name__ == "__main__":
    main()
