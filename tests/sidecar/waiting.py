"""Waiting for the thing itself, with a deadline."""

import asyncio
import time
from collections.abc import Callable


async def until(happened: Callable[[], bool], within_s: float = 30.0) -> float:
    """Wait until `happened()`; how many seconds that took. Fails after `within_s`."""
    began = time.monotonic()
    while not happened():
        if time.monotonic() - began > within_s:
            raise AssertionError(f"it did not happen within {within_s} s")
        await asyncio.sleep(0.005)
    return time.monotonic() - began
