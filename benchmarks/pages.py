"""Pages to carry and the rules that change them: a shop's listing of any size, and three edits.

Counterparts: `origin` serves the pages, `processes` seals the rules into a table.
Never: a page of somebody's site; these are made here, with about as many tags per kilobyte as real ones have.
"""

from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from rules.compiler import compile_table
from rules.model import decode_rules
from rules.table import DecisionTable

TOKEN = b"0123456789abcdef"
"""Stands in each page, in `<head>`; an origin of pages that differ puts another one there each time."""

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Everything for the garden</title>
<meta name="csrf-token" content="{token}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/static/shop.css">
<script>window.shop = {{"currency": "EUR", "items": []}};</script>
</head>
<body class="listing">
<header class="top"><nav><a href="/">Home</a> <a href="/offers">Offers</a> <a href="/basket">Basket</a></nav></header>
<main>
<h1>Everything for the garden</h1>
<ul class="items">
"""

_ITEM = """<li class="item" data-item="{number}">
  <a class="item-link" href="/items/{number}?from=listing"><img src="/images/{number}.webp" alt="Item {number}" width="320" height="240" loading="lazy"></a>
  <h2 class="item-name">Watering can number {number}, galvanised &amp; painted</h2>
  <p class="item-text">Holds nine litres, pours from a long spout, and stands in the rain for years without a spot of
    rust. The handle is beech. Those who bought it also bought a dibber, a ball of twine and two dozen clay pots, and
    hardly anybody sent one back: of the last thousand, four; of these, two were gifts that somebody had already.</p>
  <form method="post" action="/basket"><input type="hidden" name="item" value="{number}"><button>Into the basket</button></form>
</li>
"""

_FOOT = """</ul>
</main>
<footer><p>Prices include tax. <a href="/imprint">Imprint</a></p></footer>
<script src="/static/shop.js" defer></script>
</body>
</html>
"""


@lru_cache
def listing(kilobytes: int) -> bytes:
    """A page of about that many kilobytes (1,000 bytes each)."""
    pieces = [_HEAD.format(token=TOKEN.decode())]
    size = len(pieces[0]) + len(_FOOT)
    number = 1
    while size < kilobytes * 1000 - len(_ITEM) // 2:
        pieces.append(_ITEM.format(number=number))
        size += len(pieces[-1])
        number += 1
    return "".join([*pieces, _FOOT]).encode()


THREE_EDITS: dict[str, object] = {
    "operations": [
        {"verb": "setAttribute", "target": {"selector": "body"}, "name": "data-x", "value": "1"},
        {"verb": "setInnerContent", "target": {"selector": "h1"}, "content": {"html": "Benchmark headline"}},
        {"verb": "append", "target": {"selector": "head"}, "content": {"html": "<style>.a{color:red}</style>"}},
    ]
}
"""A payload: an attribute of `<body>`, the content of each `<h1>`, a style at the end of `<head>`."""

TEN_EDITS: dict[str, object] = {
    "operations": [
        {"verb": "setAttribute", "target": {"selector": "body"}, "name": "data-x", "value": "1"},
        {"verb": "setText", "target": {"selector": "title"}, "content": {"text": "Benchmark title"}},
        {"verb": "append", "target": {"selector": "head"}, "content": {"html": "<style>.a{color:red}</style>"}},
        {"verb": "prepend", "target": {"selector": "body"}, "content": {"html": "<div class=banner>News</div>"}},
        {"verb": "setInnerContent", "target": {"selector": "h1"}, "content": {"html": "Benchmark headline"}},
        {"verb": "after", "target": {"selector": "h1"}, "content": {"html": "<p>Behind the headline</p>"}},
        {"verb": "addClass", "target": {"selector": "h2"}, "names": ["larger"]},
        {"verb": "setAttribute", "target": {"selector": "img"}, "name": "decoding", "value": "async"},
        {"verb": "remove", "target": {"selector": "aside"}},
        {"verb": "before", "target": {"selector": "footer"}, "content": {"html": "<p>Before the footer</p>"}},
    ]
}
"""A payload of ten operations that most pages have targets for, some of them many."""


def table(*page_slugs: str, edits: dict[str, object] = THREE_EDITS) -> DecisionTable:
    """A table with these edits for each of these page patterns."""
    mutations = [
        {"id": f"edits-{number}", "pageSlug": slug, "mutationType": "set", "mutationPayload": edits}
        for number, slug in enumerate(page_slugs)
    ]
    rules_file = decode_rules(msgspec.json.encode({"mutations": mutations}))
    return compile_table(rules_file, version=1, now=datetime.now(UTC))
