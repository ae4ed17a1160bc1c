"""The PROXY protocol: what a balancer in front says about a connection, before the first byte of HTTP.

Versions 1 (text) and 2 (binary), as HAProxy's doc/proxy-protocol.txt has them. What is behind the addresses of version 2
(TLVs) is skipped.
Counterpart: `connections` has the header read where the settings want one. Never: a header that is guessed at, or looked
for where none was announced: a visitor could write one.
"""

import re
from ipaddress import IPv4Address, IPv6Address

from msgspec import Struct

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
"""How version 2 begins (section 2.2): nothing that is HTTP does."""
TEXT_BYTES_MAX = 107
"""The longest header of version 1, its end of line included (section 2.1)."""
BINARY_BYTES_MAX = 16 * 1024
"""The longest of version 2 that is read; real ones have some hundred bytes, or a client's certificate."""

_PREFIX = 16
_LOCAL, _PROXY = 0x20, 0x21
_STREAM4, _STREAM6 = 0x11, 0x21
_WITHOUT_ADDRESS = {0x00, 0x31}
"""Families that say no address of the network: unspecified, and Unix sockets."""
_TEXT = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n")
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")


class Header(Struct, frozen=True):
    """One header. `source` is the visitor's address and port, None where the connection's own stays (LOCAL, UNKNOWN)."""

    source: tuple[str, int] | None
    size: int
    """How many bytes it has; behind them HTTP begins."""


def read(data: bytes) -> Header | None:
    """The header that `data` begins with, None while it may still come whole. ValueError: there is none."""
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return _binary(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return _text(data)
    raise ValueError("it begins with something else")


def _text(data: bytes) -> Header | None:
    end = data.find(b"\n", 0, TEXT_BYTES_MAX) + 1
    if end == 0:
        if len(data) >= TEXT_BYTES_MAX:
            raise ValueError("the header of version 1 does not end")
        return None
    line = data[:end]
    if _UNKNOWN.fullmatch(line):
        return Header(None, end)
    match = _TEXT.fullmatch(line)
    if match is None:
        raise ValueError("the header of version 1 is broken")
    family = IPv4Address if match[1] == b"TCP4" else IPv6Address
    source, _ = family(match[2].decode()), family(match[3].decode())
    ports = int(match[4]), int(match[5])
    if max(ports) > 65535:
        raise ValueError("the header of version 1 names a port that cannot be")
    return Header((str(source), ports[0]), end)


def _binary(data: bytes) -> Header | None:
    if len(data) < _PREFIX:
        return None
    command, family = data[12], data[13]
    size = _PREFIX + int.from_bytes(data[14:_PREFIX], "big")
    if command not in {_LOCAL, _PROXY}:
        raise ValueError("the header of version 2 has a command or a version that is not known")
    if size > BINARY_BYTES_MAX:
        raise ValueError("the header of version 2 is too long")
    if len(data) < size:
        return None
    if command == _LOCAL or family in _WITHOUT_ADDRESS:
        return Header(None, size)
    if family == _STREAM4 and size >= _PREFIX + 12:
        return Header((str(IPv4Address(data[16:20])), int.from_bytes(data[24:26], "big")), size)
    if family == _STREAM6 and size >= _PREFIX + 36:
        return Header((str(IPv6Address(data[16:32])), int.from_bytes(data[48:50], "big")), size)
    raise ValueError("the header of version 2 is for another family, or shorter than its addresses")
