"""Keeps the workers alive: starts them, notices when one dies or hangs, replaces it, stops them in order.

Counterparts: `workers` is what a child runs, `control` the channel to it, `admin` what the supervisor shows.
Never: a page, a visitor's request, or a table; it must outlive whatever those do to a worker.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog

from sidecar.processes.control import Asker, Channel
from sidecar.settings import SidecarSettings

PING_EVERY_S = 1.0
PING_PATIENCE_S = 5.0
"""A worker that answers nothing for this long is hung; pages are never parsed on its event loop, so nothing else is."""
START_PATIENCE_S = 30.0
SETTLED_S = 10.0
"""A worker that lived this long did not fail because it started."""
BACK_OFF_S_MIN = 0.1
BACK_OFF_S_MAX = 10.0
KILL_MARGIN_S = 3.0
"""Beyond the drain time, before a worker that was told to stop is killed."""

MEMORY_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": str(256 * 1024 * 1024),
    "MALLOC_MMAP_THRESHOLD_": str(64 * 1024 * 1024),
    "MALLOC_TOP_PAD_": str(16 * 1024 * 1024),
}
"""Keeps glibc from giving a page's memory back to the kernel and asking for it again with the next page."""

_log = structlog.get_logger("sidecar.processes.supervisor")


class Slot:
    """One place for a worker, whoever fills it at the moment."""

    def __init__(
        self,
        number: int,
        settings: SidecarSettings,
        listening: socket.socket,
        on_news: Callable[["Slot", Any], None] = lambda *_: None,
    ) -> None:
        self.number = number
        self._on_news = on_news
        self.restarts = 0
        self.switched_off = False
        """What a signal said last, for the worker that is here and for those that come."""
        self.first_start = asyncio.Event()
        self._settings = settings
        self._listening = listening
        self._process: asyncio.subprocess.Process | None = None
        self._asker: Asker | None = None
        self._stop = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The worker's process id, None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def serves(self) -> bool:
        """Whether a worker is up and not about to stop."""
        return self._asker is not None and self._asker.greeted.is_set() and not self._stop.is_set()

    async def ask(self, ask: str, within_s: float = 2.0, **arguments: Any) -> Any:
        """The worker's answer, None where there is no worker or it does not answer in time."""
        if self._asker is None or not self._asker.greeted.is_set():
            return None
        try:
            return await self._asker.ask(ask, within_s, **arguments)
        except TimeoutError:
            return None

    def tell(self, ask: str, **arguments: Any) -> None:
        """Ask the worker for something that has no answer; where there is none, nobody hears it."""
        if self._asker is not None:
            self._asker.tell(ask, **arguments)

    async def keep(self) -> None:
        """Have a worker in this place until told to stop; returns when the last one has ended."""
        failures = 0
        loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            started = loop.time()
            code = await self._live()
            if self._stop.is_set():
                break
            failures = 0 if loop.time() - started > SETTLED_S else failures + 1
            delay_s = min(BACK_OFF_S_MAX, BACK_OFF_S_MIN * 2.0 ** min(failures - 1, 16)) if failures else 0.0
            _log.error("worker_ended", worker=self.number, code=code, restart_in_s=delay_s)
            self.restarts += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay_s)

    async def _live(self) -> int:
        """One worker, from its start to its end; its exit code."""
        ours, theirs = socket.socketpair()
        arguments: tuple[str, ...] = ("--worker", str(self.number), "--listen-fd", str(self._listening.fileno()))
        if self.switched_off:
            arguments += ("--switched-off",)
        fds = (self._listening.fileno(), theirs.fileno())
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sidecar", *arguments, "--control-fd", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=fds,
                env=worker_environment(os.environ),
            )
        except OSError as error:
            _log.error("worker_not_started", worker=self.number, error=str(error))
            ours.close()
            return -1
        finally:
            theirs.close()
        self._process, self._asker = process, Asker(await Channel.over(ours), partial(self._on_news, self))
        self._asker.tell("switch", off=self.switched_off)  # a signal may have come since it was started
        if self._stop.is_set():
            self._asker.tell("stop")
        tasks = [asyncio.create_task(self._asker.run()), asyncio.create_task(self._watch(process, self._asker))]
        try:
            return await process.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._asker.close()
            self._process = self._asker = None

    async def _watch(self, process: asyncio.subprocess.Process, asker: Asker) -> None:
        """Kill the worker when it does not come up, or stops answering."""
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                await asker.greeted.wait()
            self.first_start.set()
            while True:
                await asker.ask("ping", PING_PATIENCE_S)
                await asyncio.sleep(PING_EVERY_S)
        except TimeoutError:
            _log.error("worker_hung", worker=self.number, pid=process.pid)
            kill(process)

    def stop(self) -> None:
        """Tell the worker to finish, and have no other one."""
        self._stop.set()
        if self._asker is not None:
            self._asker.tell("stop")

    def kill(self) -> None:
        """End the worker at once."""
        self._stop.set()
        if self._process is not None:
            kill(self._process)


class Supervisor:
    """All workers of one sidecar. `listening` is the socket they share."""

    def __init__(self, settings: SidecarSettings, listening: socket.socket) -> None:
        self.slots = [Slot(number, settings, listening, self._spread) for number in range(settings.worker_count)]
        self._settings = settings
        self._listening = listening
        self._keepers: list[asyncio.Task[None]] = []

    def _spread(self, source: Slot, versions: Any) -> None:
        """Have all other workers hold what one of them holds: to a visitor they are one edge."""
        for slot in self.slots:
            if slot is not source:
                slot.tell("hold", versions=versions)

    def switch(self, *, off: bool) -> None:
        """Have every page pass, or no more: the workers of now and those that replace them."""
        _log.warning("signal_switches_off" if off else "signal_switches_on")
        for slot in self.slots:
            slot.switched_off = off
            slot.tell("switch", off=off)

    def start(self) -> None:
        """Start every worker, and keep them."""
        self._keepers = [asyncio.create_task(slot.keep()) for slot in self.slots]

    async def first_started(self) -> None:
        """Wait until every worker has served at least once."""
        await asyncio.gather(*(slot.first_start.wait() for slot in self.slots))

    async def stop(self) -> None:
        """Let every worker drain at the same time, then end; kill those that take longer. Nobody can connect any more."""
        for slot in self.slots:
            slot.stop()
        self._listening.close()
        within_s = self._settings.drain_s + KILL_MARGIN_S
        _, late = await asyncio.wait(self._keepers, timeout=within_s)
        if late:
            _log.warning("workers_killed", count=len(late), waited_s=within_s)
            self.kill()
            await asyncio.wait(late)

    def kill(self) -> None:
        """End every worker at once: somebody insisted."""
        for slot in self.slots:
            slot.kill()


def worker_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """A worker's environment: the supervisor's, and how to handle memory where that says nothing."""
    return {**MEMORY_ENVIRONMENT, **environ}


def kill(process: asyncio.subprocess.Process) -> None:
    """SIGKILL; also reaches a process that is stopped."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
