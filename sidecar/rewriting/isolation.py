"""Pages rewritten beside the worker: a queue, two clocks, and one child process that is always replaced.

Counterpart: `child.py` is the wire to the child, `rewriter.py` what runs in it; `rewriting.py` decides which pages come
here and learns which ones did harm. One child, kept warm, one page at a time, first come first served; identical pages
that meet here are rewritten once.

Two clocks, because two questions differ. *The visitor's* runs from asking on, queue included: when it ends, the original
goes out. *The page's* runs from the moment the child has it: when it ends, the page is to blame and the child is killed
and replaced. So a page that only waited kills nobody; and a visitor who leaves while the child works changes nothing:
the answer still comes, in step, and serves the next one.

Never: raises for what a page or a child does; a lost page is a `PassedThrough`.
"""

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog

from rules.group import Group
from rules.html import Edit, PassedThrough, Rewritten
from rules.html.edits import splice
from rules.html.skeleton import Lesson
from rules.reasons import Reason
from sidecar.rewriting.child import COMMAND, Child
from sidecar.rewriting.confinement import MESSAGE_BYTES_MAX
from sidecar.rewriting.memo import MemoKey
from sidecar.rewriting.rewriter import Pair, Reply, Request
from sidecar.rewriting.skeletons import Study

QUEUE_PAGES_MAX = 512
"""Pages waiting for the child: at a millisecond each, the last one would wait longer than any sensible deadline."""

SECOND_LOOK_S = 0.005
"""Before a page is condemned, the event loop looks at the socket once more: it may be us who were late."""

START_S_MAX = 10.0
"""A child starts within 0.2 s on an idle machine."""

STUDY_TIMES = 5
"""A study takes three to four times as long as rewriting its page did; what would come near the deadline is not begun."""

CLOSE_S_MAX = 1.0
RESTART_S_MIN = 0.1
RESTART_S_MAX = 5.0

FAILURES_QUIET = 1
"""Losing one child is replaced at once and pages wait for the next one; from the second in a row on, they pass."""

FAILURES_LOUD = 3
"""So many children in a row without one finished page: a person must look, and is told once."""

Answer = Rewritten | PassedThrough

_log = structlog.get_logger("sidecar.rewriting.isolation")
_encode = msgspec.msgpack.Encoder().encode
_decode_reply = msgspec.msgpack.Decoder(Reply).decode


class Job:
    """One page on its way through the child, and everyone who waits for it."""

    __slots__ = ("body", "groups", "key", "number", "waiters")

    def __init__(self, number: int, key: MemoKey, body: bytes, groups: tuple[Group, ...]) -> None:
        self.number = number
        self.key = key
        self.body = body
        self.groups = groups
        self.waiters: list[asyncio.Future[Answer]] = []

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits."""
        return any(not waiter.done() for waiter in self.waiters)

    def answer(self, answer: Answer) -> None:
        """Answer everybody who still waits."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(answer)

    def request(self, slow_us: int) -> bytes:
        """The message for the child; raises ValueError if it can't be one."""
        key, groups = self.key, _encode(self.groups)
        return _message(Request(self.number, groups, key.charset, key.nonce, self.body, key.script, slow_us))


class Studying:
    """A study on its way through the child: two pages, and nobody who waits."""

    __slots__ = ("groups", "number", "study")

    def __init__(self, number: int, study: Study, groups: tuple[Group, ...]) -> None:
        self.number = number
        self.study = study
        self.groups = groups

    def request(self, _slow_us: int) -> bytes:
        """The message for the child; raises ValueError if it can't be one."""
        key, base, other, known = self.study
        return _message(Pair(self.number, _encode(self.groups), key.charset, key.nonce is not None, known, base, other))


class Isolated:
    """The child and the queue before it, on one event loop.

    `on_answer(job, answer, slow)` hears every answer of a child, awaited or not, and which mutations took longer than
    `slow_us` microseconds (0: nobody asks); `on_harm(job, reason, why)` every page that a child was lost over;
    `on_lesson(study, lesson)` what came of each study. `entropy` spreads restarts.
    """

    def __init__(
        self,
        *,
        deadline_s: float,
        on_answer: Callable[[Job, Answer, Mapping[str, int]], None],
        on_harm: Callable[[Job, Reason, str], None],
        on_lesson: Callable[[Study, Lesson | None], None],
        entropy: random.Random,
        command: Sequence[str] = COMMAND,
        queue_pages_max: int = QUEUE_PAGES_MAX,
        slow_us: int = 0,
    ) -> None:
        self.restarts = 0
        self._slow_us = slow_us
        self._deadline_s = deadline_s
        self._on_answer = on_answer
        self._on_harm = on_harm
        self._on_lesson = on_lesson
        self._entropy = entropy
        self._command = tuple(command)
        self._queue_pages_max = queue_pages_max
        self._numbers = itertools.count(1)
        self._queue: deque[Job | Studying] = deque()
        self._in_flight: dict[MemoKey, Job] = {}
        self._working: Job | Studying | None = None
        self._verdict: asyncio.TimerHandle | None = None
        self._began = 0.0
        self._took_s = 0.0
        self._child: Child | None = None
        self._settled = asyncio.Event()
        self._failures = 0
        self._closed = False
        self._replacing: asyncio.Task[None] | None = None
        self._reaping: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        """Whether a child is warm."""
        return not self._closed and self._child is not None and self._child.ready

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        return None if self._child is None else self._child.pid

    @property
    def waiting(self) -> int:
        """Pages in the queue."""
        return len(self._queue)

    async def start(self) -> None:
        """Start the child and wait until it is warm, or has failed twice, at most `START_S_MAX`."""
        self._replacing = asyncio.create_task(self._replace())
        try:
            await asyncio.wait_for(self._settled.wait(), START_S_MAX)
        except TimeoutError:
            _log.error("rewriter_slow_to_start", waited_s=START_S_MAX, meanwhile="pages pass unchanged")

    async def close(self) -> None:
        """Let waiting pages pass and end the child."""
        self._closed = True
        self._give_up_queue("the sidecar is stopping")
        busy = self._working
        self._forget_work()
        if busy is not None:
            self._drop(busy, "the sidecar is stopping")
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.gather(self._replacing, return_exceptions=True)
        child, self._child = self._child, None
        if child is not None:
            if busy is None and child.ready:
                child.hang_up()
            else:
                child.end()
            self._reap(child)
        await asyncio.gather(*self._reaping)

    async def ask(self, key: MemoKey, body: bytes, groups: tuple[Group, ...]) -> Answer:
        """The child's answer, or why there is none, at most the deadline from now."""
        if self._closed or (self._failures > FAILURES_QUIET and not self.ready):
            return _failed("there is no rewriter at the moment")
        job = self._in_flight.get(key)
        if job is None or job.body != body:
            if len(self._queue) >= self._queue_pages_max:
                return PassedThrough(reason=Reason.OVER_BUDGET, outcomes=(), detail="the queue is full")
            job = Job(next(self._numbers), key, body, groups)
            self._queue.append(job)
            self._in_flight[key] = job
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Answer] = loop.create_future()
        job.waiters.append(waiter)
        alarm = loop.call_later(self._deadline_s, self._expire, waiter, job)
        self._pump()
        try:
            return await waiter
        finally:
            alarm.cancel()

    def learn(self, study: Study, groups: tuple[Group, ...]) -> None:
        """Have two pages studied when their turn comes; `on_lesson` hears of it, in any case.

        Not where the page that was just answered took long: the child would be lost over the study, and nobody is to blame.
        """
        takes_long = self._took_s * STUDY_TIMES > self._deadline_s
        if self._closed or takes_long or not self.ready or len(self._queue) >= self._queue_pages_max:
            self._on_lesson(study, None)
            return
        self._queue.append(Studying(next(self._numbers), study, groups))
        self._pump()

    # ---- the queue

    def _pump(self) -> None:
        """Give the child the next page that somebody still waits for, if it is free."""
        child = self._child
        while self._queue and self._working is None and child is not None and child.ready:
            job = self._queue.popleft()
            if isinstance(job, Job) and not job.wanted:
                self._settle(job)
                continue
            try:
                message = job.request(self._slow_us)
            except (ValueError, TypeError) as error:
                self._drop(job, str(error))
                continue
            self._working = job
            self._began = asyncio.get_running_loop().time()
            self._verdict = asyncio.get_running_loop().call_later(self._deadline_s, self._doubt, job)
            child.ask(message)

    def _drop(self, job: Job | Studying, why: str) -> None:
        """The job ends without the child."""
        if isinstance(job, Studying):
            self._on_lesson(job.study, None)
            return
        self._settle(job)
        job.answer(_failed(why))

    def _expire(self, waiter: "asyncio.Future[Answer]", job: Job) -> None:
        if not waiter.done():
            where = "being rewritten" if job is self._working else "waiting for the rewriter"
            detail = f"still {where} after {self._deadline_s:g} s"
            waiter.set_result(PassedThrough(reason=Reason.OVER_BUDGET, outcomes=(), detail=detail))

    def _settle(self, job: Job) -> None:
        """The job is over: whoever asks for its page now starts another."""
        if self._in_flight.get(job.key) is job:
            del self._in_flight[job.key]

    def _give_up_queue(self, why: str) -> None:
        while self._queue:
            self._drop(self._queue.popleft(), why)

    # ---- what the child says

    def _heard_ready(self, child: Child) -> None:
        if child is self._child:
            self._settled.set()
            self._pump()

    def _heard_reply(self, child: Child, message: bytes) -> None:
        if child is not self._child:
            return
        job = self._working
        try:
            if job is None:
                raise ValueError("nobody had asked")
            reply = _reply(message, job.number)
            answer = self._understood(job, reply)
        except (ValueError, msgspec.MsgspecError) as error:
            child.end()
            self._heard_end(child, f"its answer was nonsense: {error}")
            return
        self._forget_work()
        self._took_s = asyncio.get_running_loop().time() - self._began
        self._failures = 0
        if isinstance(job, Job) and answer is not None:
            self._on_answer(job, answer, reply.slow)
            job.answer(answer)
        self._pump()

    def _understood(self, job: Job | Studying, reply: Reply) -> Answer | None:
        """The answer for a page; of a study nobody waits for one. Raises ValueError (or msgspec's errors) for nonsense."""
        if isinstance(job, Job):
            return _answer_of(reply, job.body)
        self._on_lesson(job.study, reply.lesson)
        return None

    def _heard_end(self, child: Child, why: str) -> None:
        """The child is gone without our doing."""
        if child is not self._child:
            return
        if self._working is not None:
            self._blame(self._working, Reason.REWRITE_FAILED, why)
        self._lose(child, why)

    # ---- the page's clock

    def _doubt(self, job: Job | Studying) -> None:
        self._verdict = asyncio.get_running_loop().call_later(SECOND_LOOK_S, self._condemn, job)

    def _condemn(self, job: Job | Studying) -> None:
        """The page had the child for the whole deadline."""
        child = self._child
        if job is self._working and child is not None:
            child.end()
            why = f"a page took longer than {self._deadline_s:g} s"
            self._blame(job, Reason.OVER_BUDGET, why)
            self._lose(child, why)

    def _blame(self, job: Job | Studying, reason: Reason, why: str) -> None:
        """The child was lost over this job. A page is told of; two pages that can't be studied are parsed one by one."""
        self._forget_work()
        if isinstance(job, Studying):
            self._on_lesson(job.study, None)
            return
        self._on_harm(job, reason, why)
        job.answer(PassedThrough(reason=reason, outcomes=(), detail=why))

    def _forget_work(self) -> None:
        if self._verdict is not None:
            self._verdict.cancel()
            self._verdict = None
        if isinstance(self._working, Job):
            self._settle(self._working)
        self._working = None

    # ---- the child's life

    def _lose(self, child: Child, why: str) -> None:
        """Replace a child that has ended."""
        self._child = None
        self._failures += 1
        self.restarts += 1
        if self._failures > FAILURES_QUIET:
            self._settled.set()
            self._give_up_queue("the rewriter keeps ending")
        if self._failures == FAILURES_LOUD:
            _log.error("rewriter_keeps_ending", why=why, meanwhile="pages pass unchanged; it is tried again for ever")
        elif self._failures < FAILURES_LOUD:
            _log.warning("rewriter_replaced", why=why)
        self._reap(child)
        if not self._closed:
            self._replacing = asyncio.create_task(self._replace())

    async def _replace(self) -> None:
        if self._failures > FAILURES_QUIET:
            wait_s = min(RESTART_S_MAX, RESTART_S_MIN * 2.0 ** min(self._failures - FAILURES_QUIET - 1, 16))
            await asyncio.sleep(wait_s * self._entropy.uniform(0.5, 1.0))
        child = Child(on_ready=self._heard_ready, on_reply=self._heard_reply, on_end=self._heard_end)
        self._child = child
        try:
            await child.start(self._command)
        except OSError as error:
            child.end()
            self._lose(child, f"it could not be started: {error}")
            return
        asyncio.get_running_loop().call_later(START_S_MAX, self._check_start, child)

    def _check_start(self, child: Child) -> None:
        if child is self._child and not child.ready:
            child.end()
            self._lose(child, f"it was not ready within {START_S_MAX:g} s")

    def _reap(self, child: Child) -> None:
        self._track(asyncio.create_task(_farewell(child)))

    def _track(self, task: "asyncio.Task[None]") -> None:
        self._reaping.add(task)
        task.add_done_callback(self._reaping.discard)


def understood(message: bytes, number: int, body: bytes) -> Answer:
    """A child's answer to the request `number` about `body`; raises ValueError (or msgspec's errors) for nonsense."""
    return _answer_of(_reply(message, number), body)


def _answer_of(reply: Reply, body: bytes) -> Answer:
    if reply.passed is not None:
        return reply.passed
    if reply.changes is None:
        raise ValueError("neither changes nor a reason")
    changes = reply.changes
    _check(changes.edits, len(body))
    return Rewritten(
        page=splice(body, changes.edits),
        outcomes=changes.outcomes,
        edits=changes.edits,
        style_hashes=changes.style_hashes,
        charset=changes.charset,
        touched=changes.touched,
        calls_script=changes.calls_script,
    )


def _reply(message: bytes, number: int) -> Reply:
    reply = _decode_reply(message)
    if reply.number != number:
        raise ValueError(f"number {reply.number} where {number} was asked")
    return reply


def _check(edits: Sequence[Edit], length: int) -> None:
    at = 0
    for edit in edits:
        if not at <= edit.start <= edit.end <= length:
            raise ValueError(f"an edit at {edit.start}-{edit.end} after {at}, of {length} bytes")
        at = edit.end


def _message(request: Request | Pair) -> bytes:
    message = _encode(request)
    if len(message) > MESSAGE_BYTES_MAX:
        raise ValueError(f"page and mutations take {len(message)} bytes, at most {MESSAGE_BYTES_MAX}")
    return message


def _failed(why: str) -> PassedThrough:
    return PassedThrough(reason=Reason.REWRITE_FAILED, outcomes=(), detail=why)


async def _farewell(child: Child) -> None:
    """Wait for the process, kill it if it does not go, so that none is left as a zombie."""
    try:
        await asyncio.wait_for(child.reaped(), CLOSE_S_MAX)
    except TimeoutError:
        child.end()
        await child.reaped()
