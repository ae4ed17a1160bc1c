"""PROXY headers by themselves; what becomes of connections is in test_connections.py."""

import pytest

from sidecar.visitor.proxy_protocol import SIGNATURE, TEXT_BYTES_MAX, Header, read

TEXT = b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\n"
LONGEST = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"
BINARY = SIGNATURE + b"\x21\x11\x00\x0c" + bytes([198, 51, 100, 7, 10, 0, 0, 1]) + b"\x12\x67\x01\xbb"


@pytest.mark.parametrize("header", [TEXT, BINARY], ids=["text", "binary"])
def test_a_header_is_known_when_it_is_whole_and_not_before(header: bytes) -> None:
    assert [read(header[:size]) for size in range(len(header))] == [None] * len(header)
    assert read(header) == read(header + b"GET / HTTP/1.1\r\n") == Header(("198.51.100.7", 4711), len(header))


def test_a_unix_socket_and_what_nobody_knows_have_no_address() -> None:
    assert read(LONGEST) == Header(None, len(LONGEST))
    assert read(SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216)) == Header(None, 232)
    assert read(SIGNATURE + b"\x21\x00\x00\x00") == Header(None, 16)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\r\n\r\nGET",
        b"PROXY  TCP4\r\n",
        b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\n",
        b"PROXY TCP4 198.51.100.07 10.0.0.1 4711 443\r\n",
        b"PROXY TCP4 198.51.100.7 10.0.0.1 04711 443\r\n",
        b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 443 \r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 4711 443\r\n",
        b"proxy TCP4 198.51.100.7 10.0.0.1 4711 443\r\n",
        b"PROXY TCP4 " + b"1" * TEXT_BYTES_MAX,
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"it begins with something else|version 1|permitted|Expected|IPv4|IPv6"):
        read(data + b" " * 20)
