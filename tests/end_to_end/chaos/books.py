"""What the API says afterwards, compared with what was acknowledged, by value and version.

Counterpart: `client` keeps the ledger. Never: a guess: what is neither in the history nor kept for a person to settle is lost.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tests.end_to_end.chaos.client import Write

Ask = Callable[[str], Any]
"""What GET of a path below the API's prefix answers; None where there is nothing."""


class Books(msgspec.Struct):
    """What became of all acknowledged writes."""

    lost: list[str] = msgspec.field(default_factory=list)
    conflicts: list[str] = msgspec.field(default_factory=list)
    """Not in force, but kept with both sides."""
    doubled: list[str] = msgspec.field(default_factory=list)
    """Done twice."""
    overtaken: list[str] = msgspec.field(default_factory=list)
    """In force is less than what was acknowledged last."""


def compared(ledger: Sequence[Write], ask: Ask) -> Books:
    """Every write looked for in the history of its document."""
    books = Books()
    waiting = msgspec.json.encode(ask("conflicts")).decode()
    by_document: dict[str, list[Write]] = defaultdict(list)
    for write in ledger:
        by_document[write.document].append(write)
    for document, writes in by_document.items():
        versions = ask(f"mutations/{document}/versions") or {"items": []}
        history = {one["version"]: text_of(one) for one in versions["items"]}
        for write in writes:
            what = f"{document} version {write.version}: {write.text!r}"
            if history.get(write.version) == write.text:
                continue
            if f'"{write.text}"' in waiting.replace('\\"', '"'):
                books.conflicts.append(what)
            else:
                books.lost.append(f"{what}, found {history.get(write.version)!r}")
        texts = Counter(history.values())
        books.doubled += [f"{document}: {write.text!r}" for write in writes if texts[write.text] > 1]
        now = ask(f"mutations/{document}") or {"version": 0}
        if now["version"] != max(history, default=0):
            books.overtaken.append(f"{document} is at {now['version']}, its history at {max(history, default=0)}")
    return books


def text_of(version: Any) -> str:
    """What a write is known by."""
    document = version.get("document", version)
    return str(document["mutationPayload"]["operations"][0]["content"]["text"])
