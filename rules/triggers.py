"""When a mutation is considered: its trigger, and the windows of its schedule.

Counterpart: `rules.schedules` compiles a schedule, `rules.occasions` a trigger; the events of a `client` trigger are heard by
the browser script (`sidecar/runtime/runtime.js`). Never: a clock.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from rules import limits
from rules.fields import AttributeId, Clock, EventName, Identifier, Name, Pattern, Record, WordId
from rules.operations import Target

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Hours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Hours of the day, from (inclusive) to (exclusive); a window over midnight has `from` later than `to`."""

    since: Clock
    until: Clock

    def __post_init__(self) -> None:
        if self.since == self.until:
            raise ValueError("`from` and `to` must differ; leave `hours` out for the whole day")


class Schedule(Record, frozen=True, kw_only=True):
    """When a mutation may apply, in the author's time zone, across daylight saving."""

    starts_at: Annotated[datetime, Meta(tz=True)] | None = None
    ends_at: Annotated[datetime, Meta(tz=True)] | None = None
    timezone: Annotated[str, Meta(min_length=1, max_length=64, description="IANA name, for example Europe/Berlin")] = (
        "UTC"
    )
    days_of_week: Annotated[list[Day], Meta(max_length=7)] = []
    hours: Hours | None = None

    def __post_init__(self) -> None:
        if self.starts_at is not None and self.ends_at is not None and self.starts_at >= self.ends_at:
            raise ValueError("`startsAt` must be earlier than `endsAt`")


Device = Literal["desktop", "mobile", "tablet", "tv", "bot", "other"]
RegionCode = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$",
        description="a country such as DE (ISO 3166-1) or a part of one such as DE-BY (ISO 3166-2), in capitals",
    ),
]
LanguageRange = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$",
        description="a language such as de or pt-BR (RFC 4647)",
    ),
]


class Progress(StrEnum):
    """Where a visit stands in a journey."""

    AT = "at"
    """The step is the one that was reached last."""
    REACHED = "reached"
    NOT_REACHED = "notReached"


class PageLoad(Record, tag_field="on", tag="pageLoad", frozen=True, kw_only=True):
    """Considered on every page load."""


class InSegment(Record, tag_field="on", tag="segment", frozen=True, kw_only=True):
    """Considered when the visit is in a segment of the rules file."""

    segment: Identifier


class AtStep(Record, tag_field="on", tag="journey", frozen=True, kw_only=True):
    """Considered for visits at some point of a journey that the rules file declares."""

    journey: AttributeId
    step: WordId
    progress: Progress = Progress.REACHED


class Answered(Record, tag_field="on", tag="quiz", frozen=True, kw_only=True):
    """Considered for visits that have answered a question of a quiz that the rules file declares."""

    quiz: AttributeId
    question: WordId
    answers: Annotated[list[WordId], Meta(max_length=limits.ANSWERS_MAX)] = []
    """Any of these; any answer at all where it is empty."""


class Feels(Record, tag_field="on", tag="emotion", frozen=True, kw_only=True):
    """Considered for visits whose attribute `emotion` is one of these; declare it as derived, or as the site hands it over."""

    emotions: Annotated[list[WordId], Meta(min_length=1, max_length=limits.TRIGGER_WORDS_MAX)]


class OnSchedule(Record, tag_field="on", tag="schedule", frozen=True, kw_only=True):
    """Considered at certain times, beside those of the mutation's own `schedule`."""

    schedule: Schedule


class InVariation(Record, tag_field="on", tag="experiment", frozen=True, kw_only=True):
    """Considered for visits in an experiment, or in some of its variations."""

    experiment: Identifier
    variations: Annotated[list[Identifier], Meta(max_length=limits.VARIATIONS_MAX)] = []
    """Any of these; whoever is enrolled where it is empty."""


class OnDevice(Record, tag_field="on", tag="device", frozen=True, kw_only=True):
    """Considered for certain kinds of device."""

    devices: Annotated[list[Device], Meta(min_length=1, max_length=limits.TRIGGER_WORDS_MAX)]


class InRegion(Record, tag_field="on", tag="region", frozen=True, kw_only=True):
    """Considered for visits from certain countries (ISO 3166-1, `DE`) or their parts (ISO 3166-2, `DE-BY`)."""

    regions: Annotated[list[RegionCode], Meta(min_length=1, max_length=limits.TRIGGER_WORDS_MAX)]


class InLocale(Record, tag_field="on", tag="locale", frozen=True, kw_only=True):
    """Considered for visits in certain languages; `de` takes `de-AT` in (basic filtering, RFC 4647 3.3.1)."""

    locales: Annotated[list[LanguageRange], Meta(min_length=1, max_length=limits.TRIGGER_WORDS_MAX)]


class ReferredBy(Record, tag_field="on", tag="referral", frozen=True, kw_only=True):
    """Considered for visits that come from somewhere; each field that is given must fit."""

    referrers: Annotated[list[Pattern], Meta(max_length=limits.TRIGGER_WORDS_MAX)] = []
    """Hosts of the page before: `news.example`, or `*.news.example` for its subdomains."""
    sources: Annotated[list[Name], Meta(max_length=limits.TRIGGER_WORDS_MAX)] = []
    """`utm_source` of the campaign, whatever its case."""
    mediums: Annotated[list[Name], Meta(max_length=limits.TRIGGER_WORDS_MAX)] = []
    """`utm_medium` of the campaign, whatever its case."""
    campaigns: Annotated[list[Name], Meta(max_length=limits.TRIGGER_WORDS_MAX)] = []
    """`utm_campaign` of the campaign, whatever its case."""
    first: bool = False
    """Whether the visitor's first visit is meant, as it is remembered, instead of this page."""

    def __post_init__(self) -> None:
        if not (self.referrers or self.sources or self.mediums or self.campaigns):
            raise ValueError("say where visits come from: `referrers`, `sources`, `mediums` or `campaigns`")


class ScrollDepth(Record, tag_field="event", tag="scrollDepth", frozen=True, kw_only=True):
    """The visitor has seen the page down to a share of its height."""

    percent: Annotated[int, Meta(ge=1, le=100)] = 50


class ExitIntent(Record, tag_field="event", tag="exitIntent", frozen=True, kw_only=True):
    """The pointer leaves the window by its upper edge; a touch screen has no such sign."""


class Idle(Record, tag_field="event", tag="idle", frozen=True, kw_only=True):
    """Nothing was clicked, typed, scrolled or moved for some time."""

    seconds: Annotated[int, Meta(ge=1, le=limits.IDLE_S_MAX)] = 20


class Visible(Record, tag_field="event", tag="visible", frozen=True, kw_only=True):
    """An element comes into view."""

    target: Target


class CustomEvent(Record, tag_field="event", tag="customEvent", frozen=True, kw_only=True):
    """A script of the site dispatches a DOM event of this name."""

    name: EventName


ClientEvent = ScrollDepth | ExitIntent | Idle | Visible | CustomEvent


class InBrowser(Record, tag_field="on", tag="client", frozen=True, kw_only=True):
    """Considered in the browser, when something happens there; such a mutation is delivered to the browser."""

    when: ClientEvent


Trigger = (
    PageLoad
    | InSegment
    | AtStep
    | Answered
    | Feels
    | OnSchedule
    | InVariation
    | OnDevice
    | InRegion
    | InLocale
    | ReferredBy
    | InBrowser
)
