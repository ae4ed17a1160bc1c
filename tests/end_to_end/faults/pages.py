"""The pages of the shop that faults are tried on, each known to the byte: the origin's, and the same in an edition.

Every page has its edition in several places, far apart. The rules of edition N set them all, so a page is the origin's, or
it is one edition throughout; anything else is a mix. Pages below `/odd/` each provoke something.
Counterparts: `origin` serves them, `crowd` judges what comes. Never: a page that differs between two calls.
"""

import gzip
import re
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

PLACES = 5
"""Where a page says its edition."""
PARAGRAPH = b"<p>Leaves are picked by hand, withered in the shade, rolled, and dried over charcoal.</p>\n"
PAGES = 24
LARGE_BYTES = 400_000
"""More than `PAGE_BYTES_MAX`, and quickly sent."""
PAGE_BYTES_MAX = 262_144
DEEP = 20_000
"""Nested elements: far beyond `rules.limits.DEPTH_MAX`."""

UNDECIDABLE = "/odd/undecidable"
"""Deciding raises for it."""
RAISES, HANGS, CRASHES = b"<!-- raise -->", b"<!-- hang -->", b"<!-- crash -->"
"""What rewriting does that meets one of these in a page."""

_SHAPE = re.compile(rb"<(h1|p) id=e(\d)>origin</")


def targets() -> tuple[str, ...]:
    """What an ordinary visitor looks at: pages that are known, and (`*`) pages that nobody has seen."""
    return (*(f"/page/{number}" for number in range(PAGES)), *["/fresh/*"] * (PAGES // 3))


@lru_cache(maxsize=4096)
def origins(path: str) -> bytes:
    """The body of a page as the origin has it, before any coding."""
    name = path.encode()
    if path.startswith("/odd/large"):
        return _page(name, LARGE_BYTES // len(PARAGRAPH) // PLACES)
    if path.startswith("/odd/deep"):
        return _page(name, 1).replace(b"<main>", b"<main>" + b"<div>" * DEEP).replace(b"</main>", b"</div>" * DEEP)
    for word, mark in (("raises", RAISES), ("hangs", HANGS), ("crashes", CRASHES)):
        if path.startswith(f"/odd/{word}"):
            return _page(name + mark, 3)
    return _page(name, zlib.crc32(name) % 40)


def _page(name: bytes, paragraphs: int) -> bytes:
    parts = [b"<!doctype html><html><head><title>Tea %s</title></head><body><main><h1 id=e0>origin</h1>\n" % name]
    for place in range(1, PLACES):
        parts += [PARAGRAPH * paragraphs, b"<p id=e%d>origin</p>\n" % place]
    return b"".join([*parts, b"</main></body></html>\n"])


@lru_cache(maxsize=4096)
def changed(path: str, edition: int) -> bytes:
    """The page in an edition."""
    return _SHAPE.sub(rb"<\1 id=e\2>edition %d</" % edition, origins(path))


def edition_of(body: bytes) -> int | None:
    """What the first place says; None where that is no edition."""
    found = re.search(rb"<h1 id=e0>edition (\d+)</h1>", body)
    return int(found[1]) if found else None


def rules(edition: int) -> dict[str, Any]:
    """The mutation that makes every page one of that edition."""
    operations = [
        {"verb": "setText", "target": {"selector": f"#e{place}"}, "content": {"text": f"edition {edition}"}}
        for place in range(PLACES)
    ]
    return {"id": "edition", "mutationType": "set", "mutationPayload": {"operations": operations}}


def response(path: str) -> bytes:
    """A whole response of the origin's, but for what `origin` does by hand."""
    charset, coding = "utf-8", b""
    body = origins(path)
    if path.startswith("/odd/charset"):
        charset = "x-of-nobody"
    if path.startswith("/odd/gzip"):
        body, coding = on_the_wire(path), b"Content-Encoding: gzip\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=%s\r\n%s" % (charset.encode(), coding)
    if path.startswith("/odd/large/chunked"):
        chunks = (body[begin : begin + 16_000] for begin in range(0, len(body), 16_000))
        framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@lru_cache(maxsize=64)
def on_the_wire(path: str) -> bytes:
    """The bytes that a visitor gets where a page passes: broken gzip stays as it is."""
    body = origins(path)
    if not path.startswith("/odd/gzip"):
        return body
    good = gzip.compress(body, mtime=0)
    return good[: len(good) // 2] + b"\x00broken" + good[len(good) // 2 :]


def judged(path: str, status: int, verdict: str, body: bytes) -> str:
    """`changed`, `origin` or `apology`; or, behind an exclamation mark, what is wrong with an answer."""
    if status in {502, 503, 504}:
        return "apology" if len(body) < 200 and not verdict else f"!{status} {body[:60]!r}"
    if status != 200:
        return f"!{status} {body[:60]!r}"
    if body == on_the_wire(path):
        return "origin" if verdict.startswith("passed; ") else f"!the origin's page says {verdict!r}"
    edition = edition_of(body)
    if edition is None or body != changed(path, edition):
        return f"!a mixed or broken page of {len(body)} bytes, {sorted(set(re.findall(rb'edition [0-9]+', body)))}"
    return "changed" if verdict.startswith("applied; ") else f"!edition {edition} says {verdict!r}"


SETTINGS: Mapping[str, str] = {
    "SIDECAR_PAGE_BYTES_MAX": str(PAGE_BYTES_MAX),
    "SIDECAR_BUFFER_MS_MAX": "500",
    "SIDECAR_REWRITE_MS_MAX": "500",
    "SIDECAR_UPSTREAM_RESPONSE_S": "5",
    "SIDECAR_DRAIN_S": "2",
    "SIDECAR_EVENTS_KEY": "a key of this test, of no use elsewhere",
    "SIDECAR_BEACONS_PER_S": "100000",
}
"""Of the sidecars in front of this shop."""
