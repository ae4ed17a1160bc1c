"""One place for a worker, and whoever fills it: started, watched, replaced when it dies, hangs or grows too large.

Counterparts: `supervisor` has one for each worker, `workers` is what a child runs, `control` the channel to it.
Never: a place that nobody serves while a worker in it could: a planned successor serves before its predecessor drains.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from sidecar.processes.control import REPLACE, Asker, Channel
from sidecar.processes.knowledge import Knowledge
from sidecar.processes.memory import held_bytes
from sidecar.rewriting.last_words import LastWords
from sidecar.rewriting.quarantine import Held
from sidecar.settings import SidecarSettings

PING_EVERY_S = 1.0
PING_PATIENCE_S = 5.0
"""A worker that answers nothing for this long is hung; pages are never parsed on its event loop, so nothing else is. With
the pause between two questions, one is noticed within six seconds."""
AWAY_S = 1.0
"""So much later than it wanted this process notices only where it stood still itself, which says nothing of a worker."""
START_PATIENCE_S = 30.0
SETTLED_S = 10.0
"""A worker that lived this long did not fail because it started."""
BACK_OFF_S_MIN = 0.1
BACK_OFF_S_MAX = 10.0
KILL_MARGIN_S = 3.0
"""Beyond the drain time, before a worker that was told to stop is killed."""
GROWN_S_MIN = 15.0
"""A worker younger than this is not replaced for its size: its successor would be as large."""
HARD_SHARE = 1.5
"""At this much of what a worker may hold it is killed: it grows faster than it can drain."""

MEMORY_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": str(256 * 1024 * 1024),
    "MALLOC_MMAP_THRESHOLD_": str(64 * 1024 * 1024),
    "MALLOC_TOP_PAD_": str(16 * 1024 * 1024),
}
"""Keeps glibc from giving a page's memory back to the kernel and asking for it again with the next page."""

_log = structlog.get_logger("sidecar.processes.slots")


class Worker:
    """One worker process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process, asker: Asker, last_words: LastWords) -> None:
        self.process = process
        self.asker = asker
        self.last_words = last_words
        """What it was at; to be read when it has ended, and closed."""
        self.is_hung = False
        """It answered nothing, and was killed for that."""
        self.started_s = asyncio.get_running_loop().time()
        self.memory_bytes = 0
        self._receiving = asyncio.create_task(asker.run())
        self.ended = asyncio.create_task(self._until_end())

    @classmethod
    async def start(
        cls, number: int, listening: socket.socket, *, off: bool, on_news: Callable[[Any], None]
    ) -> "Worker":
        """A new process in place `number`. Raises OSError where there can't be one."""
        last_words = LastWords.new()
        ours, theirs = socket.socketpair()
        arguments = (
            "--number",
            str(number),
            "--listen-fd",
            str(listening.fileno()),
            "--words-fd",
            str(last_words.descriptor),
            *(("--switched-off",) if off else ()),
        )
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sidecar.processes.workers", *arguments, "--control-fd", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(listening.fileno(), theirs.fileno(), last_words.descriptor),
                env=worker_environment(os.environ),
            )
        except OSError:
            ours.close()
            last_words.close()
            raise
        finally:
            theirs.close()
        return cls(process, Asker(await Channel.over(ours), on_news), last_words)

    async def _until_end(self) -> int:
        try:
            return await self.process.wait()
        finally:
            self._receiving.cancel()
            await asyncio.gather(self._receiving, return_exceptions=True)
            self.asker.close()

    def kill(self) -> None:
        """SIGKILL; also reaches a process that is stopped."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)

    async def retire(self, within_s: float) -> None:
        """Have it drain and end; kill it when that takes longer."""
        if not self.ended.done():
            self.asker.tell("stop")
        _, late = await asyncio.wait((self.ended,), timeout=within_s)
        if late:
            _log.warning("workers_killed", count=1, waited_s=within_s)
            self.kill()
            await self.ended


class Slot:
    """One place for a worker, whoever fills it at the moment."""

    def __init__(
        self,
        number: int,
        settings: SidecarSettings,
        listening: socket.socket,
        spread: Callable[["Slot", Held], None] = lambda *_: None,
        held: Callable[[int], int] = held_bytes,
        knowledge: Knowledge | None = None,
        start: Callable[..., Awaitable[Worker]] = Worker.start,
    ) -> None:
        self.number = number
        self._start = start
        self._spread = spread
        self._knowledge = knowledge or Knowledge(None)
        self._held = held
        self.restarts = 0
        """Times that a worker ended here which was not told to."""
        self.replacements = Counter({"memory": 0, "memory_hard": 0, "asked": 0})
        """Times that one was replaced on purpose, by why."""
        self.switched_off = False
        """What a signal said last, for the worker that is here and for those that come."""
        self.first_start = asyncio.Event()
        self.first_failure = asyncio.Event()
        """A worker ended before any had served."""
        self._settings = settings
        self._listening = listening
        self._worker: Worker | None = None
        self._successor: Worker | None = None
        self._retiring: dict[asyncio.Task[None], Worker] = {}
        self._stop = asyncio.Event()
        self._replace = asyncio.Event()
        self._why = ""

    @property
    def pid(self) -> int | None:
        """The worker's process id, None while there is none."""
        return None if self._worker is None else self._worker.process.pid

    @property
    def memory_bytes(self) -> int:
        """What the worker and its children held when that was last looked at."""
        return 0 if self._worker is None else self._worker.memory_bytes

    @property
    def serves(self) -> bool:
        """Whether a worker is up and not about to stop."""
        return self._worker is not None and self._worker.asker.greeted.is_set() and not self._stop.is_set()

    async def ask(self, ask: str, within_s: float = 2.0, **arguments: Any) -> Any:
        """The worker's answer, None where there is no worker or it does not answer in time."""
        if self._worker is None or not self._worker.asker.greeted.is_set():
            return None
        try:
            return await self._worker.asker.ask(ask, within_s, **arguments)
        except TimeoutError:
            return None

    def tell(self, ask: str, **arguments: Any) -> None:
        """Ask the workers here for something that has no answer; where there is none, nobody hears it."""
        for worker in self._here():
            worker.asker.tell(ask, **arguments)

    def _here(self) -> list[Worker]:
        """The one that serves, one that is to follow it, and those that still drain."""
        return [worker for worker in (self._worker, self._successor, *self._retiring.values()) if worker is not None]

    def replace(self, why: str) -> None:
        """Have another worker in this place as soon as it is up; the present one drains then."""
        self._why = why
        self._replace.set()

    async def keep(self) -> None:
        """Have a worker in this place until told to stop; returns when the last one has ended."""
        failures = 0
        loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            started = loop.time()
            code = await self._live()
            if self._stop.is_set():
                break
            if not self.first_start.is_set():
                self.first_failure.set()
            failures = 0 if loop.time() - started > SETTLED_S else failures + 1
            delay_s = min(BACK_OFF_S_MAX, BACK_OFF_S_MIN * 2.0 ** min(failures - 1, 16)) if failures else 0.0
            _log.error("worker_ended", worker=self.number, code=code, restart_in_s=delay_s)
            self.restarts += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay_s)
        if self._retiring:
            await asyncio.wait(self._retiring)

    async def _live(self) -> int:
        """Workers that follow each other as planned, until one ends that nobody told to; its exit code."""
        self._replace.clear()  # whoever was to make room has ended: the next one is what was asked for
        worker = await self._begin()
        if worker is None:
            return -1
        while True:
            self._worker = worker
            asked = asyncio.create_task(self._replace.wait())
            await asyncio.wait((worker.ended, asked), return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if worker.ended.done() or self._stop.is_set():
                code = await worker.ended
                self._worker = None
                return code
            worker = await self._succeed(worker) or worker
            self._successor = None

    async def _begin(self) -> Worker | None:
        """Start a worker; None where the system can't."""
        worker: Worker

        def on_news(news: Any) -> None:
            if news != REPLACE or worker not in self._retiring.values():  # else it has been replaced
                self._news(news)

        try:
            worker = await self._start(self.number, self._listening, off=self.switched_off, on_news=on_news)
        except OSError as error:
            _log.error("worker_not_started", worker=self.number, error=str(error))
            return None
        watching = asyncio.create_task(self._watch(worker))
        worker.ended.add_done_callback(lambda _: self._ended(worker, watching))
        worker.asker.tell("hold", held=self._knowledge.held())  # which it waits for, before its first visitor
        worker.asker.tell("switch", off=self.switched_off)  # a signal may have come since it was started
        if self._stop.is_set():
            worker.asker.tell("stop")
        return worker

    async def _succeed(self, worker: Worker) -> Worker | None:
        """Start a successor of this worker, which drains once the other one serves; None where that did not come up."""
        self._replace.clear()
        why = self._why
        self._successor = successor = await self._begin()
        if successor is None:
            return None
        greeted = asyncio.create_task(successor.asker.greeted.wait())
        await asyncio.wait((greeted, successor.ended), return_when=asyncio.FIRST_COMPLETED)
        greeted.cancel()
        if successor.ended.done():
            _log.error("worker_not_replaced", worker=self.number, reason=why, fix="the present one goes on serving")
            worker.started_s = asyncio.get_running_loop().time()  # not again at once
            return None
        self.replacements[why] += 1
        _log.info("worker_replaced", worker=self.number, reason=why, pid=successor.process.pid)
        retiring = asyncio.create_task(worker.retire(self._settings.drain_s + KILL_MARGIN_S))
        self._retiring[retiring] = worker
        retiring.add_done_callback(self._retiring.pop)
        return successor

    async def _watch(self, worker: Worker) -> None:
        """Kill the worker when it does not come up, or stops answering; have it replaced when it grows too large."""
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                await worker.asker.greeted.wait()
            self.first_start.set()
            while True:
                await self._hear(worker)
                self._weigh(worker)
                await asyncio.sleep(PING_EVERY_S)
        except TimeoutError:
            _log.error("worker_hung", worker=self.number, pid=worker.process.pid)
            worker.is_hung = True
            worker.kill()

    async def _hear(self, worker: Worker) -> None:
        """Wait for a word of the worker. TimeoutError: it had all of its time, and said nothing."""
        loop = asyncio.get_running_loop()
        while True:
            asked = loop.time()
            try:
                await worker.asker.ask("ping", PING_PATIENCE_S)
                return
            except TimeoutError:
                if loop.time() - asked < PING_PATIENCE_S + AWAY_S:
                    raise

    def _weigh(self, worker: Worker) -> None:
        """Look at what the worker and its children hold."""
        settings = self._settings
        worker.memory_bytes = size = self._held(worker.process.pid)
        if not settings.worker_bytes_max or self._stop.is_set() or worker is not self._worker:
            return
        ceiling = settings.worker_bytes_max + settings.memo_bytes_max + settings.skeleton_bytes_max
        if size > ceiling * HARD_SHARE:
            _log.error("worker_too_large", worker=self.number, pid=worker.process.pid, bytes=size, bytes_max=ceiling)
            self.replacements["memory_hard"] += 1
            worker.kill()
        elif size > ceiling and not self._replace.is_set() and self._successor is None:
            if asyncio.get_running_loop().time() - worker.started_s < GROWN_S_MIN:
                return
            _log.warning("worker_large", worker=self.number, pid=worker.process.pid, bytes=size, bytes_max=ceiling)
            self.replace("memory")

    def _news(self, news: Any) -> None:
        if news == REPLACE:
            self.replace("asked")
        else:
            self._learned(self._knowledge.learn(news))

    def _ended(self, worker: Worker, watching: "asyncio.Task[None]") -> None:
        """Learn from how it ended."""
        watching.cancel()
        if not worker.ended.cancelled() and worker.ended.exception() is None:
            self._learned(self._knowledge.lost(worker.last_words, worker.ended.result(), hung=worker.is_hung))
        worker.last_words.close()

    def _learned(self, held: Held | None) -> None:
        if held is not None:
            self._spread(self, held)

    def stop(self) -> None:
        """Tell the worker to finish, and have no other one."""
        self._stop.set()
        self.tell("stop")

    def kill(self) -> None:
        """End the workers here at once."""
        self._stop.set()
        for worker in self._here():
            worker.kill()


def worker_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """A worker's environment: the supervisor's, and how to handle memory where that says nothing."""
    return {**MEMORY_ENVIRONMENT, **environ}
