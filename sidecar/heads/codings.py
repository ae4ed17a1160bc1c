"""Content codings: undoing the origin's, redoing the client's.

gzip by isal, br by brotli, zstd by zstandard, deflate by zlib. Pure, bytes to bytes; sizes are bounded while undoing, so
that a few kilobytes can't become gigabytes.
Counterpart: `headers.preferred_coding` says which one. Never: streaming; only whole pages within the page bound come here.
"""

import zlib
from typing import cast

import brotli
import zstandard
from isal import igzip, igzip_lib, isal_zlib

_IsalError = cast(type[Exception], igzip_lib.error)
_GZIP_LEVEL = 2
"""isal's levels are 0 to 3: 2 is within a few percent of zlib's 6 and about four times as fast."""
_BROTLI_QUALITY = 4
"""The last quality before brotli gets slow: about 1 ms for 100 KB."""
_ZSTD_LEVEL = 3
_ZSTD_WINDOW_BYTES_MAX = 8 * 1024 * 1024
"""What RFC 9659 allows for content coding."""
_ZSTD_BITE_BYTES = 256


class BrokenBodyError(ValueError):
    """The body is not what its Content-Encoding says, or ends early."""


class TooLargeError(ValueError):
    """The content is larger than the bound it was to be undone within."""


def undo(body: bytes, coding: str, *, bytes_max: int) -> bytes:
    """The content of an encoded body; `coding` as `eligibility.coding_of` says it, the last one applied at the end.

    Raises:
        BrokenBodyError: it can't be undone.
        TooLargeError: the content, or what a coding around another one holds, has more than `bytes_max` bytes.
    """
    content = body
    for one in reversed(coding.split(", ")):
        try:
            content = _undo(content, one, bytes_max + 1)
        except (zlib.error, _IsalError, brotli.error, zstandard.ZstdError, EOFError) as error:
            raise BrokenBodyError(f"not valid {one}: {error}") from error
        if len(content) > bytes_max:
            raise TooLargeError(f"more than {bytes_max} bytes")
    return content


def redo(content: bytes, coding: str) -> bytes:
    """`content` encoded in one coding, or in none (`""`)."""
    match coding:
        case "":
            return content
        case "gzip" | "x-gzip":
            return igzip.compress(content, _GZIP_LEVEL, mtime=0)
        case "br":
            return bytes(brotli.compress(content, quality=_BROTLI_QUALITY))
        case "zstd":
            return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(content)
        case "deflate":
            return zlib.compress(content)
        case _:
            raise ValueError(f"unknown coding {coding!r}")


def _undo(body: bytes, coding: str, limit: int) -> bytes:
    match coding:
        case "":
            return body
        case "gzip" | "x-gzip":
            return _gunzip(body, limit)
        case "br":
            return _unbrotli(body, limit)
        case "zstd":
            return _unzstd(body, limit)
        case "deflate":
            return _inflate(body, limit)
        case _:
            raise BrokenBodyError(f"unknown coding {coding!r}")


def _gunzip(body: bytes, limit: int) -> bytes:
    """Every member of a gzip body (RFC 1952 2.2); zeros after the last one are padding."""
    pieces: list[bytes] = []
    rest, room = body, limit
    while rest and room > 0:
        member = isal_zlib.decompressobj(wbits=31)
        piece = member.decompress(rest, room)
        pieces.append(piece)
        room -= len(piece)
        if room > 0 and not member.eof:
            raise EOFError("it ends early")
        rest = member.unused_data.lstrip(b"\0")
    if not pieces:
        raise EOFError("it is empty")
    return b"".join(pieces)


def _inflate(body: bytes, limit: int) -> bytes:
    """zlib's format as RFC 9110 8.4.1.2 has it, or the bare one that some servers send."""
    try:
        return _inflate_as(body, limit, zlib.MAX_WBITS)
    except zlib.error:
        return _inflate_as(body, limit, -zlib.MAX_WBITS)


def _inflate_as(body: bytes, limit: int, wbits: int) -> bytes:
    inflater = zlib.decompressobj(wbits)
    content = inflater.decompress(body, limit)
    if len(content) < limit and not inflater.eof:
        raise EOFError("it ends early")
    return content


def _unbrotli(body: bytes, limit: int) -> bytes:
    decoder = brotli.Decompressor()
    pieces = [decoder.process(body, output_buffer_limit=limit)]
    size = len(pieces[0])
    while size < limit and not decoder.is_finished() and not decoder.can_accept_more_data():
        pieces.append(decoder.process(b"", output_buffer_limit=limit - size))
        size += len(pieces[-1])
    if size < limit and not decoder.is_finished():
        raise EOFError("it ends early")
    return b"".join(pieces)


def _unzstd(body: bytes, limit: int) -> bytes:
    """Every frame of a zstd body (RFC 8878 3), until there is more than enough."""
    pieces: list[bytes] = []
    rest, room = body, limit
    while rest and room > 0:
        frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX).decompressobj()
        declared = zstandard.frame_content_size(rest)
        if declared > room:
            raise TooLargeError(f"a frame of {declared} bytes")
        # A frame that doesn't say its size is fed in small bites: four bytes can stand for 128 KB.
        bite = len(rest) if declared >= 0 else _ZSTD_BITE_BYTES
        at = 0
        while at < len(rest) and not frame.eof and room > 0:
            pieces.append(frame.decompress(rest[at : at + bite]))
            room -= len(pieces[-1])
            at += bite
        if room > 0 and not frame.eof:
            raise EOFError("it ends early")
        rest = frame.unused_data + rest[at:]
    if not pieces:
        raise EOFError("it is empty")
    return b"".join(pieces)
