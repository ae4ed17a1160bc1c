"""The outside of a sealed table: each field in its place, and no time or memory for what is anywhere else."""

import tracemalloc
from typing import Any

import msgspec
import pytest

from rules import limits
from rules.envelope import Fields, format_of
from rules.errors import TableError
from rules.sealing import unseal

WRITTEN = {"format": 5, "key_id": "key", "signature": b"signed", "head": b"h" * 300, "rules": b"r" * 70_000}
BEFORE = {"key_id": "key", "signature": b"signed", "hashed": True, "body": b"b" * 255}
encode = msgspec.msgpack.encode


def read(sealed: bytes) -> dict[str, Any]:
    fields = Fields(sealed, 5)
    found: dict[str, Any] = {"format": fields.number("format"), "key_id": fields.text("key_id")}
    found |= {"signature": fields.short("signature"), "head": fields.long("head"), "rules": fields.long("rules")}
    fields.end()
    return found


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_535, 65_536])
def test_what_is_written_is_read(size: int) -> None:
    written = {**WRITTEN, "key_id": "\u00fc" * 15, "signature": bytes(255), "head": bytes(size)}
    assert read(encode(written)) == written
    assert read(encode({**written, "key_id": "", "signature": b"", "rules": b""}))["key_id"] == ""
    assert isinstance(read(encode(written))["head"], memoryview)


def test_the_format_before_says_that_it_is_hashed() -> None:
    fields = Fields(encode(BEFORE), 4)
    assert (fields.text("key_id"), fields.short("signature")) == ("key", b"signed")
    fields.true("hashed")
    assert fields.long("body") == BEFORE["body"]
    fields.end()
    fields = Fields(encode({"hashed": False}), 1)
    with pytest.raises(ValueError, match="no sealed table"):
        fields.true("hashed")


def test_what_is_short_is_as_long_as_one_byte_says_and_no_longer() -> None:
    assert Fields(encode({"format": 127}), 1).number("format") == 127
    assert Fields(encode({"key_id": "k" * 31}), 1).text("key_id") == "k" * 31
    with pytest.raises(ValueError, match="no sealed table"):
        Fields(b"\x81\xa6format\x80", 1).number("format")
    with pytest.raises(ValueError, match="no sealed table"):
        Fields(b"\x81\xa6key_id\xc0" + bytes(32), 1).text("key_id")  # the byte behind the last that begins a short text


@pytest.mark.parametrize("length", range(len(encode({**WRITTEN, "head": b"h", "rules": b"r"}))))
def test_whatever_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="sealed table"):
        read(encode({**WRITTEN, "head": b"h", "rules": b"r"})[:length])


@pytest.mark.parametrize(
    "change",
    [
        {"format": -1},
        {"format": 128},
        {"format": None},
        {"key_id": "k" * 32},
        {"key_id": b"key"},
        {"key_id": 1},
        {"signature": bytes(256)},
        {"signature": "signed"},
        {"head": "head"},
        {"head": [1]},
        {"rules": None},
        {"surprise": 1},
    ],
)
def test_whatever_else_stands_there_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"sealed table|not in bytes"):
        read(encode({**WRITTEN, **change}))


def test_fields_come_in_their_order_once_and_with_nothing_behind() -> None:
    for names in (reversed(WRITTEN), ["key_id", "format", "signature", "head", "rules"]):
        with pytest.raises(ValueError, match="no sealed table"):
            read(encode({name: WRITTEN[name] for name in names}))
    with pytest.raises(ValueError, match="more than"):
        read(encode(WRITTEN) + b"\xc0")
    with pytest.raises(ValueError, match="utf-8"):
        read(encode(WRITTEN).replace(b"\xa3key", b"\xa3k\xffy"))


def test_formats_are_told_apart_by_how_they_begin() -> None:
    assert format_of(encode(WRITTEN), 4) == 5
    assert format_of(bytearray(encode({"format": 0, "of": "the past"})), 4) == 0
    assert format_of(encode({"format": 127}), 4) == 127
    assert format_of(encode(BEFORE), 4) == 4
    for other in (
        b"",
        b"\x84",
        b"\x81\xa6format",
        b"\x81\xa6format\x80",
        b"\x81\xa6farmat\x05",
        encode({"format": 128}),
        encode({"key_id": "key"}),
        encode([1]),
    ):
        with pytest.raises(ValueError, match="no sealed table"):
            format_of(other, 4)


@pytest.mark.parametrize(
    "sealed",
    [
        encode({**WRITTEN, "key_id": "k" * 10_000_000}),
        encode({**WRITTEN, "signature": bytes(10_000_000)}),
        encode({**WRITTEN, "head": bytes(10_000_000)}),
        encode({**BEFORE, "key_id": "k" * 10_000_000}),
        encode({"x" * 10_000_000: 1}),
        encode({"format": 5, "key_id": "key", "x" * 10_000_000: b"signed"}),
        encode({**WRITTEN, "head": [0] * 1_000_000}),
        b"\xdf\x00\x0f\x42\x40" + b"\xa6format\x05" * 1_000_000,
    ],
    ids=range(8),
)
def test_what_nobody_signed_costs_no_memory_and_no_long_detail(sealed: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TableError) as caught:
            unseal(sealed, verify=lambda *_: False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000
    assert len(caught.value.detail) <= limits.PROBLEM_CHARACTERS_MAX
