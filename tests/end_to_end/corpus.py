"""The pages of `../shared/corpus/pages` on an origin that serves them in many ways, and edits taken out of them again.

How an edit is taken out is worked out from the bytes alone: nothing here asks the engine where it was.
Counterpart: `test_corpus_through_sidecar.py`. Never: a page copied into the project.
"""

import gzip
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

from tests.end_to_end.site import Site, head, response
from tests.end_to_end.visitor import Answer, Line

HEADING = "Edited & splendid heading"
HEADING_BYTES = b"Edited &amp; splendid heading"
ATTRIBUTE = b' data-x="edited"'
STYLE = b"<style>.edited{color:teal}</style>"

ODD_FIELDS = (
    "server: Apache/2.4 (Odd)",
    "Date: Mon, 23 Nov 2026 10:00:00 GMT",
    "SET-COOKIE: basket=1; Path=/; Expires=Wed, 23 Dec 2026 10:00:00 GMT",
    "Set-Cookie: theme=dark",
    "Set-Cookie: theme=dark",
    "set-cookie: empty=",
    "X-Empty:",
    "X-Name: Caf\xe9 \xa3 \xff",
    "Link: </a.css>; rel=preload, </b.js>; rel=preload",
    'ETag: W/"odd-\xe9"',
    "Last-Modified: Mon, 23 Nov 2026 09:00:00 GMT",
    "Cache-Control: public , max-age=60,, stale-while-revalidate=30",
    "Vary: Accept-Encoding",
    "Vary: Accept-Language",
    "Accept-Ranges: bytes",
    "Content-Security-Policy: default-src 'self'; style-src 'self' 'unsafe-inline'",
    "x-layout-Mutations: not ours",
    "Keep-Alive: timeout=5",
)

END_OF_HEAD = (b"</head", b"<iframe")
"""What ends a head; an element of the body does too, whatever the author thought."""

Way = Callable[[bytes], bytes]
"""From a page to the response that carries it."""


def plain(body: bytes) -> bytes:
    return response(body, "Content-Type: text/html")


def utf_8(body: bytes) -> bytes:
    return response(body, "Content-Type: text/html; charset=utf-8")


def quoted_charset(body: bytes) -> bytes:
    return response(body, 'content-type: Text/HTML;Charset="UTF-8" ;odd=1', "Set-Cookie: a=1", "Set-Cookie: b=2")


def latin_1(body: bytes) -> bytes:
    return response(body, "Content-Type: text/html; charset=ISO-8859-1")


def odd(body: bytes) -> bytes:
    return response(body, "Content-Type: text/html; charset=utf-8", *ODD_FIELDS, status="200 Here you are")


def chunked(body: bytes) -> bytes:
    sent = head("404 Not Here", "Content-Type: text/html", "Transfer-Encoding: chunked")
    for at in range(0, len(body), 30_011):
        piece = body[at : at + 30_011]
        sent += b"%x\r\n%s\r\n" % (len(piece), piece)
    return sent + b"0\r\n\r\n"


def until_closed(body: bytes) -> bytes:
    return head("200 OK", "Content-Type: text/html", "Connection: close") + body


def zipped(body: bytes) -> bytes:
    packed = gzip.compress(body, 1, mtime=0)
    return response(packed, "Content-Type: text/html", "Content-Encoding: gzip", "Vary: Accept-Encoding")


def chinese(body: bytes) -> bytes:
    return response(body, "Content-Type: text/html; charset=gb2312")


def unknown_charset(body: bytes) -> bytes:
    return response(body, "Content-Type: text/html; charset=x-unheard-of")


def untransformable(body: bytes) -> bytes:
    return response(body, "Content-Type: text/html; charset=utf-8", "Cache-Control: max-age=60, no-transform")


def no_type(body: bytes) -> bytes:
    return response(body, "Set-Cookie: a=1", "Set-Cookie: a=2")


EDITABLE: tuple[Way, ...] = (plain, utf_8, quoted_charset, latin_1, odd, chunked, until_closed, zipped)
"""Ways in which a page may be edited."""
UNTOUCHABLE: tuple[Way, ...] = (unknown_charset, untransformable, no_type)
"""Ways in which no rule may change it."""
WAYS = (*EDITABLE, chinese, *UNTOUCHABLE)


class Loaded(NamedTuple):
    """One page, from the origin itself and through the sidecar."""

    name: str
    origin: Answer
    through: Answer


class Corpus:
    """The pages on `site`: at `/plain/<way>/<name>`, where no rule looks, and at `/edited/<way>/<name>`."""

    def __init__(self, site: Site, pages: dict[str, bytes]) -> None:
        self.pages = pages
        self._site = site
        for way in WAYS:
            for name, body in pages.items():
                for kind in ("plain", "edited"):
                    site.responses[f"/{kind}/{way.__name__}/{name}"] = partial(way, body)

    def load(self, port: int, kind: str, way: Way) -> Iterator[Loaded]:
        """Every page from the origin and from `port`, with the same request."""
        asked = ("Accept: text/html", "Accept-Encoding: gzip", "Cookie: a=b")
        with ExitStack() as open_lines:
            direct, through = (open_lines.enter_context(Line(to)) for to in (self._site.port, port))
            for name in self.pages:
                direct = open_lines.enter_context(Line(self._site.port)) if direct.over else direct
                through = open_lines.enter_context(Line(port)) if through.over else through
                target = f"/{kind}/{way.__name__}/{name}"
                yield Loaded(name, direct.get(target, *asked), through.get(target, *asked))


def edits() -> list[dict[str, Any]]:
    """Three mutations of every page below `/edited/`: an attribute, a heading, a style."""
    operations: dict[str, dict[str, Any]] = {
        "attribute": {"verb": "setAttribute", "target": {"selector": "body"}, "name": "data-x", "value": "edited"},
        "heading": {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": HEADING}},
        "style": {"verb": "append", "target": {"selector": "head"}, "content": {"html": STYLE.decode()}},
    }
    return [
        {"id": id_, "pageSlug": "/edited/**", "mutationType": "set", "mutationPayload": {"operations": [operation]}}
        for id_, operation in operations.items()
    ]


def possible(page: bytes) -> set[str]:
    """Which of the three edits a page can take: it may lack a heading, and its `<body>` may come too late to be one."""
    found = {"style"}
    if re.search(rb"<h1[\s>]", page, re.IGNORECASE):
        found.add("heading")
    in_head = page[: page.lower().find(b"</head")]
    if not re.search(rb"<iframe[\s>]", in_head, re.IGNORECASE):
        found.add("attribute")
    return found


def content(answer: Answer) -> bytes:
    """The body without its content coding."""
    return gzip.decompress(answer.body) if answer.get(b"Content-Encoding") == b"gzip" else answer.body


def taken_out(page: bytes, origin: bytes) -> tuple[bytes, set[str]]:
    """The page without the edits, and which of the three it had.

    The removed text of a heading is read from `origin`: it is what stands there up to the end tag.
    """
    found = set[str]()
    if STYLE in page:
        before, _, after = page.partition(STYLE)
        assert after.lower().startswith(END_OF_HEAD), "the style is not the last thing in head"
        page = before + after
        found.add("style")
    if ATTRIBUTE in page:
        before, _, after = page.partition(ATTRIBUTE)
        assert before[before.rindex(b"<") :].lower().startswith(b"<body"), "the attribute is not in <body>"
        page = before + after
        found.add("attribute")
    if HEADING_BYTES in page:
        page = _with_old_headings(page, origin)
        found.add("heading")
    return page, found


def _with_old_headings(page: bytes, origin: bytes) -> bytes:
    first, *others = page.split(HEADING_BYTES)
    restored = first
    for piece in others:
        assert restored[restored.rindex(b"<") :].lower().startswith(b"<h1"), "the heading is not right after <h1>"
        assert piece[:4].lower() == b"</h1", "the heading is not all that is in <h1>"
        end = origin.lower().find(b"</h1", len(restored))
        restored += origin[len(restored) : end] + piece
    return restored
