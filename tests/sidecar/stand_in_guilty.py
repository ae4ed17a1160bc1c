"""A rewriter whose mutations do harm by their names; run as the child in the tests of the guard and its inquiries.

Mutations `dies`, `hangs`, `raises` and `burns` (processor time) do so, each in its turn, on every page with `<h1>`; a page with
`broken` kills it without any; one with `once` in its first child only. All else is as the rules have it.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rules.group import Group
from rules.html import PassedThrough, Rewritten, apply_groups
from sidecar.rewriting.rewriter import main

BURNS_S = 0.05


def die() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def fail() -> NoReturn:
    raise RuntimeError("a bug")


def burn() -> None:
    until = time.thread_time() + BURNS_S
    while time.thread_time() < until:
        pass


DEEDS: dict[str, Callable[[], object]] = {
    "dies": die,
    "hangs": lambda: threading.Event().wait(),
    "raises": fail,
    "burns": burn,
}


def behave(
    page: bytes, groups: Sequence[Group], *, watch: Callable[[str], None] | None, **options: Any
) -> Rewritten | PassedThrough:
    """The page as the rules have it, after what its mutations do."""
    if b"broken" in page:
        die()
    if b"once" in page:
        mark = Path(page.split(b"once ")[1].split(b"<")[0].decode())
        if not mark.exists():
            mark.touch()
            die()
    for group in groups if b"<h1>" in page else ():
        if watch is not None:
            watch(group.mutation_id)
        DEEDS.get(group.mutation_id, bool)()
    if watch is not None:
        watch("")
    return apply_groups(page, groups, **options)


if __name__ == "__main__":
    main(apply=behave)
