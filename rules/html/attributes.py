"""What a placeholder is in an attribute's value: plain text, an address or a part of one, a style; or why it can't stand there.

Attributes are read by browsers, by parsers and by other people's scripts. Those whose value decides what runs, what is
loaded, or how the page is read are not for a visitor to fill.
Counterpart: `rules.html.positions` finds the attributes in markup. Never: a look at a value that is filled in.
"""

import re
from typing import NamedTuple

from rules.css import problems_of_marks
from rules.errors import RulesError
from rules.templates import Position

_PLAIN_NAME = re.compile(r"[a-z][a-z0-9-]*|xml:lang|xlink:title")
_FRAMEWORKS = ("v-", "x-", "ng-", "hx-", "data-v-", "data-x-", "data-ng-", "data-hx-", "data-bind", "data-on")
"""How attributes begin that scripts of frameworks run as code."""
_DECIDING = frozenset(
    "type rel is as nonce integrity sandbox allow csp charset encoding shadowrootmode http-equiv crossorigin target "
    "referrerpolicy language attributename values from to by xmlns method enctype formmethod formenctype".split()
)
"""Attributes whose value decides what runs or loads, or how the page is read."""
_PRESENTING = frozenset("fill stroke filter mask clip-path cursor marker marker-start marker-mid marker-end".split())
"""Attributes of SVG that are declarations of a style, and may load something."""
_SOUGHT = frozenset({"id", "name"})
"""Attributes by which scripts find elements, as if they were variables."""
_ADDRESSES = frozenset(
    "href src action formaction poster xlink:href background cite longdesc manifest profile ping srcset "
    "imagesrcset".split()
)
_LISTS = frozenset({"srcset", "imagesrcset", "ping"})
_SHOWN_OR_FOLLOWED = {
    "href": frozenset({"a", "area", ""}),
    "src": frozenset({"img", "audio", "video", "source", "track", ""}),
    "poster": frozenset({"video", ""}),
    "cite": frozenset({"blockquote", "q", "ins", "del", ""}),
}
"""Attributes that may hold an address from its beginning on, and of which elements: what they name becomes no part of the
page. An element that is not known is "": of such an operation `slots.kept_to_links` takes care."""

_NOT_IN_ADDRESSES = re.compile(r"[\t\n\r]")
_SCHEME = re.compile(r"[\x00-\x20]*([a-z][a-z0-9+.-]*):(.*)", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"[/\\]{2}[^/?#\\]+[/?#]")
_BEHIND_A_BEGINNING = re.compile(r"[/?#]|\Z")


def shown_or_followed(name: str) -> frozenset[str]:
    """Elements whose attribute `name` may hold a visitor's address from its beginning on; none for other attributes."""
    return _SHOWN_OR_FOLLOWED.get(name.lower(), frozenset()) - {""}


class Place(NamedTuple):
    """An attribute that holds placeholders; each stands in `value` as its mark."""

    tag: str
    """The element; "" where it is not known."""
    name: str
    value: str


def position_in(place: Place, mark: str, marks: list[str], has_fallback: bool) -> Position:
    """What a placeholder is there; raises RulesError."""
    name = place.name.lower()
    if name == "style" or name in _PRESENTING:
        style = place.value if name == "style" else f"{name}:{place.value}"
        if problem := problems_of_marks(style, marks, in_blocks=False).get(mark):
            raise RulesError(problem)
        return Position.STYLE
    if (
        name.startswith(("on", *_FRAMEWORKS))
        or name == "srcdoc"
        or (name not in _ADDRESSES and not _PLAIN_NAME.fullmatch(name))
    ):
        raise RulesError(
            f"a placeholder can't stand in the attribute `{place.name}`: a script could run it; use a data- one"
        )
    if name in _DECIDING:
        raise RulesError(
            f"a placeholder can't stand in the attribute `{place.name}`: it decides what runs or how a page is read"
        )
    before, _, after = place.value.partition(mark)
    if name in _SOUGHT and not before:
        raise RulesError(
            f"in `{place.name}` text must stand before a placeholder: scripts find elements by what it begins with"
        )
    if name not in _ADDRESSES:
        return Position.PLAIN
    return _in_address(place, before, after, marks, has_fallback=has_fallback)


def _in_address(place: Place, before: str, after: str, marks: list[str], *, has_fallback: bool) -> Position:
    before, after = _NOT_IN_ADDRESSES.sub("", before), _NOT_IN_ADDRESSES.sub("", after)
    if place.name.lower() in _LISTS:
        before = re.split(r"[\s,]", before)[-1]
    before = before.lstrip("".join(map(chr, range(0x21))))
    if not before:
        return _from_its_beginning(place, after)
    scheme = _SCHEME.match(before)
    if scheme is not None and scheme[1].lower() in ("mailto", "tel", "sms"):
        return Position.ADDRESS_PART
    if scheme is not None and scheme[1].lower() not in ("http", "https"):
        raise RulesError(f"a placeholder can't stand in a {scheme[1].lower()}: address")
    if scheme is not None or before.startswith(("//", "\\\\", "/\\", "\\/")):
        rest = before if scheme is None else scheme[2]
        if not _HOST.match(rest) or any(mark in rest[: _end_of_host(rest)] for mark in marks):
            raise RulesError("a placeholder can't stand in the host of an address; write the host, and / behind it")
        return Position.ADDRESS_PART
    if not re.search(r"[/?#]", before) and ":" in re.split(r"[/?#]", after)[0]:
        raise RulesError("a placeholder can't stand in the scheme of an address")
    if not has_fallback and _would_name_a_host(before + after, marks):
        raise RulesError(
            "without a value this address would begin with // and name a host; give the placeholder a fallback"
        )
    return Position.ADDRESS_PART


def _from_its_beginning(place: Place, after: str) -> Position:
    if place.tag.lower() not in _SHOWN_OR_FOLLOWED.get(place.name.lower(), ()):
        element = f" of <{place.tag}>" if place.tag else ""
        raise RulesError(
            f"a placeholder can't begin the address in `{place.name}`{element}: it loads or sends; begin it with / or a host"
        )
    if not _BEHIND_A_BEGINNING.match(after):
        raise RulesError("behind a placeholder that begins an address comes /, ? or #, or nothing")
    return Position.ADDRESS


def _end_of_host(rest: str) -> int:
    found = _HOST.match(rest)
    return len(rest) if found is None else found.end()


def _would_name_a_host(value: str, marks: list[str]) -> bool:
    for mark in marks:
        value = value.replace(mark, "")
    return value.replace("\\", "/").startswith("//")
