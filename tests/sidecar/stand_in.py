"""A rewriter whose pages say what happens to it; run as the child in the tests of `sidecar.rewriting.isolation`.

A page is a word and a number, such as `sleep 0.05`, `die 9` (a signal) or `neither 1` (a request's number); see
`BEHAVIOURS`; after the word `studied`, when it is marked to learn a skeleton from it. Any other page gets `[rewritten]`
before it.
"""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from rules.html import Edit, PassedThrough, Rewritten
from rules.reasons import Reason
from sidecar.rewriting.confinement import framed
from sidecar.rewriting.rewriter import Changes, Reply, main

MARK = b"[rewritten]"
STUDIED = b"mL"
"""In every mark that `rules.html.lessons` writes."""
NOTHING = PassedThrough(reason=Reason.NOTHING_MATCHED)


def spin(_: bytes) -> None:
    """Hold the interpreter for ever."""
    while True:
        pass


def fail(_: bytes) -> NoReturn:
    """A bug."""
    raise RuntimeError("a bug")


def run_out(_: bytes) -> NoReturn:
    """No memory left."""
    raise MemoryError


def say(message: bytes) -> None:
    """Answer out of turn."""
    os.write(int(sys.argv[sys.argv.index("--fd") + 1]), message)


def reply(number: int, changes: Changes | None = None, passed: PassedThrough | None = None) -> bytes:
    """A framed answer."""
    return framed(msgspec.msgpack.encode(Reply(number, changes, passed)))


BEHAVIOURS: dict[bytes, Callable[[bytes], object]] = {
    b"sleep": lambda rest: threading.Event().wait(float(rest)),
    b"hang": lambda _: threading.Event().wait(),
    b"spin": spin,
    b"die": lambda rest: os.kill(os.getpid(), int(rest)),
    b"exit": lambda rest: os._exit(int(rest)),
    b"raise": fail,
    b"memory": run_out,
    b"noise": lambda _: say(framed(b"\xc1 noise")),
    b"long": lambda _: say(b"\xff\xff\xff\xff"),
    b"number": lambda _: say(reply(10**9, passed=NOTHING)),
    b"neither": lambda rest: say(reply(int(rest))),
    b"outside": lambda rest: say(reply(int(rest), Changes((Edit(5, 10**6, b""),), (), (), "utf-8"))),
}


def behave(page: bytes, *_groups: Any, **_options: Any) -> Rewritten | PassedThrough:
    """What the page asks for, then the mark before it."""
    word, _, rest = page.partition(b" ")
    if word == b"studied":
        word, _, rest = rest.partition(b" ") if STUDIED in page else (b"", b"", b"")
    if word in BEHAVIOURS:
        BEHAVIOURS[word](rest.partition(b" ")[0])
    return Rewritten(page=b"unused", outcomes=(), edits=(Edit(0, 0, MARK),), style_hashes=(), charset="utf-8")


if __name__ == "__main__":
    main(apply=behave)
