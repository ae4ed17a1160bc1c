"""The format of a stream entry: what was put in comes out, what is newer is passed over, what is broken is told."""

from datetime import UTC, datetime

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from service.events import (
    BATCH_BYTES_MAX,
    BATCH_EVENTS_MAX,
    EVENT_BYTES_MAX,
    NAMED_MAX,
    PATH_CHARACTERS_MAX,
    AnyEvent,
    BatchError,
    Conversion,
    Execution,
    Exposure,
    encode,
    entry,
    read,
    sealed,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TIMES = st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
EVENTS: st.SearchStrategy[AnyEvent] = st.one_of(
    st.builds(
        Execution,
        id=TEXTS,
        at=TIMES,
        site=TEXTS,
        path=TEXTS,
        table=st.integers(0, 2**53),
        reason=TEXTS,
        status=st.integers(100, 599),
        share=st.floats(0, 1),
        applied=st.lists(TEXTS, max_size=3).map(tuple),
        failed=st.dictionaries(TEXTS, TEXTS, max_size=3),
        shadowed=st.lists(TEXTS, max_size=3).map(tuple),
        decide_us=st.integers(0, 10**6),
    ),
    st.builds(
        Exposure,
        id=TEXTS,
        at=TIMES,
        site=TEXTS,
        table=st.integers(0, 2**53),
        experiment=TEXTS,
        variation=TEXTS,
        attribute=TEXTS,
        unit=TEXTS,
        shown=st.booleans(),
    ),
    st.builds(
        Conversion,
        id=TEXTS,
        at=TIMES,
        site=TEXTS,
        name=st.sampled_from(["sold", "a.b:c-d_E9"]),
        units=st.dictionaries(TEXTS, TEXTS, max_size=3),
        path=st.none() | st.just("/thanks"),
        value=st.none() | st.floats(-1e12, 1e12),
    ),
)
EVENT = Exposure(
    id="run-1",
    at=datetime(2026, 1, 1, 12, tzinfo=UTC),
    site="shop.example",
    table=7,
    experiment="e",
    variation="control",
    attribute="lm_uid",
    unit="u",
)


@settings(max_examples=50, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=20))
def test_what_goes_in_comes_out(events: list[AnyEvent]) -> None:
    batch = read(entry(sealed([encode(event) for event in events])))
    assert (batch.events, batch.unknown) == (tuple(events), 0)


def test_an_event_is_a_line_of_json_as_it_is_documented() -> None:
    assert msgspec.json.decode(encode(EVENT)) == {
        "event": "exposure",
        "id": "run-1",
        "at": "2026-01-01T12:00:00Z",
        "site": "shop.example",
        "table": 7,
        "experiment": "e",
        "variation": "control",
        "attribute": "lm_uid",
        "unit": "u",
    }


def test_what_a_newer_sidecar_tells_is_passed_over() -> None:
    newer = b'{"event": "dream", "id": "1"}'
    more = encode(EVENT)[:-1] + b', "mood": 3}'
    batch = read({**entry(sealed([newer, more, encode(EVENT)])), b"mood": b"3"})
    assert (batch.events, batch.unknown) == ((EVENT, EVENT), 1)


def bomb(size: int) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(bytes(size))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"format": b"2", b"events": sealed([encode(EVENT)])},
        {b"format": b"1"},
        entry(b""),
        entry(b"noise"),
        entry(sealed([encode(EVENT)])[:10]),
        entry(bomb(BATCH_BYTES_MAX + 1)),
        entry(bomb(256 * 1024 * 1024)),
    ],
    ids=["empty", "format", "no events", "nothing", "noise", "cut", "large", "bomb"],
)
def test_an_entry_that_is_none_is_told(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(BatchError):
        read(fields)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(noise: bytes) -> None:
    payload = sealed([encode(EVENT)])
    for broken in (noise, noise + payload, payload[: len(noise)] + noise + payload[len(noise) :]):
        try:
            read(entry(broken))
        except BatchError:
            continue
    assert read(entry(sealed([noise.replace(b"\n", b"") or b"?"]))).events == ()


def test_the_largest_event_is_within_its_bound_and_a_full_batch_may_be_none() -> None:
    name = "m" * 64
    largest = Execution(
        id="x" * 40,
        at=EVENT.at,
        site="s" * 253,
        path="\u20ac" * PATH_CHARACTERS_MAX,
        table=2**53,
        reason="rewrite_failed",
        status=200,
        applied=(name,) * NAMED_MAX,
        failed={f"{name}{number}": "too_many_matches" for number in range(NAMED_MAX)},
        shadowed=(name,) * NAMED_MAX,
    )
    assert len(encode(largest)) < EVENT_BYTES_MAX
    assert EVENT_BYTES_MAX < BATCH_BYTES_MAX < EVENT_BYTES_MAX * BATCH_EVENTS_MAX
