"""The browser script as it is served: by hash, for ever, and to older pages too."""

import gzip
import re

import brotli
import pytest

from sidecar.runtime.browser_script import SCRIPT, answer, browser_script, without_comments
from tests.sidecar.wire import answering, client, origin, response, serving

SOURCE = """/* What it is:
   two lines. */
(() => {
  // a comment
  const url = 'http://x/'; // another
  return url;
})();
"""


def test_comments_and_indentation_stay_at_home() -> None:
    assert without_comments(SOURCE) == "(() => {\nconst url = 'http://x/';\nreturn url;\n})();\n"


def test_no_string_of_the_script_is_taken_for_a_comment() -> None:
    assert "//" not in SCRIPT.bodies[""].decode()
    assert "/*" not in SCRIPT.bodies[""].decode()


def test_the_address_follows_from_the_bytes() -> None:
    one, other = browser_script(SOURCE), browser_script(SOURCE.replace("http", "https"))
    assert re.fullmatch(r"/\.layout-mutation/runtime\.[0-9a-f]{16}\.js", one.address)
    assert one.address != other.address
    assert one.integrity.startswith("sha256-")
    assert gzip.decompress(one.bodies["gzip"]) == brotli.decompress(one.bodies["br"]) == one.bodies[""]


def test_the_script_is_small() -> None:
    assert len(SCRIPT.bodies["gzip"]) <= 3 * 1024


@pytest.mark.parametrize(
    ("accepted", "coding"), [("gzip, br", b"br"), ("gzip", b"gzip"), ("zstd", None), ("", None), ("br;q=0", None)]
)
def test_the_coding_that_the_client_likes(accepted: str, coding: bytes | None) -> None:
    answered = answer(SCRIPT.address, accepted)
    assert answered is not None
    fields, body = answered
    assert dict(fields).get(b"Content-Encoding") == coding
    assert body == SCRIPT.bodies[(coding or b"").decode()]


def test_another_hash_gets_the_present_script_and_asks_again() -> None:
    for path, kept in ((SCRIPT.address, b"immutable"), ("/.layout-mutation/runtime.0123456789abcdef.js", b"no-cache")):
        answered = answer(path, "")
        assert answered is not None
        assert kept in dict(answered[0])[b"Cache-Control"]
    for path in ("/.layout-mutation/runtime.js", f"{SCRIPT.address}.map", "/.layout-mutation/runtime.0.js", "/"):
        assert answer(path, "") is None


async def test_it_is_served_and_the_origin_never_asked() -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        got = await visitor.get(f"{SCRIPT.address}?x=1", "Accept-Encoding: gzip")
        assert (got.status, got.get(b"Content-Type")) == (200, b"text/javascript; charset=utf-8")
        assert got.body == SCRIPT.bodies["gzip"]
        head = await visitor.get(SCRIPT.address, method="HEAD")
        assert (head.status, head.body, head.get(b"Content-Length")) == (200, b"", b"%d" % len(SCRIPT.bodies[""]))
        assert (await visitor.get(SCRIPT.address, "Content-Length: 0", method="POST")).status == 404
        assert site.heads == []
