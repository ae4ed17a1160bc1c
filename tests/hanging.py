"""What a test that hangs waits for: its tasks, as they stand shortly before the test is given up.

A traceback of the main thread shows an event loop that waits; which coroutine waits for what is in the tasks alone.
Counterpart: `pytest-timeout` ends the test. Never: a word while nothing hangs.
"""

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest

BEFORE_END_S = 15.0
LOOK_INTERVAL_S = 1.0

_Run = tuple[str, float]


class Watch:
    """One thread that looks at the clock for every test of a process."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._run: _Run | None = None
        self._thread: threading.Thread | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Around each test."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, daemon=True, name="hanging")
            self._thread.start()
        self._run = item.nodeid, time.monotonic()
        try:
            return (yield)
        finally:
            self._run = None

    def _look(self) -> None:
        told: _Run | None = None
        pause = threading.Event()
        while not pause.wait(LOOK_INTERVAL_S):
            run = self._run
            if run is not None and run != told and time.monotonic() - run[1] > self._patience_s:
                told = run
                sys.stderr.write("\n".join([f"{run[0]} hangs:", *waiting(), ""]))


def pytest_configure(config: pytest.Config) -> None:
    """Watch, where tests are given up after a while."""
    patience_s = float(config.getini("timeout") or 0) - BEFORE_END_S
    if patience_s > 0:
        config.pluginmanager.register(Watch(patience_s), "hanging")


def waiting() -> Iterator[str]:
    """Each task that has not ended, and the lines in which it waits, the innermost last."""
    for task in [one for one in gc.get_objects() if isinstance(one, asyncio.Task)]:
        if not task.done():
            yield f"  {task.get_name()}"
            yield from (f"    {line}" for line in _stack(task.get_coro()))


def _stack(awaited: Any) -> Iterator[str]:
    for _ in range(60):
        frame = next((found for kind in ("cr", "ag", "gi") if (found := getattr(awaited, f"{kind}_frame", None))), None)
        if frame is None:
            return
        yield f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        awaited = next(
            (found for name in ("cr_await", "ag_await", "gi_yieldfrom") if (found := getattr(awaited, name, None))),
            None,
        )
