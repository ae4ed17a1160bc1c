"""What sidecars tell of visits: the structs, and the stream entry that carries many of them.

An entry's fields are `format` (`1`) and `events`: lines of JSON, one event each, compressed by Zstandard (RFC 8878). It may
come more than once, and an event in it may too: equal ids are one event. Readers skip what they do not know, so that sidecars
may be newer than the control plane.
Counterparts: `keys` names the streams; the sidecar writes entries, the control plane reads them.
Never: an address, a user agent, a query, or a unit as it is: units come as pseudonyms that only equality can be asked of.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from io import BytesIO
from typing import Annotated

import msgspec
import zstandard
from msgspec import Meta, Struct

FORMAT = b"1"
BATCH_EVENTS_MAX = 200
"""Events of one entry: enough that an entry costs little for each, few enough that a lost one is no loss."""
BATCH_BYTES_MAX = 64 * 1024
"""An entry before compression, so that a reader's memory is bounded whoever wrote it."""
EVENT_BYTES_MAX = 16 * 1024
"""One event; the largest is a page with three full lists of mutations."""
NAMED_MAX = 50
"""Mutations that one list of an execution names."""
SITE_CHARACTERS_MAX = 253
"""A host name (RFC 1035 2.3.4)."""
PATH_CHARACTERS_MAX = 300
"""A path: real ones have some dozens of characters, and what comes behind tells pages apart no better."""
UNITS_MAX = 20
"""Attributes that one conversion has a unit of."""
VALUE_MAX = 1e12

Name = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_.:-]{0,63}$")]
"""What a site calls a conversion, or another event of its own."""
PagePath = Annotated[str, Meta(pattern=r"^/[^?#\x00-\x20\x7f]*$", max_length=PATH_CHARACTERS_MAX)]
Value = Annotated[float, Meta(ge=-VALUE_MAX, le=VALUE_MAX)]


class Event(Struct, frozen=True, kw_only=True, rename="camel", tag_field="event", omit_defaults=True):
    """What every event has."""

    id: str
    """The same each time that the event is delivered, and no other event's: a run of a worker, and a count."""
    at: datetime
    """When the sidecar saw it, UTC."""
    site: str
    """Host of the page, lower case, without the port."""


class Execution(Event, frozen=True, tag="execution"):
    """A page that was decided: what was done, what could not be done, and what it took."""

    path: str
    """Path of the page as it came, without the query; longer ones are cut."""
    table: int
    """Version of the decision table."""
    reason: str
    """What became of the page: `applied`, or why it passed."""
    status: int
    """HTTP status that the visitor got."""
    share: float = 1.0
    """Share of such pages that are told of: count this one as 1 / share."""
    applied: tuple[str, ...] = ()
    """Mutations that were carried out, or handed to the browser script."""
    failed: Mapping[str, str] = {}
    """Mutation -> reason, for those that apply to the visit and could not be carried out."""
    shadowed: tuple[str, ...] = ()
    """Mutations that gave way to stronger ones."""
    unnamed: int = 0
    """Mutations that the three lists had no room for."""
    decide_us: int = 0
    """Microseconds to decide."""
    rewrite_us: int = 0
    """Microseconds to rewrite, waiting and memo included; 0 where the page was not rewritten."""


class Exposure(Event, frozen=True, tag="exposure"):
    """A visit in a variation of an experiment came to a page where the variations differ."""

    table: int
    """Version of the decision table."""
    experiment: str
    """Its id."""
    variation: str
    """Its key."""
    attribute: str
    """Name of the attribute that the visit was bucketed by."""
    unit: str
    """Pseudonym of the unit: equal ones are one unit."""
    shown: bool = True
    """Whether the page showed the variation. False: its mutation could not be carried out, which has no equal in the control.
    To compare variations count both; to see how many saw theirs count the shown."""


class Conversion(Event, frozen=True, tag="conversion"):
    """The site's own page said that something happened."""

    name: str
    """What the site calls it."""
    units: Mapping[str, str]
    """Attribute -> pseudonym, for each unit that the visitor is known by."""
    path: str | None = None
    """Path of the page that said so."""
    value: float | None = None
    """What it is worth, in a unit of the site's choice."""


AnyEvent = Execution | Exposure | Conversion


class Batch(Struct, frozen=True):
    """What one stream entry holds."""

    events: tuple[AnyEvent, ...]
    unknown: int
    """Lines that are no event of a kind known here."""


class BatchError(ValueError):
    """An entry that is none: of another format, broken, or larger than any of ours."""


encode = msgspec.json.Encoder().encode
"""One event as a line; raises UnicodeEncodeError for half a character."""
_decode = msgspec.json.Decoder(AnyEvent).decode
_compress = zstandard.ZstdCompressor(level=1)


def sealed(lines: Sequence[bytes]) -> bytes:
    """Encoded events as the field `events` of one entry; within BATCH_EVENTS_MAX and BATCH_BYTES_MAX."""
    return _compress.compress(b"\n".join(lines))


def entry(payload: bytes) -> dict[bytes, bytes]:
    """The fields of a stream entry."""
    return {b"format": FORMAT, b"events": payload}


def read(fields: Mapping[bytes, bytes]) -> Batch:
    """The events of a stream entry; raises BatchError."""
    if fields.get(b"format") != FORMAT:
        raise BatchError(f"format {fields.get(b'format')!r}; this program reads {FORMAT!r}")
    events: list[AnyEvent] = []
    unknown = 0
    for line in _unsealed(fields.get(b"events", b"")).split(b"\n"):
        try:
            events.append(_decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            unknown += 1
    return Batch(tuple(events), unknown)


def _unsealed(payload: bytes) -> bytes:
    try:
        with zstandard.ZstdDecompressor(max_window_size=2 * BATCH_BYTES_MAX).stream_reader(BytesIO(payload)) as reader:
            text = reader.read(BATCH_BYTES_MAX + 1)
    except zstandard.ZstdError as error:
        raise BatchError(f"broken: {error}") from error
    if not text or len(text) > BATCH_BYTES_MAX:
        raise BatchError(f"{'more than' if text else 'less than'} any batch holds")
    return text
