"""Which encoding a page is in, and text in that encoding."""

import pytest
import turbohtml

from rules.html.charset import Charset, charset_of


@pytest.mark.parametrize(
    ("page", "declared", "name", "codec"),
    [
        (b"<p>", "utf-8", "UTF-8", "utf-8"),
        (b"<p>", ' "UTF8" ', "UTF-8", "utf-8"),
        (b"<p>", "ISO-8859-1", "windows-1252", "cp1252"),
        (b"<p>", "x-sjis", "Shift_JIS", "cp932"),
        (b"<p>", "utf-16", "UTF-16LE", "utf-16-le"),
        (b"\xef\xbb\xbf<p>", "shift_jis", "UTF-8", "utf-8"),
        (b"\xfe\xff\x00<", None, "UTF-16BE", "utf-16-be"),
        (b"<meta charset=gbk>", None, "GBK", "gbk"),
        (b"<meta charset=gbk>", "utf-8", "UTF-8", "utf-8"),
        (b"<META HTTP-EQUIV=content-type CONTENT='text/html; CHARSET=euc-kr'>", None, "EUC-KR", "cp949"),
        (b"<meta charset=utf-16>", None, "UTF-8", "utf-8"),
        (b"<title>\xc3\xa4</title><meta charset=windows-1252>", None, "windows-1252", "cp1252"),
        (b"<p>\xc3\xa4 charset", None, "unknown", "ascii"),
        (b"<!-- <meta charset=gbk> -->", None, "unknown", "ascii"),
        (b"<meta charset=bogus>", None, "unknown", "ascii"),
        (b" " * 1020 + b"<meta charset=gbk>", None, "unknown", "ascii"),
        (b"", None, "unknown", "ascii"),
    ],
)
def test_an_encoding_is_found(page: bytes, declared: str | None, name: str, codec: str) -> None:
    found = charset_of(page, declared)
    assert found is not None
    assert (found.name, found.codec) == (name, codec)


@pytest.mark.parametrize("declared", ["", "bogus", "iso-2022-jp", "hz-gb-2312", "utf-7"])
def test_an_encoding_that_can_not_be_edited(declared: str) -> None:
    assert charset_of(b"<p>", declared) is None


def test_a_byte_order_mark_has_a_length() -> None:
    found = [charset_of(mark, None) for mark in (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")]
    assert [(one.mark_bytes, one.is_wide) for one in found if one] == [(3, False), (2, True), (2, True)]


def test_what_an_encoding_lacks_becomes_a_reference() -> None:
    assert Charset("GBK", "gbk", 0).encode("漢é😀") == "漢é".encode("gbk") + b"&#128512;"


@pytest.mark.parametrize(
    "label",
    ["big5", "euc-jp", "euc-kr", "gbk", "gb18030", "koi8-r", "koi8-u", "shift_jis", "windows-1251", "macintosh"],
)
def test_every_character_is_read_back_as_itself(label: str) -> None:
    """By a parser that reads encodings as browsers do; Python's Big5 has Cyrillic where browsers have kana."""
    found = charset_of(b"", label)
    assert found is not None
    text = "".join(
        map(chr, [*range(0xA0, 0x3400), *range(0xE000, 0xE900), *range(0xF900, 0xFDD0), *range(0xFF00, 0xFFF0)])
    )
    assert turbohtml.parse(b"<b>%s</b>" % found.encode(text), encoding=label).text == text
    assert found.encode("a") == b"a"


def test_text_and_selectors_in_the_window() -> None:
    shift_jis = Charset("Shift_JIS", "cp932", 0)
    assert shift_jis.window("表a") == "\x95\\a"
    assert shift_jis.selector("[a=表]") == "[a=\x95\\5c ]"
    assert Charset("unknown", "ascii", 0).window("ä") == "\ufffd"
    assert shift_jis.selector("p > a") == "p > a"


@pytest.mark.parametrize(
    ("name", "codec", "text", "breaks_off"),
    [
        ("Shift_JIS", "cp932", b"a\x81", True),
        ("Shift_JIS", "cp932", b"a\x82\xa0", False),
        ("Shift_JIS", "cp932", b"\x81A", False),
        ("gb18030", "gb18030", b"\x810", True),
        ("gb18030", "gb18030", b"a0", False),
        ("UTF-8", "utf-8", b"\xe2\x82", True),
        ("UTF-8", "utf-8", b"\xe2\x82\xac", False),
        ("windows-1252", "cp1252", b"\xe2", False),
        ("unknown", "ascii", b"\x81", False),
        ("UTF-8", "utf-8", b"", False),
    ],
)
def test_a_text_that_breaks_off_within_a_character(name: str, codec: str, text: bytes, breaks_off: bool) -> None:
    assert Charset(name, codec, 0).breaks_off(text) is breaks_off
