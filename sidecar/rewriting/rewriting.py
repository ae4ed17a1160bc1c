"""Budgets, memo, quarantine, and the original page whenever anything goes wrong: the seam where rewriting fails open.

Counterpart: `isolation.py` has pages rewritten beside the worker, `memo.py` keeps finished ones, `skeletons.py` what those of
one address have in common, `quarantine.py` the harmful ones; `proxy.py` asks for a page and sends whatever comes back.

Never: raises (but for the cancellation of its caller), blocks the event loop (unless told to work inline), or returns
bytes that differ from the origin's outside an edit.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial

import structlog

from rules import limits
from rules.group import Group
from rules.html import PassedThrough, Rewritten, apply_groups
from rules.html.lessons import gaps_between, learn
from rules.reasons import Reason
from rules.watch import Watch
from sidecar.rewriting.child import COMMAND
from sidecar.rewriting.guard import Guard
from sidecar.rewriting.inquiry import INTERVAL_S, Inquiry
from sidecar.rewriting.isolation import QUEUE_PAGES_MAX, Isolated, Job
from sidecar.rewriting.last_words import LastWords, UnderWay, named
from sidecar.rewriting.memo import Memo, MemoKey
from sidecar.rewriting.quarantine import PageQuarantine, Why, digest_of, path_of, queries_of
from sidecar.rewriting.skeletons import Skeletons, Study
from sidecar.rewriting.stopwatch import Stopwatch

DEADLINE_S = 0.25
SLOW_US = 25_000
"""A mutation that takes longer by itself is slow: a hundred times what one takes, and a tenth of what all may take."""
MEMO_BYTES_MAX = 64 * 1024 * 1024
SKELETON_BYTES_MAX = 32 * 1024 * 1024

_PASSING = frozenset({Reason.REWRITE_FAILED, Reason.OVER_BUDGET})
"""Answers that may differ the next time; everything else a page's bytes and the decision determine."""

OnRewritten = Callable[[MemoKey, bytes, tuple[Group, ...], Rewritten], None]
"""Who hears of each page that was rewritten anew: `verification.Verification.consider`. Must not raise."""

_log = structlog.get_logger("sidecar.rewriting.rewriting")


class Isolation(StrEnum):
    """Where pages are parsed: in a child process, or inside the worker, where no deadline holds and a crash is ours."""

    CHILD = "child"
    INLINE = "inline"


class Rewriting:
    """Rewrites pages for one worker; used on one event loop.

    `deadline_s` bounds a visitor's wait, queue included, and apart from that the child's work on one page. `command`
    starts the child. `entropy` spreads restarts. `on_rewritten` hears of each page that did not come out of the memo.
    `guard` hears what became of mutations, and who took longer than `slow_us` microseconds. `last_words`: where it is left
    what this worker rewrites itself.
    """

    def __init__(  # noqa: PLR0913 - each is a setting, or what a test replaces
        self,
        *,
        isolation: Isolation = Isolation.CHILD,
        deadline_s: float = DEADLINE_S,
        page_bytes_max: int = limits.PAGE_BYTES_MAX,
        memo_bytes_max: int = MEMO_BYTES_MAX,
        skeleton_bytes_max: int = SKELETON_BYTES_MAX,
        queue_pages_max: int = QUEUE_PAGES_MAX,
        command: Sequence[str] = COMMAND,
        entropy: random.Random | None = None,
        on_rewritten: OnRewritten | None = None,
        guard: Guard | None = None,
        slow_us: int = SLOW_US,
        last_words: LastWords | None = None,
        inquiry_interval_s: float = INTERVAL_S,
    ) -> None:
        self.isolation = isolation
        self.memo = Memo(memo_bytes_max)
        self.skeletons = Skeletons(skeleton_bytes_max)
        self.quarantine = PageQuarantine() if guard is None else guard.pages
        self._guard = guard
        self._slow_us = slow_us if guard is not None else 0
        self._last_words = last_words if isolation is Isolation.INLINE else None
        self._inquiry: Inquiry | None = None
        if guard is not None:
            self._inquiry = guard.inquiry = Inquiry(
                deadline_s=deadline_s,
                slow_us=self._slow_us,
                on_found=guard.found,
                command=command,
                interval_s=inquiry_interval_s,
            )
        self._page_bytes_max = page_bytes_max
        self._on_rewritten = on_rewritten
        self._isolated = Isolated(
            deadline_s=deadline_s,
            on_answer=self._keep,
            on_harm=self._hold,
            on_lesson=self.skeletons.learned,
            entropy=entropy or random.Random(),  # noqa: S311 - jitter
            command=command,
            queue_pages_max=queue_pages_max,
            slow_us=self._slow_us,
        )

    async def start(self) -> None:
        """Start the child and wait, bounded, until it is warm. Never fails: without a child pages pass."""
        if self.isolation is Isolation.CHILD:
            await self._isolated.start()

    async def close(self) -> None:
        """Let waiting pages pass and end the child."""
        if self._inquiry is not None:
            await self._inquiry.close()
        await self._isolated.close()

    async def rewrite(self, key: MemoKey, body: bytes, groups: tuple[Group, ...]) -> Rewritten | PassedThrough:
        """The page with a decision's groups carried out, or why it passes untouched."""
        try:
            if not groups:
                return PassedThrough(reason=Reason.NO_RULES, outcomes=(), detail="")
            if len(body) > self._page_bytes_max:
                detail = f"{len(body)} bytes, at most {self._page_bytes_max}"
                return PassedThrough(reason=Reason.TOO_LARGE, outcomes=(), detail=detail)
            if self.quarantine and self.quarantine.holds(key.address, key.decision, _now()):
                return PassedThrough(reason=Reason.QUARANTINED, outcomes=(), detail="")
            known = self.memo.get(key, body)
            if known is not None:
                return known
            if (fitting := self.skeletons.fit(key, body)) is not None:
                self._tell(key, body, groups, fitting)
                return fitting
            if self.isolation is Isolation.CHILD:
                return await self._isolated.ask(key, body, groups)
            answer = self._applied(key, body, groups)
            self.memo.put(key, body, answer)
            self._tell(key, body, groups, answer)
            if _has_edits(answer) and (study := self.skeletons.offer(key, body)) is not None:
                asyncio.get_running_loop().call_soon(self._study, study, groups)
            return answer
        except Exception as error:  # noqa: BLE001 - fail open: a bug of ours costs a mutation, never a page
            _log.exception("rewriting_failed", page=path_of(key.address))
            return PassedThrough(reason=Reason.REWRITE_FAILED, outcomes=(), detail=type(error).__name__)

    def coded(self, key: MemoKey, page: bytes, coding: str) -> bytes | None:
        """A finished page in a content coding, if that is kept."""
        return self.memo.coded(key, page, coding)

    def keep_coded(self, key: MemoKey, page: bytes, coding: str, coded: bytes) -> None:
        """Keep it for as long as the page."""
        self.memo.keep_coded(key, page, coding, coded)

    def status(self) -> dict[str, object]:
        """For metrics and readiness: isolation, ready, pid, restarts, waiting, quarantined, memo {hits, misses, …}, skeletons {…}."""
        return {
            "isolation": self.isolation.value,
            "ready": self.isolation is Isolation.INLINE or self._isolated.ready,
            "pid": self._isolated.pid,
            "restarts": self._isolated.restarts,
            "waiting": self._isolated.waiting,
            "quarantined": len(self.quarantine),
            "memo": self.memo.status(),
            "skeletons": self.skeletons.status(),
        }

    def _applied(self, key: MemoKey, body: bytes, groups: tuple[Group, ...]) -> Rewritten | PassedThrough:
        """Rewrite inside the worker; raises whatever the rewriter raises."""
        stopwatch = Stopwatch() if self._slow_us else None
        watch: Watch | None = stopwatch
        if self._last_words is not None:
            watch = self._under_way(self._last_words, key, groups, stopwatch)
        try:
            answer = apply_groups(
                body,
                groups,
                charset=key.charset,
                nonce=key.nonce,
                script=key.script,
                page_bytes_max=self._page_bytes_max,
                watch=watch,
            )
        except Exception:
            if self._guard is not None:
                self._guard.harmed(key, body, groups)
            raise
        finally:
            if self._last_words is not None:
                self._last_words.end()
        if self._guard is not None:
            slow = {} if stopwatch is None else stopwatch.slow(self._slow_us, len(body))
            self._guard.heard(key, answer, slow)
        return answer

    def _under_way(
        self, last_words: LastWords, key: MemoKey, groups: tuple[Group, ...], stopwatch: Stopwatch | None
    ) -> Watch:
        """Leave behind what begins; who is to be told whose turn it is."""
        guard = self._guard
        versions = {} if guard is None else guard.versions
        known = [(group.mutation_id, versions.get(group.mutation_id, 0)) for group in groups]
        page, queries, path = digest_of(key.address), queries_of(key.address), path_of(key.address)
        table = 0 if guard is None else guard.table_version
        last_words.begin(UnderWay(page, queries, path, key.decision, table, named(known)))
        if stopwatch is None:
            return last_words.turn

        def watch(whose: str) -> None:
            last_words.turn(whose)
            stopwatch(whose)

        return watch

    def _keep(self, job: Job, answer: Rewritten | PassedThrough, slow: Mapping[str, int]) -> None:
        if self._guard is not None:
            if isinstance(answer, PassedThrough) and answer.reason is Reason.REWRITE_FAILED:
                self._guard.harmed(job.key, job.body, job.groups)
            self._guard.heard(job.key, answer, slow)
        if isinstance(answer, Rewritten) or answer.reason not in _PASSING:
            self.memo.put(job.key, job.body, answer)
            self._tell(job.key, job.body, job.groups, answer)
            if _has_edits(answer) and (study := self.skeletons.offer(job.key, job.body)) is not None:
                self._isolated.learn(study, job.groups)

    def _study(self, study: Study, groups: tuple[Group, ...]) -> None:
        """Learn inside the worker, where everything is done there; the page that it began with is on its way already."""
        lesson = None
        if self._last_words is not None:
            self._under_way(self._last_words, study.key, (), None)
        try:
            gaps = gaps_between(study.base, study.other, study.known)
            if gaps is not None:
                key, apply = study.key, partial(apply_groups, page_bytes_max=self._page_bytes_max)
                lesson = learn(
                    study.base, gaps, groups, charset=key.charset, with_nonce=key.nonce is not None, apply=apply
                )
        finally:
            if self._last_words is not None:
                self._last_words.end()
            self.skeletons.learned(study, lesson)

    def _tell(self, key: MemoKey, body: bytes, groups: tuple[Group, ...], answer: Rewritten | PassedThrough) -> None:
        if self._on_rewritten is not None and isinstance(answer, Rewritten):
            self._on_rewritten(key, body, groups, answer)

    def _hold(self, job: Job, reason: Reason, why: str) -> None:
        table = 0 if self._guard is None else self._guard.table_version
        did = Why.HUNG if reason is Reason.OVER_BUDGET else Why.KILLED
        held_s = self.quarantine.add(job.key.address, job.key.decision, _now(), did, table)
        _log.warning("page_quarantined", page=path_of(job.key.address), reason=reason.value, why=why, held_s=held_s)
        if self._guard is not None:
            self._guard.harmed(job.key, job.body, job.groups)


def _has_edits(answer: Rewritten | PassedThrough) -> bool:
    """Whether a page has its edits, if only none: one that passes for what it is must not be parsed for a study either."""
    return isinstance(answer, Rewritten) or answer.reason is Reason.NOTHING_MATCHED


def _now() -> float:
    return asyncio.get_running_loop().time()
