"""JSON that content brings along in `<script type="application/json">` or `application/ld+json`: data, which runs nothing.

It must be JSON, and is written in ASCII: raw text has no character references, so what a page's encoding lacks could not
be written. Placeholders stand inside its strings only.
Counterpart: `rules.html.harm` says which scripts are data. Never: a script that runs.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import turbohtml
from turbohtml import Element, Namespace, Text

from rules.errors import RulesError
from rules.templates import json_in_ascii


def in_ascii(markup: str, path: str) -> str:
    """Markup with its data blocks in ASCII; raises RulesError for one that is not JSON."""
    if "<script" not in markup.lower():
        return markup
    fragment = turbohtml.parse_fragment(markup, "template", scripting=True, source_locations=True)
    pieces, at = [], 0
    for element in fragment.find_all():
        if element.tag.lower() != "script":
            continue
        _decoded(text_in(element), path)
        location = element.source_location
        if element.namespace is Namespace.HTML and location is not None and location.end_tag is not None:
            start, end = location.start_tag.end_offset, location.end_tag.start_offset
            pieces += [markup[at:start], json_in_ascii(markup[start:end])]
            at = end
    return "".join([*pieces, markup[at:]])


def check_mark(text: str, mark: str) -> None:
    """Raise RulesError where a mark in JSON stands anywhere but inside one string that is a value."""
    values = list(_strings(msgspec.json.decode(text)))
    if sum(mark in value for value in values) != 1:
        raise RulesError("in JSON a placeholder stands inside a string that is a value, not in a name")


def text_in(element: Element) -> str:
    """The text right inside an element."""
    return "".join(node.data for node in element.children if isinstance(node, Text))


def _decoded(text: str, path: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RulesError(f"a data block must hold JSON, with placeholders inside strings: {error}", path) from None


def _strings(value: Any) -> Iterator[str]:
    """All strings that are values, at any depth."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
