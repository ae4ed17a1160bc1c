"""What an origin says of its page: in a header, in an island of JSON, in metas. The header goes before the island, and the
island before the metas.

The page is read here before it is decided whether it is rewritten, in the process that serves others meanwhile: no parser,
but one pass over its tags as the HTML standard's tokenizer takes them apart, in linear time and within bounds. What stands in a comment, in
text, in a script or in a template is none of it.
Counterpart: attribute `page` of `rules.context`. Never: an exception for any bytes; half of an object.
"""

import re
from collections.abc import Iterator, Sequence
from html.entities import html5
from typing import Any

import msgspec
from msgspec import Struct

from rules import limits
from rules.html.charset import Charset, charset_of

HEADER = "X-Layout-Attributes"
META = "layout-mutation:"
ISLAND = "data-layout-attributes"

_SPACE = rb"\t\n\f\r "
_VALUE = rb"""(?>"([^"]*+)"|'([^']*+)'|([^%b>"'][^%b>]*+)|(?=>))""" % (_SPACE, _SPACE)
_ATTRIBUTE = rb"([^%b/>][^%b/>=]*+)(?>[%b]*+=[%b]*+%b|(?![%b]*+=))" % (_SPACE, _SPACE, _SPACE, _SPACE, _VALUE, _SPACE)
_UNCAPTURED = re.sub(rb"\((?!\?)", rb"(?:", _ATTRIBUTE)
_ATTRIBUTES_OF_TAG = rb"(?>[%b/]++|%b)*+" % (_SPACE, re.sub(rb"\((?!\?)", rb"(?:", _ATTRIBUTE))
_COMMENT = rb"!--(?>-?>|.*?(?:--!?>|\Z))|[!?][^>]*+|/(?![A-Za-z])[^>]*+"
"""A comment, or something that counts as one."""
_LOOKED_AT = rb"script|meta|template|svg|math|style|title|textarea|xmp|iframe|noembed|noframes|noscript|plaintext"
_REST = re.compile(
    rb"(?>[^<]++|<(?>%b|(?!/?(?:%b)[%b/>])/?[A-Za-z][^%b/>]*+%b>|(?![A-Za-z!?/])))*+"
    % (_COMMENT, _LOOKED_AT, _SPACE, _SPACE, _ATTRIBUTES_OF_TAG),
    re.DOTALL | re.IGNORECASE,
)
"""Text, comments and tags that nobody asks for, up to one that somebody does."""
_TAG = re.compile(
    rb"<(?P<end>/?)(?P<name>[A-Za-z][^%b/>]*+)(?P<attributes>%b)>" % (_SPACE, _ATTRIBUTES_OF_TAG), re.DOTALL
)
"""A whole tag; one in which a quote is left open goes on to the page's end, and is none."""
_ATTRIBUTES = re.compile(_ATTRIBUTE, re.DOTALL)
_RAW_TEXT = frozenset({b"style", b"title", b"textarea", b"xmp", b"iframe", b"noembed", b"noframes", b"noscript"})
"""Elements whose content is text, for browsers that run scripts."""
_FOREIGN = frozenset({b"svg", b"math"})
_IN_SCRIPT = re.compile(rb"<!--|-->|<(/?)script(?=[%b/>])" % _SPACE, re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_REFERENCE = re.compile(r"&(?:#([0-9]{1,7})|#[xX]([0-9a-fA-F]{1,6})|([A-Za-z][A-Za-z0-9]*));?")


class HandedOver(Struct, frozen=True):
    """The attributes of a page, and where something stood that is none."""

    attributes: dict[str, Any]
    refused: tuple[str, ...] = ()
    """`header`, `island`: no JSON object, or too large."""


def in_header(values: Sequence[str]) -> HandedOver:
    """What the header says; `values` are those of all its fields, of which there may be one."""
    if not values:
        return HandedOver({})
    found = _object(values[0].encode("utf-8", "surrogateescape")) if len(values) == 1 else None
    return HandedOver({}, ("header",)) if found is None else HandedOver(found)


def handed_over(page: bytes, *, charset: str | None, header: Sequence[str] = ()) -> HandedOver:
    """What header and page say together. `charset` is the Content-Type's; the page comes without content coding."""
    said = in_header(header)
    metas, island, refused = _in_page(page, charset)
    return HandedOver({**metas, **island, **said.attributes}, said.refused + refused)


class _Tag(Struct, frozen=True):
    """A start tag whose element counts."""

    name: bytes
    attributes: bytes
    content: bytes = b""
    """Of a script: its text."""

    def values(self) -> dict[bytes, bytes]:
        """Attribute, in lower case -> value; the first of each."""
        found: dict[bytes, bytes] = {}
        for name, *values in _ATTRIBUTES.findall(self.attributes):
            found.setdefault(name.lower(), b"".join(values))
        return found


def _in_page(page: bytes, declared: str | None) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """The metas', the island's, and what was refused."""
    charset = charset_of(page[:4], declared or "utf-8")
    if charset is None:
        return {}, {}, ()
    sure = declared is not None or charset.mark_bytes > 0
    if charset.is_wide:
        page, charset = page[charset.mark_bytes :].decode(charset.codec, "replace").encode(), _UTF_8
    last = max(page.rfind(META.encode()), page.lower().rfind(ISLAND.encode()))
    if last < 0 or page.count(b"<") > limits.TAGS_MAX:
        return {}, {}, ()
    metas: dict[str, Any] = {}
    island: dict[str, Any] | None = None
    refused = False
    for tag in _tags(page, last):
        values = tag.values()
        if tag.name == b"script":
            if island is None and ISLAND.encode() in values and _is_json(values):
                island = _object(_text(tag.content, charset).encode("utf-8", "surrogatepass"))
                refused |= island is None
        elif not sure and b"charset" in values:
            charset, sure = _told(_ascii(values[b"charset"])), True
        elif (name := _ascii(values.get(b"name", b""))).startswith(META):
            text = _unescaped(_text(values.get(b"content", b""), charset))
            if _fits(name.removeprefix(META), text, metas):
                metas.setdefault(name.removeprefix(META), text)
    return metas, island or {}, ("island",) if refused and island is None else ()


def _tags(page: bytes, last: int) -> Iterator[_Tag]:
    """The metas and scripts of a page, in its order, where they stand for elements; up to the offset `last`."""
    at, templates, foreign = 0, 0, 0
    for _ in range(limits.HANDED_OVER_TAGS_MAX):
        if at > last:
            return
        skipped = _REST.match(page, at)
        tag = _TAG.match(page, at if skipped is None else skipped.end())
        if tag is None:
            return
        at, name, step = tag.end(), tag["name"].lower(), -1 if tag["end"] else 1
        templates = max(0, templates + step * (name == b"template"))
        foreign = max(0, foreign + step * (name in _FOREIGN))
        if tag["end"] or (foreign and tag["attributes"].endswith(b"/")):
            continue
        begin = at
        if name == b"script":
            at = _script_end(page, begin)
        elif name in _RAW_TEXT:
            at = _raw_text_end(page, begin, name)
        elif name == b"plaintext":
            return
        is_short = len(tag["attributes"]) <= limits.HANDED_OVER_BYTES_MAX
        if is_short and not templates and name in {b"script", b"meta"}:
            yield _Tag(name, tag["attributes"], page[begin:at])


def _raw_text_end(page: bytes, begin: int, name: bytes) -> int:
    """Where the end tag begins; the page's end without one."""
    found = re.compile(rb"</%b(?=[%b/>])" % (name, _SPACE), re.IGNORECASE).search(page, begin)
    return len(page) if found is None else found.start()


def _script_end(page: bytes, begin: int) -> int:
    """Where a script's end tag begins: behind `<!--` and `<script` it takes one more (HTML standard, "script data escaped")."""
    escaped = twice = False
    for mark in _IN_SCRIPT.finditer(page, begin):
        text = mark.group()
        if text == b"<!--":
            escaped = True
        elif text == b"-->":
            escaped = twice = False
        elif mark[1]:
            if not twice:
                return mark.start()
            twice = False
        else:
            twice = twice or escaped
    return len(page)


def _is_json(values: dict[bytes, bytes]) -> bool:
    return values.get(b"type", b"").strip().lower() == b"application/json"


def _object(text: bytes) -> dict[str, Any] | None:
    """A JSON object within bounds; None for anything else."""
    if len(text) > limits.HANDED_OVER_BYTES_MAX:
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and len(found) <= limits.HANDED_OVER_NAMES_MAX else None


def _fits(name: str, text: str, metas: dict[str, Any]) -> bool:
    room = len(metas) < limits.HANDED_OVER_NAMES_MAX and len(text) <= limits.ATTRIBUTE_CHARACTERS_MAX
    return room and _NAME.fullmatch(name) is not None


_UTF_8 = Charset("UTF-8", "utf-8", 0)


def _told(label: str) -> Charset:
    """The charset that a meta names; UTF-16 can't be said in ASCII, and means UTF-8."""
    found = charset_of(b"", label)
    return _UTF_8 if found is None or found.is_wide else found


def _text(text: bytes, charset: Charset) -> str:
    """Text of the page; what is none in its charset becomes U+FFFD."""
    return text.decode(charset.codec, "replace")


def _ascii(text: bytes) -> str:
    return text.decode("ascii", "replace").strip()


def _unescaped(text: str) -> str:
    """An attribute's value without character references (HTML standard, "named character reference state")."""
    return _REFERENCE.sub(_character, text) if "&" in text else text


def _character(reference: re.Match[str]) -> str:
    whole = reference.group()
    if reference[3] is None:
        number = int(reference[1]) if reference[1] is not None else int(reference[2], 16)
        return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    if whole.endswith(";"):
        return html5.get(f"{reference[3]};", whole)
    return whole if reference.string[reference.end() :].startswith("=") else html5.get(reference[3], whole)
