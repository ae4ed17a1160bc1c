"""A page of an origin, made fit to be looked at inside a frame of ours: where its files load from, and what it may do.

Counterpart: `control_plane.preview` fetches and rewrites it; `preview` serves it. Pure.
Never: a script, a form, or a file from anywhere but the origin that the page came from.
"""

import codecs
import re
from html import escape
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

HEAD_BYTES = 64 * 1024
"""Where a page's own <base> is looked for: HTML puts it before everything that has an address."""

_BYTE_ORDER_MARKS = ("\ufeff", "\udcef\udcbb\udcbf")
"""As text, and as the three bytes that UTF-8 has for it."""

_SPACE = re.compile(r"\s+")


def content_security_policy(origin: str) -> str:
    """What a previewed document may do: be looked at, with styles, pictures and fonts of its own origin."""
    parts = urlsplit(origin)
    own = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return (
        f"sandbox; default-src 'none'; style-src {own} 'unsafe-inline'; img-src {own} data:; font-src {own} data:; "
        f"media-src {own}; base-uri {own}; form-action 'none'; frame-ancestors 'self'"
    )


def with_base(page: bytes, *, address: str, charset: str | None) -> bytes:
    """The page with its relative addresses resolved against `address`, where the origin has it.

    The element stands right behind the doctype: a parser then opens html and head by itself and merges the page's own
    <html> into it (HTML standard, 13.2.6.4.1 to .4), which works without knowing where the head begins. A page that has
    a <base> of its own keeps its meaning: the first one counts, so ours carries the page's, resolved.
    """
    name = _codec(page, charset)
    text = page.decode(name, "surrogateescape" if name == "ascii" else "replace")
    base = f'<base href="{escape(urljoin(address, _own_base(text)))}">'
    place = _behind_doctype(text)
    return (text[:place] + base + text[place:]).encode(name, "surrogateescape" if name == "ascii" else "replace")


def _codec(page: bytes, charset: str | None) -> str:
    """UTF-16 needs its own bytes; in every other encoding of the web, markup is ASCII and the rest is left alone."""
    if page.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        name = codecs.lookup(charset or "ascii").name
    except LookupError:
        return "ascii"
    return name if name.startswith("utf-16") else "ascii"


def _behind_doctype(text: str) -> int:
    """Where the doctype ends; the very beginning (behind a byte order mark) where there is none."""
    start = place = next((len(mark) for mark in _BYTE_ORDER_MARKS if text.startswith(mark)), 0)
    while True:
        space = _SPACE.match(text, place)
        place = place if space is None else space.end()
        if not text.startswith("<!--", place):
            break
        end = text.find("-->", place)
        if end < 0:
            return start
        place = end + len("-->")
    if text[place : place + len("<!doctype")].lower() != "<!doctype":
        return start
    end = text.find(">", place)
    return start if end < 0 else end + 1


class _BaseFinder(HTMLParser):
    """The first href of a <base> in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.href: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the first one."""
        if tag == "base" and self.href is None:
            self.href = dict(attrs).get("href")


def _own_base(text: str) -> str:
    finder = _BaseFinder()
    finder.feed(text[:HEAD_BYTES])
    return finder.href or ""
