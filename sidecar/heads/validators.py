"""Validators of rewritten pages: ETags that say which variant they name, and conditions turned back into the origin's.

A rewritten page's ETag is `W/"lm.<variant>.<layout>.<kind>.<origin's>"`: the variant is a hash of the decision and of what
the origin's page was, the layout is its X-Layout-Id (it took part in the decision), `kind` says whether the origin's own
ETag, which follows, was strong, weak or not there. So nothing has to be remembered between requests.
Pure. Counterpart: `proxy`. Never: a condition that lets an origin's 304 bring another variant back to life.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import islice

from msgspec import Struct
from multidict import MultiMapping
from xxhash import xxh3_128_hexdigest

from rules.decision import Decision
from rules.reasons import Reason
from sidecar.heads.headers import Field

_TAG = re.compile(r'(W/)?"([^"]*)"')
_OWN = "lm."
TAGS_MAX = 100
"""ETags of one If-None-Match that are looked at: a cache names the variants it keeps, a browser one."""
OWN_TAGS_MAX = 8
"""Of those, ours: for each layout that they name something is decided."""
REMEMBERED_CHARACTERS_MAX = 512
"""Of an origin's ETag and a layout id together; real ones have some 50. Visitors make up longer ones in If-None-Match, up to 64 KB."""


class DerivedTag(Struct, frozen=True):
    """What one of our own ETags says."""

    variant: str
    """16 hex digits."""
    layout_id: str | None
    origin: str | None
    """The origin's own ETag, with quotes and `W/`; None where it sent none."""
    text: str
    """The whole ETag as it was sent."""


def derive(*, decision_key: str, layout_id: str | None, origin: str | None, body: bytes) -> str:
    """The ETag of a rewritten page. `origin` is the origin's ETag as it came; without one its `body` is hashed.

    By XXH3, 128 bits: 2 µs for 100 KB, where SHA-256 takes 57, a fifth of a page from the memo. Nobody signs with it. Who
    could make two bodies alike writes both, and wins a 304 for the older one.
    """
    if origin:
        derived = _derived if len(origin) + len(layout_id or "") <= REMEMBERED_CHARACTERS_MAX else _derived_again
        if (tag := derived(decision_key, layout_id, origin)) is not None:
            return tag
    return _named(decision_key, layout_id, "n", "", xxh3_128_hexdigest(body))


def _derived_again(decision_key: str, layout_id: str | None, origin: str) -> str | None:
    """The ETag by the origin's, None where that is none."""
    match = _TAG.fullmatch(origin.strip())
    if match is None:
        return None
    kind = "w" if match.group(1) else "s"
    return _named(decision_key, layout_id, kind, match.group(2), f"{kind}.{match.group(2)}")


_derived = lru_cache(maxsize=512)(_derived_again)
"""Remembered, since a page is asked for more often than it changes."""


def _named(decision_key: str, layout_id: str | None, kind: str, opaque: str, seen: str) -> str:
    layout = base64.urlsafe_b64encode((layout_id or "").encode("utf-8", "surrogateescape")).decode().rstrip("=")
    return f'W/"{_OWN}{_variant(decision_key, layout, seen)}.{layout}.{kind}.{opaque}"'


def _variant(decision_key: str, layout: str, seen: str) -> str:
    text = f"{decision_key}\n{layout}\n{seen}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def entity_tags(value: str) -> list[str]:
    """The ETags of an If-None-Match or If-Match field, as they stand, at most TAGS_MAX; `*` is none of them."""
    return [match.group(0) for match in islice(_TAG.finditer(value), TAGS_MAX)]


def read(tag: str) -> DerivedTag | None:
    """What one of our own ETags says; None for anybody else's."""
    match = _TAG.fullmatch(tag.strip())
    if match is None or not match.group(2).startswith(_OWN):
        return None
    parts = match.group(2)[len(_OWN) :].split(".", 3)
    if len(parts) != 4 or parts[2] not in {"n", "s", "w"}:
        return None
    variant, layout, kind, opaque = parts
    try:
        decoded = base64.urlsafe_b64decode(layout + "=" * (-len(layout) % 4)).decode("utf-8", "surrogateescape")
    except ValueError:  # binascii.Error is one
        return None
    origin = None if kind == "n" else f'W/"{opaque}"' if kind == "w" else f'"{opaque}"'
    return DerivedTag(variant=variant, layout_id=decoded or None, origin=origin, text=match.group(0))


def still_names(tag: DerivedTag, decision_key: str) -> bool:
    """Whether the tag's page, should the origin still have it, would today be rewritten into the same bytes."""
    if tag.origin is None:
        return False
    return derive(decision_key=decision_key, layout_id=tag.layout_id, origin=tag.origin, body=b"") == tag.text


def names(if_none_match: str, etag: str) -> bool:
    """Whether an If-None-Match field names this ETag, by weak comparison (RFC 9110 8.8.3.2)."""
    opaque = etag.removeprefix("W/")
    return any(tag.removeprefix("W/") == opaque for tag in entity_tags(if_none_match))


def origin_tags(value: str) -> str:
    """An If-Match (or If-Range) field with our own ETags turned back into the origin's."""
    return _TAG.sub(
        lambda match: (own.origin or match.group(0)) if (own := read(match.group(0))) else match.group(0),
        value,
        count=TAGS_MAX,
    )


class Conditions(Struct, frozen=True):
    """What becomes of a request's conditions on its way to the origin."""

    dropped: frozenset[bytes] = frozenset()
    """Names of fields, lower case, that don't go on as they came."""
    added: tuple[Field, ...] = ()
    confirms: str | None = None
    """Our own ETag, which a 304 of the origin confirms."""


UNCHANGED = Conditions()
FIELDS = ("If-None-Match", "If-Match", "If-Modified-Since", "Range")
"""Request fields without any of which there is nothing to adapt: If-Range means nothing without Range (RFC 9110 13.1.5), and a
rewritten page says no Last-Modified that If-Unmodified-Since could name."""
_CACHED = frozenset({b"if-none-match", b"if-modified-since"})
_PART = frozenset({b"range", b"if-range"})


def adapt(
    headers: MultiMapping[str],
    decide: Callable[[str | None], Decision] | None,
    *,
    rewrites: bool = True,
    owes_page: Callable[[str | None], bool] = lambda _: False,
) -> Conditions:
    """The conditions that a request may bring to the origin.

    `decide` gives the decision for a layout id; it is None where everybody's answer passes untouched for certain. Where
    somebody's might not, the origin's own validators and Range go: a shared cache could ask with them for all its
    visitors. Of ours the first one stays (as the origin's) whose page would be rewritten just the same today; none if this
    visit gets no rewritten pages (`rewrites` false), or is owed the page itself: `owes_page` says so for a layout id. Only
    one, since a 304 need not say which of several it means, and nobody could say it for the origin (RFC 9111 4.3.4). Fewer
    conditions only mean more whole answers, which may still be a 304 of ours.
    """
    tags = entity_tags(", ".join(headers.getall("If-None-Match", ())))
    own = [derived for tag in tags if (derived := read(tag)) is not None][:OWN_TAGS_MAX]
    dropped: set[bytes] = set()
    added: list[Field] = []
    if "If-Match" in headers and (value := ", ".join(headers.getall("If-Match"))) != (restored := origin_tags(value)):
        dropped.add(b"if-match")
        added.append((b"If-Match", restored.encode("utf-8", "surrogateescape")))
    if read(headers.get("If-Range", "")) is not None:
        dropped |= _PART
    confirms: str | None = None
    kept: list[str] = []
    owed = decide is not None and any(owes_page(layout) for layout in {None, *(tag.layout_id for tag in own)})
    if decide is not None and (owed or _may_change(decide(None))):
        dropped |= _CACHED | _PART
        may = rewrites and not owed
        held = next((tag for tag in own if may and still_names(tag, decide(tag.layout_id).key)), None)
        if held is not None and held.origin is not None:
            confirms, kept = held.text, [held.origin]
    elif own:
        dropped |= _CACHED
        kept = [tag for tag in tags if read(tag) is None]
    if kept:
        added.append((b"If-None-Match", ", ".join(kept).encode("utf-8", "surrogateescape")))
    return Conditions(frozenset(dropped), tuple(added), confirms)


def _may_change(decision: Decision) -> bool:
    """For this visitor, for another one, or under a layout that is only known with the response."""
    return (
        decision.applies
        or decision.private
        or any(outcome.reason is Reason.OTHER_LAYOUT for outcome in decision.outcomes)
    )
