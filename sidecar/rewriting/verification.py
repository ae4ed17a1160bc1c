"""The second opinion at the edge: a sample of rewritten pages is judged afterwards, in a process of its own.

A page whose mutations changed something else, or something less, costs its mutation the place: it is held in `quarantine`, and
a person is told. Whatever befalls the judge (a crash, a hang, too much memory) is no opinion and holds nobody.
Counterparts: `rewriting.py` tells of every new page, `verifier.py` runs in the child, `service.second_opinion` judges.
Never: a visitor who waits, or a page kept for longer than the judge needs; what does not fit into the queue is dropped.
"""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec
import structlog

from rules.group import Group
from rules.html import Rewritten
from rules.table import DecisionTable
from service.opinions import PAGE_BYTES_MAX, Case, Doubt, Judged, Opinion, Verdict
from sidecar.rewriting.companion import Companion, CompanionLostError
from sidecar.rewriting.memo import MemoKey
from sidecar.rewriting.quarantine import MutationQuarantine, Why

COMMAND = (sys.executable, "-P", "-m", "sidecar.rewriting.verifier")
DEADLINE_S = 5.0
"""Measured: 10 ms for the median of 65 real pages, 0.5 s for the largest; four times that where somebody is to blame."""

QUEUE_PAGES_MAX = 8
"""Pages that wait: at most so many times 8 MiB, before and after, of memory."""

INTERVAL_S = 1.0
"""Between two pages of the sample, in one worker: however many are rewritten, judging takes a few hundredths of a core."""

RESTART_S_MIN = 0.1
RESTART_S_MAX = 60.0

_log = structlog.get_logger("sidecar.rewriting.verification")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Judged).decode


class _Sample(NamedTuple):
    case: Case
    path: str
    table: DecisionTable | None


class Verification:
    """The sample, the queue, and what follows from an opinion; for one worker, on its event loop.

    `share` of the pages that `consider` hears of are judged, chosen by `entropy`, at most one in `interval_s`. `table` gives the one in force.
    What differs is held in `quarantine`, which tells of it.
    """

    def __init__(
        self,
        *,
        share: float,
        quarantine: MutationQuarantine,
        table: Callable[[], DecisionTable | None],
        entropy: random.Random,
        deadline_s: float = DEADLINE_S,
        interval_s: float = 0.0,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.quarantine = quarantine
        self._interval_s = interval_s
        self._next = float("-inf")
        self._share = share
        self._table = table
        self._entropy = entropy
        self._deadline_s = deadline_s
        self._judge = Companion(command)
        self._queue: asyncio.Queue[_Sample] = asyncio.Queue(QUEUE_PAGES_MAX)
        self._opinions = Counter({(verdict.value, ""): 0 for verdict in (Verdict.AGREES, Verdict.DIFFERS)})
        self._dropped = 0
        self._failures = 0
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Judge from now on; the child is started by the first page."""
        if self._share > 0:
            self._work = asyncio.create_task(self._judge_all())

    async def close(self) -> None:
        """Stop, and end the child."""
        if self._work is not None:
            self._work.cancel()
            with suppress(asyncio.CancelledError):
                await self._work
        await self._judge.close()

    def consider(self, key: MemoKey, page: bytes, groups: tuple[Group, ...], result: Rewritten) -> None:
        """Hear of a page that was rewritten anew; some are put into the queue. Never raises and never waits."""
        if self._work is None or self._entropy.random() >= self._share:
            return
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return
        self._next = now + self._interval_s
        if max(len(page), len(result.page)) > PAGE_BYTES_MAX:
            self._count(Opinion(Verdict.NO_OPINION, Doubt.TOO_LARGE))
            return
        case = Case.of(page, result, groups, nonce=key.nonce)
        try:
            self._queue.put_nowait(_Sample(case, key.address.partition("?")[0], self._table()))
        except asyncio.QueueFull:
            self._dropped += 1

    def status(self) -> dict[str, object]:
        """For `/readyz` and metrics. `opinions`: verdict, or verdict and doubt, -> how many."""
        return {
            "share": self._share,
            "pid": self._judge.pid,
            "restarts": max(0, self._judge.starts - 1),
            "waiting": self._queue.qsize(),
            "dropped": self._dropped,
            "opinions": {" ".join(filter(None, names)): count for names, count in self._opinions.items() if count},
        }

    def opinions(self) -> Mapping[tuple[str, str], int]:
        """(verdict, doubt or "") -> how many so far; the two verdicts are there from the beginning."""
        return self._opinions

    async def _judge_all(self) -> None:
        while True:
            sample = await self._queue.get()
            try:
                self._heard(sample, _decode(await self._judge.ask(_encode(sample.case), self._deadline_s)))
                self._failures = 0
            except (CompanionLostError, msgspec.MsgspecError) as error:
                await self._judge.close()
                self._count(Opinion(Verdict.NO_OPINION, Doubt.FAILED))
                await self._wait_to_restart(sample, error)
            except Exception:  # noqa: BLE001 - a loop that a bug can end would stop the checks unseen
                _log.exception("verification_failed", page=sample.path)

    async def _wait_to_restart(self, sample: _Sample, error: Exception) -> None:
        """The more children were lost in a row, the longer; meanwhile the queue fills and pages are dropped."""
        self._failures += 1
        _log.warning("verifier_replaced", page=sample.path, why=str(error), failures=self._failures)
        wait_s = min(RESTART_S_MAX, RESTART_S_MIN * 2.0 ** min(self._failures - 1, 16))
        await asyncio.sleep(wait_s * self._entropy.uniform(0.5, 1.0))

    def _heard(self, sample: _Sample, judged: Judged) -> None:
        self._count(judged.opinion)
        if judged.opinion.verdict is not Verdict.DIFFERS:
            return
        # Of the table that was in force then: a version published since is judged by pages of its own.
        versions = {} if sample.table is None else sample.table.versions(judged.blamed)
        held_s = max(
            (self.quarantine.hold(name, version, Why.DIFFERS) for name, version in versions.items()), default=0.0
        )
        _log.error(
            "mutation_differs",
            mutations=list(judged.blamed),
            page=sample.path,
            detail=judged.opinion.detail,
            held_s=held_s,
            advice="see what it does on that page by the preview; it is skipped meanwhile, a new version is tried at once",
        )

    def _count(self, opinion: Opinion) -> None:
        self._opinions[opinion.verdict.value, opinion.doubt.value if opinion.doubt is not None else ""] += 1
