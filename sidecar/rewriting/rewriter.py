"""The child process that runs `rules.html`, and the messages it exchanges with its worker.

Counterpart: `child.py` starts it and talks to it, `isolation.py` decides what it is asked and for how long, `confinement.py`
is what it has in common with other children. A page can crash or hang a parser and nothing inside a process can interrupt
that, so the parser lives here, where the loss is one page.

It answers with edits, not with a page: the worker splices them into its own copy of the origin's bytes, so that whatever
goes wrong here, bytes outside an edit stay the origin's.

Never: the event loop, Redis, the network, secrets, files after its imports.
"""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from rules.group import Group
from rules.html import Edit, PassedThrough, Rewritten, Script, Touched, apply_groups
from rules.html.lessons import gaps_between, learn
from rules.html.skeleton import Gap, Lesson
from rules.reasons import Outcome, Reason
from sidecar.rewriting.confinement import MESSAGE_BYTES_MAX, Answering, run
from sidecar.rewriting.stopwatch import Stopwatch

DECODED_BYTES_MAX = 4 * 1024 * 1024
"""Encoded size of the groups that are kept decoded; decoding a typical decision costs 10 µs, looking it up less than 1."""


class Request(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=True):
    """One page to rewrite. `groups` is the encoded `tuple[Group, ...]` of a decision."""

    number: int
    groups: bytes
    charset: str | None
    nonce: str | None
    page: bytes
    script: Script | None = None
    slow_us: int = 0
    """A mutation that takes longer by itself is told of; 0: nobody asks."""


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
    """The answer to the request of the same number: `changes`, or why there are none; or what was learned, if anything.

    `slow`: mutation -> microseconds, for those that took longer than the request's bound.
    """

    number: int
    changes: Changes | None = None
    passed: PassedThrough | None = None
    lesson: Lesson | None = None
    slow: dict[str, int] = {}


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


def answering(apply: Apply = apply_groups) -> Answering:
    """A request's or a pair's bytes -> those of its reply."""
    groups = DecodedGroups()
    decode = msgspec.msgpack.Decoder(Request | Pair).decode
    encode = msgspec.msgpack.Encoder().encode

    def answered(message: bytearray) -> bytes:
        asked = decode(message)
        return encode(answer(asked, groups, apply) if isinstance(asked, Request) else learned(asked, groups, apply))

    return answered


def answer(request: Request, groups: DecodedGroups, apply: Apply) -> Reply:
    """Rewrite one page. A bug in the rewriter is an answer; running out of memory is raised."""
    stopwatch = Stopwatch() if request.slow_us else None
    try:
        result = apply(
            request.page,
            groups[request.groups],
            charset=request.charset,
            nonce=request.nonce,
            script=request.script,
            page_bytes_max=len(request.page),  # the worker has applied the setting
            watch=stopwatch,
        )
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - fail open: the page passes, and its reason names the bug
        detail = f"{type(error).__name__}: {error}"[:500]
        return Reply(request.number, passed=PassedThrough(reason=Reason.REWRITE_FAILED, outcomes=(), detail=detail))
    slow = stopwatch.slow(request.slow_us, len(request.page)) if stopwatch is not None else {}
    if isinstance(result, PassedThrough):
        return Reply(request.number, passed=result, slow=slow)
    changes = Changes(
        result.edits, result.outcomes, result.style_hashes, result.charset, result.touched, result.calls_script
    )
    return Reply(request.number, changes, slow=slow)


def learned(pair: Pair, groups: DecodedGroups, apply: Apply) -> Reply:
    """What two pages teach. A bug here teaches nothing; running out of memory is raised."""
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
        raise
    except Exception:  # noqa: BLE001 - pages are parsed as before
        lesson = None
    return Reply(pair.number, lesson=lesson)


def main(arguments: Sequence[str] | None = None, apply: Apply = apply_groups) -> None:
    """`python -m sidecar.rewriting.rewriter --fd N --parent PID`; started by `child.py`, never by a person."""
    run(answering(apply), arguments)


if __name__ == "__main__":
    main()
