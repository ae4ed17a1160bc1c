"""Content codings: there and back, broken ones, and ones that explode."""

import gzip
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sidecar.heads import codings

CODINGS = ["", "gzip", "x-gzip", "br", "zstd", "deflate"]
PAGE = b"<p>hello</p>" * 1000


@pytest.mark.parametrize("coding", CODINGS)
@given(content=st.binary(max_size=300))
def test_there_and_back(coding: str, content: bytes) -> None:
    assert codings.undo(codings.redo(content, coding), coding, bytes_max=len(content)) == content


@pytest.mark.parametrize("coding", CODINGS[1:])
@pytest.mark.parametrize("spoil", [lambda body: body[:-3], lambda body: b"garbage!" * 4, lambda body: b""])
def test_a_broken_body_is_noticed(coding: str, spoil: "type[bytes]") -> None:
    with pytest.raises(codings.BrokenBodyError):
        codings.undo(spoil(codings.redo(PAGE, coding)), coding, bytes_max=len(PAGE))


@pytest.mark.parametrize("coding", CODINGS[1:])
def test_a_bomb_stops_at_the_bound(coding: str) -> None:
    with pytest.raises(codings.TooLargeError):
        codings.undo(codings.redo(PAGE, coding), coding, bytes_max=len(PAGE) - 1)


def test_a_zstd_bomb_that_hides_its_size() -> None:
    writer = zstandard.ZstdCompressor().compressobj()
    bomb = writer.compress(bytes(50_000_000)) + writer.flush()
    with pytest.raises(codings.TooLargeError):
        codings.undo(bomb, "zstd", bytes_max=100_000)


def test_two_codings_are_undone_from_the_outside_in_each_within_the_bound() -> None:
    twice = codings.redo(codings.redo(PAGE, "gzip"), "br")
    assert codings.undo(twice, "gzip, br", bytes_max=len(PAGE)) == PAGE
    with pytest.raises(codings.BrokenBodyError, match="not valid gzip"):
        codings.undo(twice, "br, gzip", bytes_max=len(PAGE))
    noise = codings.redo(bytes(range(256)) * 400, "gzip")
    with pytest.raises(codings.TooLargeError):
        codings.undo(codings.redo(bytes(200_000), "gzip"), "gzip, gzip", bytes_max=100_000)
    with pytest.raises(codings.TooLargeError):
        codings.undo(codings.redo(noise, "br"), "gzip, br", bytes_max=1000)


def test_several_members_or_frames_are_one_content() -> None:
    assert codings.undo(gzip.compress(b"a") + gzip.compress(b"b") + b"\0\0", "gzip", bytes_max=9) == b"ab"
    writer = zstandard.ZstdCompressor().compressobj()
    streamed = writer.compress(b"a") + writer.flush()
    assert codings.undo(streamed + codings.redo(b"b", "zstd"), "zstd", bytes_max=9) == b"ab"


def test_deflate_without_its_wrapper() -> None:
    bare = zlib.compressobj(wbits=-15)
    assert codings.undo(bare.compress(PAGE) + bare.flush(), "deflate", bytes_max=len(PAGE)) == PAGE


def test_unknown_codings() -> None:
    with pytest.raises(codings.BrokenBodyError):
        codings.undo(b"", "compress", bytes_max=1)
    with pytest.raises(ValueError, match="unknown coding"):
        codings.redo(b"", "compress")
