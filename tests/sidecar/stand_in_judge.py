"""A judge whose pages say what happens to it; run as the child in the tests of `sidecar.rewriting.verification`.

A rewritten page is a word and a number, such as `die 9` (a signal). Any other page is agreed with.
"""

import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from service.opinions import Case, Judged, Opinion, Verdict
from sidecar.rewriting.confinement import framed
from sidecar.rewriting.verifier import main


def run_out(_: bytes) -> NoReturn:
    """No memory left."""
    raise MemoryError


def say(message: bytes) -> None:
    """Answer out of turn."""
    os.write(int(sys.argv[sys.argv.index("--fd") + 1]), message)


BEHAVIOURS: dict[bytes, Callable[[bytes], object]] = {
    b"hang": lambda _: threading.Event().wait(),
    b"die": lambda rest: os.kill(os.getpid(), int(rest)),
    b"memory": run_out,
    b"noise": lambda _: say(framed(b"\xc1 noise")),
}


def behave(case: Case) -> Judged:
    """What the page asks for."""
    word, _, rest = case.rewritten.partition(b" ")
    if word in BEHAVIOURS:
        BEHAVIOURS[word](rest)
    return Judged(Opinion(Verdict.AGREES))


if __name__ == "__main__":
    main(judge=behave)
