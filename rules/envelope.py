"""The outside of a sealed table, read before anybody knows who made it.

Each field stands where a signer writes it, what is short has a bound, and what is long is not copied: reading takes the same time
whatever stands there. A decoder of MessagePack would skip millions of fields of others', in one go that visitors wait for.
Counterparts: `rules.sealing` and `rules.sealed_before`, which check the signature and then decode what is inside.
Never: anything decoded that may be long.
"""

from typing import Final

import msgspec

_FORMAT: Final = msgspec.msgpack.encode("format")
_KEY_ID: Final = msgspec.msgpack.encode("key_id")
_WITHOUT_NUMBER: Final = b"\x84" + _KEY_ID
_TEXT, _TEXT_BYTES_MAX = 0xA0, 31
"""The first of the bytes that say how long a short text is, and the longest one."""
_LENGTHS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}
"""First byte of a value in bytes -> how many bytes its length takes (the MessagePack specification, "bin format family")."""


def format_of(sealed: bytes | bytearray, unnumbered: int) -> int:
    """Which format this says that it has; `unnumbered` for the one that did not say so. ValueError for anything else."""
    if sealed.startswith(_WITHOUT_NUMBER):
        return unnumbered
    number = sealed[len(_FORMAT) + 1 : len(_FORMAT) + 2]
    if not sealed.startswith(_FORMAT, 1) or not number or number[0] >= 0x80:
        raise ValueError("this is no sealed table")
    return number[0]


class Fields:
    """The fields of an envelope, one after the other. Each reader raises ValueError for what does not stand there."""

    def __init__(self, sealed: bytes | bytearray, count: int) -> None:
        self._left = memoryview(sealed)
        self._expect(bytes([0x80 + count]))

    def number(self, name: str) -> int:
        """A number below 128."""
        self._name(name)
        return self._length_below(0x80)

    def true(self, name: str) -> None:
        """The value true, which says nothing."""
        self._name(name)
        self._expect(b"\xc3")

    def text(self, name: str) -> str:
        """A text of at most 31 bytes."""
        self._name(name)
        return str(self._take(self._length_below(_TEXT + _TEXT_BYTES_MAX + 1, _TEXT)), "utf-8")

    def short(self, name: str) -> bytes:
        """At most 255 bytes."""
        self._name(name)
        self._expect(b"\xc4")
        return bytes(self._take(self._take(1)[0]))

    def long(self, name: str) -> memoryview:
        """Any number of bytes, as a part of the sealed ones."""
        self._name(name)
        size = _LENGTHS.get(self._take(1)[0])
        if size is None:
            raise ValueError(f"{name!r} is not in bytes")
        return self._take(int.from_bytes(self._take(size), "big"))

    def end(self) -> None:
        """Nothing comes behind."""
        if self._left:
            raise ValueError("there is more than a sealed table")

    def _name(self, name: str) -> None:
        self._expect(msgspec.msgpack.encode(name))

    def _expect(self, what: bytes) -> None:
        if self._take(len(what)) != what:
            raise ValueError("this is no sealed table")

    def _length_below(self, end: int, start: int = 0) -> int:
        number = self._take(1)[0]
        if not start <= number < end:
            raise ValueError("this is no sealed table")
        return number - start

    def _take(self, size: int) -> memoryview:
        taken, self._left = self._left[:size], self._left[size:]
        if len(taken) < size:
            raise ValueError("a sealed table is cut off")
        return taken
