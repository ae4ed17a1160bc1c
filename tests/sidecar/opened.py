"""A `Rewriting` of its own for each test, and short ways to ask it for pages.

Counterpart: the fixture `rewriting` in conftest.py opens and closes it.
"""

import sys
from collections.abc import Awaitable, Callable

import psutil

from rules.group import Group
from rules.html import PassedThrough, Rewritten
from rules.model import decode_operations
from sidecar.rewriting.memo import MemoKey
from sidecar.rewriting.rewriting import Rewriting
from tests.sidecar.waiting import until

STAND_IN = (sys.executable, "-P", "-m", "tests.sidecar.stand_in")
HEADLINE = b'[{"verb": "setText", "target": {"selector": "h1"}, "content": {"text": "New"}}]'
PAGE = b"<!doctype html><title>t</title><h1>Old</h1><p>text</p>"

Open = Callable[..., Awaitable[Rewriting]]


GROUPS = (Group("m-1", decode_operations(HEADLINE)),)


def children() -> set[int]:
    """Rewriters of this process that run (or are zombies)."""
    return {child.pid for child in psutil.Process().children() if "--parent" in arguments(child)}


def arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() or ["--parent"]  # a zombie has none
    except psutil.NoSuchProcess:
        return []


async def ask(
    rewriting: Rewriting, page: bytes, address: str | None = None, key: str = "d1"
) -> Rewritten | PassedThrough:
    at = address if address is not None else f"test/{page[:20].decode('latin-1')}"
    return await rewriting.rewrite(MemoKey(at, key, "utf-8", None), page, GROUPS)


async def reason(rewriting: Rewriting, page: bytes, address: str | None = None) -> str:
    answer = await ask(rewriting, page, address)
    return "applied" if isinstance(answer, Rewritten) else answer.reason.value


def pid(rewriting: Rewriting) -> int:
    number = rewriting.status()["pid"]
    assert isinstance(number, int)
    return number


async def warm(rewriting: Rewriting) -> None:
    await until(lambda: bool(rewriting.status()["ready"]))
