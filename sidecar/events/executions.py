"""Pages that have left, until there is a moment to tell of them.

While a request is answered only what is there anyway is put aside; an event is made of it later, many in a row. Made at once,
each would cost three times as much, since nothing of the code for it is in the processor's caches then.
Counterpart: `events` puts pages aside and fetches lines. Never: a reference to a request; what is put aside is bounded.
"""

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime

from rules.reasons import Reason
from service import events
from service.events import Execution
from sidecar.context import visit
from sidecar.exchange import Exchange

SIZE_MAX = 60_000
"""Pages and mutations of them together: a second of the busiest worker, and some 10 MB."""

CARRIED_OUT = frozenset({Reason.APPLIED, Reason.DELIVERED})
FAILED = frozenset(
    {
        Reason.TARGET_NOT_FOUND,
        Reason.TOO_MANY_MATCHES,
        Reason.AMBIGUOUS_SPAN,
        Reason.UNSAFE_TARGET,
        Reason.LOOP,
        Reason.NOT_DELIVERED,
        Reason.UNUSABLE,
        Reason.QUARANTINED,
    }
)
"""Outcomes that somebody may want to look into; all others are the rules at work."""
UNTRIED = frozenset(
    {Reason.ROLLOUT.value, Reason.METHOD.value, Reason.SWITCHED_OFF.value, Reason.SHADOW.value},
)
"""Reasons of a page that passed because nobody wanted to change it."""
_APPLIED = Reason.APPLIED.value

_Seen = tuple[datetime, str, str, int, str, int, float, float, Mapping[str, Reason]]
"""When, authority, path, table, reason, status, seconds to decide and to rewrite, outcomes."""
_NONE: Mapping[str, Reason] = {}


class Executions:
    """The pages of one worker that are still to be told of. `share` of all pages come here; `new_id` names events."""

    def __init__(self, share: float, new_id: Callable[[], str], size_max: int = SIZE_MAX) -> None:
        self._share = share
        self._new_id = new_id
        self._room = size_max
        self._seen: deque[_Seen] = deque()

    def __len__(self) -> int:
        return len(self._seen)

    def put_aside(self, exchange: Exchange, reason: str, status: int, at: datetime) -> bool:
        """Keep what is to be told of a page; False where there is no room for it."""
        outcomes = exchange.explanation
        size = 1 + len(outcomes)
        if size > self._room:
            return False
        self._room -= size
        table = exchange.table
        self._seen.append(
            (
                at,
                exchange.authority[: events.SITE_CHARACTERS_MAX],
                exchange.path[: events.PATH_CHARACTERS_MAX],
                0 if table is None else table.version,
                reason,
                status,
                exchange.decide_s,
                exchange.rewrite_s,
                outcomes or _NONE,
            )
        )
        return True

    def next(self) -> bytes:
        """The oldest page as a line. Raises IndexError where there is none; the page is gone whatever is raised."""
        at, authority, path, table, reason, status, decide_s, rewrite_s, outcomes = self._seen.popleft()
        self._room += 1 + len(outcomes)
        applied, failed, shadowed = _sorted_out(outcomes, reason) if outcomes else ((), {}, ())
        unnamed = 0
        if len(outcomes) > events.NAMED_MAX:
            unnamed = sum(max(0, len(each) - events.NAMED_MAX) for each in (applied, failed, shadowed))
            failed = dict(list(failed.items())[: events.NAMED_MAX])
        return events.encode(
            Execution(
                id=self._new_id(),
                at=at,
                site=bounded(visit.host_of(authority), events.SITE_CHARACTERS_MAX),
                path=bounded(path, events.PATH_CHARACTERS_MAX),
                table=table,
                reason=reason,
                status=status,
                share=self._share,
                applied=applied[: events.NAMED_MAX],
                failed=failed,
                shadowed=shadowed[: events.NAMED_MAX],
                unnamed=unnamed,
                decide_us=int(decide_s * 1e6),
                rewrite_us=int(rewrite_s * 1e6),
            )
        )


def _sorted_out(outcomes: Mapping[str, Reason], reason: str) -> tuple[tuple[str, ...], dict[str, str], tuple[str, ...]]:
    """Which mutations were applied, which failed and why, and which gave way; `reason` is the page's."""
    applied: list[str] = []
    failed: dict[str, str] = {}
    shadowed: list[str] = []
    for mutation, outcome in outcomes.items():
        if outcome in CARRIED_OUT:
            if reason == _APPLIED:
                applied.append(mutation)
            elif reason not in UNTRIED:
                failed[mutation] = reason
        elif outcome is Reason.SHADOWED:
            shadowed.append(mutation)
        elif outcome in FAILED:
            failed[mutation] = outcome.value
    return tuple(applied), failed, tuple(shadowed)


def bounded(text: str, characters_max: int) -> str:
    """Text of a request as JSON can have it: cut, and bytes that are no UTF-8 replaced."""
    text = text[:characters_max]
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
