"""Keeps the workers of one generation: has a place for each, tells all of them what concerns all, stops them in order.

Counterparts: `slots` keeps each worker, `supervision` is the process that this lives in, `admin` what it shows.
Never: a page, a visitor's request, or a table; it must outlive whatever those do to a worker.
"""

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from pathlib import Path

import structlog

from sidecar.processes.knowledge import Knowledge
from sidecar.processes.slots import KILL_MARGIN_S, Slot
from sidecar.rewriting.quarantine import Held
from sidecar.settings import SidecarSettings

NOBODY_LOST = {"ended": 0, "hung": 0}

_log = structlog.get_logger("sidecar.processes.supervisor")


class Supervisor:
    """All workers of one sidecar. `listening` is the socket they share."""

    def __init__(
        self,
        settings: SidecarSettings,
        listening: socket.socket,
        *,
        switched_off: bool = False,
        lost: Mapping[str, int] = NOBODY_LOST,
    ) -> None:
        self.lost = {**NOBODY_LOST, **lost}
        """Supervisors before this one that were replaced without anybody asking, by why."""
        self.knowledge = Knowledge(Path(settings.snapshot_dir) if settings.snapshot_dir else None)
        self.slots = [
            Slot(number, settings, listening, self._spread, knowledge=self.knowledge)
            for number in range(settings.worker_count)
        ]
        for slot in self.slots:
            slot.switched_off = switched_off
        self.leaving = False
        """It is about to stop: whoever asks should look for another sidecar."""
        self._settings = settings
        self._listening = listening
        self._keepers: list[asyncio.Task[None]] = []
        self._hurry = asyncio.Event()

    def _spread(self, source: Slot, held: Held) -> None:
        """Have all other workers hold what one of them holds: to a visitor they are one edge."""
        for slot in self.slots:
            if slot is not source:
                slot.tell("hold", held=held)

    def switch(self, *, off: bool) -> None:
        """Have every page pass, or no more: the workers of now and those that replace them."""
        _log.warning("signal_switches_off" if off else "signal_switches_on")
        for slot in self.slots:
            slot.switched_off = off
            slot.tell("switch", off=off)

    def start(self) -> None:
        """Start every worker, and keep them."""
        self.knowledge.read()
        self._keepers = [asyncio.create_task(slot.keep()) for slot in self.slots]

    async def first_started(self) -> None:
        """Wait until every worker has served at least once."""
        await asyncio.gather(*(slot.first_start.wait() for slot in self.slots))

    async def first_failed(self) -> None:
        """Wait until a worker ended that has never served."""
        failures = [asyncio.create_task(slot.first_failure.wait()) for slot in self.slots]
        try:
            await asyncio.wait(failures, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for failure in failures:
                failure.cancel()

    async def stop(self, *, unready_s: float = 0.0) -> None:
        """Say for a while that it is not ready; then let every worker drain at the same time, kill those that take longer.

        Nobody is let in by these workers any more.
        """
        self.leaving = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), unready_s)
        for slot in self.slots:
            slot.stop()
        self._listening.close()
        within_s = self._settings.drain_s + KILL_MARGIN_S
        _, late = await asyncio.wait(self._keepers, timeout=within_s)
        if late:
            _log.warning("workers_killed", count=len(late), waited_s=within_s)
            self.kill()
            await asyncio.wait(late)
        await asyncio.to_thread(self.knowledge.settle)

    def kill(self) -> None:
        """End every worker at once: somebody insisted."""
        self._hurry.set()
        for slot in self.slots:
            slot.kill()
