"""When a mutation is considered: its trigger, and the windows of its schedule.

Counterpart: `rules.schedules` compiles a schedule, `rules.rows` a trigger; the events of a `client` trigger are heard by
the browser script (`sidecar/runtime/runtime.js`). Never: a clock.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from rules import limits
from rules.fields import Clock, EventName, Identifier, Record
from rules.operations import Target


class PageLoad(Record, tag_field="on", tag="pageLoad", frozen=True, kw_only=True):
    """Considered on every page load."""


class InSegment(Record, tag_field="on", tag="segment", frozen=True, kw_only=True):
    """Considered when the visit is in a segment of the rules file."""

    segment: Identifier


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


Trigger = PageLoad | InSegment | InBrowser

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
