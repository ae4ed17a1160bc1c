"""Which encoding a page is in, and text in that encoding.

Order: byte order mark, then the Content-Type's charset, then `<meta>` in the first 1,024 bytes (WHATWG Encoding and HTML
standards, "determining the character encoding"). What the encoding can't express is written as character references.
"""

import codecs
from functools import lru_cache

import turbohtml
from msgspec import Struct

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "UTF-8"), (codecs.BOM_UTF16_LE, "UTF-16LE"), (codecs.BOM_UTF16_BE, "UTF-16BE"))
_ANY_MARK = tuple(mark for mark, _ in _BYTE_ORDER_MARKS)
PRESCAN_BYTES = 1024
"""How far a `<meta>` is looked for."""
_ASCII = bytes(byte if byte < 0x80 else ord("?") for byte in range(256))
_CODECS = {
    "EUC-KR": "cp949",
    "GBK": "gbk",
    "IBM866": "cp866",
    "ISO-8859-8-I": "iso8859-8",
    "Shift_JIS": "cp932",
    "macintosh": "mac-roman",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
    "x-user-defined": "ascii",
}
"""WHATWG name -> Python codec, where they differ."""
_READ_DIFFERENTLY = frozenset({"Big5", "EUC-JP", "KOI8-U", "Shift_JIS", "gb18030"})
"""Where Python writes some characters in bytes that stand for others in browsers: in Big5 all of Cyrillic."""
_NOT_SUPPORTED = frozenset({"replacement", "ISO-2022-JP"})
"""`replacement` hides its content on purpose; ISO-2022-JP writes other text in bytes that look like markup."""


class Charset(Struct, frozen=True):
    """How to read offsets in a page and how to write text into it."""

    name: str
    """WHATWG name."""
    codec: str
    """Python codec for what is written; `ascii` where the page does not say, so that any reading is right."""
    mark_bytes: int
    """Length of the byte order mark."""

    @property
    def is_wide(self) -> bool:
        """UTF-16: bytes are no characters, the page has to be transcoded."""
        return self.name.startswith("UTF-16")

    def encode(self, text: str) -> bytes:
        """`text` as it stands in markup; character references for what the encoding lacks, or browsers read as another."""
        if self.name in _READ_DIFFERENTLY and not text.isascii():
            return b"".join(_written(self.name, self.codec, character) for character in text)
        return text.encode(self.codec, "xmlcharrefreplace")

    def breaks_off(self, text: bytes) -> bool:
        """Whether bytes of a page end within a character: what is written behind them would become its rest."""
        if not text or (text[-1] < 0x80 and self.name != "gb18030"):  # which alone has digits inside characters
            return False
        decoder = codecs.getincrementaldecoder(self.codec)("replace")
        decoder.decode(text)
        return decoder.getstate()[0] != b""

    def window(self, text: str) -> str:
        """`text` as it looks in the Latin-1 window of a page in this encoding."""
        if text.isascii():
            return text
        return "".join(self._window_of(character) for character in text)

    def selector(self, selector: str) -> str:
        """A selector for that window; bytes that look like ASCII (`\\` in Shift_JIS) are escaped, they mean nothing there."""
        if selector.isascii():
            return selector
        return "".join(
            character if character.isascii() else "".join(map(_escaped, self._window_of(character)))
            for character in selector
        )

    def _window_of(self, character: str) -> str:
        try:
            return character.encode(self.codec).decode("latin-1")
        except UnicodeError:
            return "\ufffd"  # no byte looks like this, so nothing matches


@lru_cache(maxsize=16384)
def _written(name: str, codec: str, character: str) -> bytes:
    """One character in an encoding, if the parser reads it back as that."""
    written = character.encode(codec, "xmlcharrefreplace")
    if character.isascii() or turbohtml.parse(b"<b>%s</b>" % written, encoding=name).text == character:
        return written
    return character.encode("ascii", "xmlcharrefreplace")


def _escaped(character: str) -> str:
    return f"\\{ord(character):x} " if character.isascii() else character


def charset_of(page: bytes, declared: str | None) -> Charset | None:
    """The charset of a page; `declared` is the Content-Type's. None where it is unknown or can't be edited safely."""
    if page.startswith(_ANY_MARK):
        mark, name = next(one for one in _BYTE_ORDER_MARKS if page.startswith(one[0]))
        return Charset(name, _codec(name), len(mark))
    if declared is not None:
        return _declared(declared)
    head = page[:PRESCAN_BYTES]
    meta = _in_meta(head) if b"charset" in head.lower() else None
    if meta is None:
        return Charset("unknown", "ascii", 0)
    return None if meta in _NOT_SUPPORTED else Charset(meta, _codec(meta), 0)


def _in_meta(head: bytes) -> str | None:
    """The encoding that `<meta>` declares, by WHATWG name.

    Without a declaration the parser guesses from the bytes; what two unlike endings both come to was declared.
    """
    plain = head.translate(_ASCII)
    told = {turbohtml.parse(plain + ending).encoding for ending in (b"\xc3\xa9", b"\xff")}
    return told.pop() if len(told) == 1 else None


@lru_cache(maxsize=64)
def _declared(label: str) -> Charset | None:
    """The charset that a Content-Type names; a site names one or two."""
    try:
        told = turbohtml.parse(b"", encoding=label.strip().strip("\"'").lower()).encoding
    except (LookupError, ValueError):
        return None
    return None if told is None or told in _NOT_SUPPORTED else Charset(told, _codec(told), 0)


def _codec(name: str) -> str:
    codec = _CODECS.get(name, name.lower())
    try:
        return codecs.lookup(codec).name
    except LookupError:
        return "ascii"
