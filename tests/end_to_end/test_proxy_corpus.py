"""Real pages through the sidecar: untouched ones to the byte, edited ones just as the core edits them, in every coding."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rules.decision import decide
from rules.html import Rewritten, apply_groups
from sidecar.context.contexts import context_of_address
from sidecar.heads import codings
from tests.sidecar.wire import NOON, Conversation, Script, client, html, origin, serving, table

PAGES = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "pages"

EDITS = {
    "id": "three",
    "mutationType": "set",
    "mutationPayload": {
        "operations": [
            {"verb": "setAttribute", "target": {"selector": "body"}, "name": "data-lm", "value": "1"},
            {"verb": "setText", "target": {"selector": "h1", "maxMatches": 10000}, "content": {"text": "Edited"}},
            {"verb": "append", "target": {"selector": "head"}, "content": {"html": "<style>p{color:red}</style>"}},
        ]
    },
}


@pytest.fixture
def pages() -> dict[str, bytes]:
    """Name -> bytes of every page of the corpus."""
    if not PAGES.is_dir():
        pytest.skip("the folder ../shared is not here (corpus of real pages)")
    return {path.name: path.read_bytes() for path in sorted(PAGES.iterdir()) if path.is_file()}


def site(answer: Callable[[str], bytes]) -> Script:
    async def script(conversation: Conversation) -> None:
        while True:
            head = await conversation.head()
            await conversation.send(answer(head.split(b" ")[1].decode().lstrip("/")))

    return script


async def test_pages_that_no_rule_looks_at_pass_to_the_byte(pages: dict[str, bytes]) -> None:
    async with (
        origin(site(lambda name: html(pages[name], 'ETag: "x"'))) as real,
        serving(real.url, tables=table()) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for name, page in pages.items():
            answer = await visitor.get(f"/{name}")
            sent = html(page, 'ETag: "x"').partition(b"\r\n\r\n")[0]
            assert answer.raw == sent + b"\r\nX-Layout-Mutation: passed; reason=no_rules\r\n\r\n", name
            assert answer.body == page, name


@pytest.mark.parametrize("coding", ["", "gzip", "br", "zstd"])
async def test_edited_pages_are_what_the_core_makes_of_them(pages: dict[str, bytes], coding: str) -> None:
    rules = table(EDITS)
    fields = [f"Content-Encoding: {coding}"] if coding else []
    edited = 0
    async with (
        origin(site(lambda name: html(codings.redo(pages[name], coding), *fields))) as real,
        serving(real.url, tables=rules) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for name, page in pages.items():
            decision = decide(rules, context_of_address(f"http://shop.example/{name}", {}, NOON))
            expected = apply_groups(page, decision.groups, charset="utf-8")
            answer = await visitor.get(f"/{name}", f"Accept-Encoding: {coding or 'identity'}")
            assert (answer.get(b"Content-Encoding") or b"").decode() == coding, name
            body = codings.undo(answer.body, coding, bytes_max=10**8)
            assert body == (expected.page if isinstance(expected, Rewritten) else page), name
            edited += isinstance(expected, Rewritten)
    assert edited > len(pages) / 2
