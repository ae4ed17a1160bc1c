"""Where each character of an attribute's value stands in the source."""

import re

import pytest

from rules.html.charset import Charset
from rules.html.document import Document
from rules.html.edits import splice
from rules.html.written_values import written_value
from rules.splices import Splice, spliced
from tests.rules.html.making import UTF_8, document


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("<p title=abc>", "abc"),
        ("<p title = 'a b'>", "a b"),
        ("<p TITLE=''>", ""),
        ("<p title>", ""),
        ('<p title="a&amp;b&#33;&quot;c">', 'a&b!"c'),
        ('<p title="?a=1&copy=2&lt=3&notit&amp">', "?a=1&copy=2&lt=3&notit&"),
        ('<p title="&copy; &not &notit; &NotEqualTilde;">', "© ¬ &notit; ≂̸"),
        ('<p title="&#x26;&#38">', "&&"),
    ],
)
def test_every_character_has_its_place(tag: str, text: str) -> None:
    found = document(tag)
    element = found.select("p")[0]
    written = written_value(found, element, "title")
    assert written is not None
    assert written.text == text
    for at in range(len(text) + 1):
        if text[at - 1 : at + 1] == "≂̸" or re.search(r"&[a-z]+$", text[:at]):
            continue  # cut there, one reference would be two halves, and a parameter's name a reference; tags are read again
        change = [Splice(at, at, "<\"'&>")]
        page = splice(tag.encode(), tuple(written.edits(UTF_8, change))).decode()
        after = document(page).select("p")[0].attrs["title"]
        assert after == spliced(text, change), page


def test_a_value_that_is_not_the_parsers_has_no_places() -> None:
    found = document("<p title='a\0b'>")
    assert written_value(found, found.select("p")[0], "title") is None
    assert written_value(found, found.select("p")[0], "id") is None


@pytest.mark.parametrize(
    ("codec", "readable"), [("cp932", False), ("gbk", False), ("utf-8", True), ("latin-1", True), ("ascii", False)]
)
def test_a_byte_that_may_be_half_a_character_is_not_read(codec: str, readable: bool) -> None:
    charset = Charset("unknown" if codec == "ascii" else codec, codec, 0)
    found = Document(b"<p title='\x95\\'><b title='\x95\x40'>", charset)
    assert (written_value(found, found.select("p")[0], "title") is not None) is readable
    assert written_value(found, found.select("b")[0], "title") is not None
