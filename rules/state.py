"""What a visitor's browser keeps of earlier pages: one small frozen struct, with a bound in bytes.

Counterparts: `rules.remembering` says what a page adds to it, `sidecar.context.state_cookie` signs it and lets it travel.
Never: an identifier of the visitor, or a text of theirs without a bound.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, structs

from rules import limits

_MINUTES_OF_A_DAY = 24 * 60
_Natural = Annotated[int, Meta(ge=0)]


class Referral(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where the first visit came from; empty for what it did not say."""

    referrer: str = ""
    source: str = ""
    medium: str = ""
    name: str = ""
    landing: str = ""
    """Path of the first page."""


class State(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is remembered of one visitor. Never changed: a page makes another one."""

    day: _Natural = 0
    """Of the first page, in days since 1970."""
    minute: _Natural = 0
    """Of the last page, in minutes since 1970; 0 before the first."""
    sessions: _Natural = 0
    pages: _Natural = 0
    """Of this session."""
    referral: Referral | None = None
    """None until a first page was remembered."""
    journeys: dict[str, tuple[str, ...]] = {}
    """Journey -> steps in the order they were reached."""
    quizzes: dict[str, dict[str, str]] = {}
    """Quiz -> question -> answer."""
    counters: dict[str, _Natural] = {}
    assigned: dict[str, str] = {}
    """Sticky key -> variation key, the oldest first."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is remembered but when pages were seen."""
        counted = self.sessions or self.pages or self.referral is not None
        return not (counted or self.journeys or self.quizzes or self.counters or self.assigned)


NOTHING_YET = State()
"""Of somebody who has seen no page."""

_DECODER = msgspec.msgpack.Decoder(State)


def encoded(state: State) -> bytes:
    """A state as bytes, at most `limits.STATE_BYTES_MAX` of one that is `bounded`."""
    return msgspec.msgpack.encode(state)


def decoded(data: bytes) -> State | None:
    """The state in bytes; None for bytes that hold none."""
    try:
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def minute_of(moment: datetime) -> int:
    """Minutes since 1970."""
    return int(moment.timestamp()) // 60


def is_over(state: State, now: datetime, *, days: int) -> bool:
    """Whether a state is to be forgotten: `days` without a page, or as old as any may be."""
    minute = minute_of(now)
    return (
        minute - state.minute >= days * _MINUTES_OF_A_DAY
        or minute // _MINUTES_OF_A_DAY - state.day >= limits.STATE_DAYS_MAX
    )


def short(value: Any) -> str:
    """A text of the visit as it may be kept: a few characters of it, and nothing that can't be encoded."""
    if not isinstance(value, str):
        return ""
    return value[: limits.REFERRAL_CHARACTERS_MAX].encode("utf-8", "ignore").decode()


def bounded(state: State, *, experiments: Collection[str], declared: Sequence[str]) -> State:
    """The state within its bound of bytes; what goes first where it is full is what is missed least.

    In this order: assignments of experiments that are not among `experiments`, the oldest first; the landing page; the rest
    of the first referral; the other assignments, the oldest first (positions decide again); the attributes that are
    `declared`, the last one first.
    """
    if len(encoded(state)) <= limits.STATE_BYTES_MAX:
        return state
    return next(one for one in _shrinking(state, experiments, declared) if len(encoded(one)) <= limits.STATE_BYTES_MAX)


def _shrinking(state: State, experiments: Collection[str], declared: Sequence[str]) -> Iterator[State]:
    """States with less and less in them, down to nothing but numbers."""
    gone = [key for key in state.assigned if experiment_of(key) not in experiments]
    for key in gone:
        yield (state := structs.replace(state, assigned=_without(state.assigned, key)))
    if state.referral is not None:
        yield (state := structs.replace(state, referral=structs.replace(state.referral, landing="")))
        # Still there: the next page must not be taken for the first.
        yield (state := structs.replace(state, referral=Referral()))
    for key in list(state.assigned):
        yield (state := structs.replace(state, assigned=_without(state.assigned, key)))
    for name in reversed(declared):
        yield (
            state := structs.replace(
                state,
                journeys=_without(state.journeys, name),
                quizzes=_without(state.quizzes, name),
                counters=_without(state.counters, name),
            )
        )
    yield structs.replace(state, journeys={}, quizzes={}, counters={})


def experiment_of(sticky_key: str) -> str:
    """The id of the experiment that an assignment belongs to."""
    return sticky_key.rpartition("__")[0]


def _without(kept: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in kept.items() if key != name}
