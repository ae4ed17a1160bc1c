"""Changes of one start tag: attributes set, removed, amended, classes added, removed -> edits inside the tag.

Every other byte of the tag stays. The changed tag is tokenised once more and must have exactly the attributes that were
asked for; where it does not (a tag written in a way that can't be edited piecewise) the change is refused. Three edits are
exempt, since there can be no doubt about them (`_Edits.is_certain`):
- Attributes that the tag does not have, added right behind its name: what follows a quoted value is read as what follows
  the name was (HTML standard, 13.2.5.8 and 13.2.5.39).
- A value in quotes that becomes another one in quotes: what follows is read as before.
- Plain class names added at the end of a value in quotes: the space before them ends a character reference as the quote
  did, and they hold no sign that means anything there.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from html import unescape
from typing import Any

import turbohtml
from turbohtml import Element

from rules.addresses import with_parameters
from rules.css import with_declarations
from rules.html.content import escape_attribute
from rules.html.document import Document
from rules.html.edits import Edit, splice
from rules.html.policy import allowing_style
from rules.html.written_values import spliced_window, written_value
from rules.splices import Splice, spliced

_NAME_END = re.compile(r"[ \t\n\f\r/>]")
_CLASS_NAME = re.compile(r"[^ \t\n\f\r]+")
_REMEMBERED_CHARACTERS_MAX = 256
_QUOTED = re.compile(r"[A-Za-z][A-Za-z0-9-]*[ \t\n\f\r]*=[ \t\n\f\r]*(?:\"([^\"]*)\"|'([^']*)')")
_PLAIN_CLASS = re.compile(r"[A-Za-z0-9_-]+")
_NO_VALUE = re.compile(r"[\0\r]")
"""What no attribute's value is read as."""
_VALUE = re.compile(r"=[ \t\n\f\r]*([\"']?)")

Amendment = Callable[[str], tuple[Splice, ...] | None]
"""An attribute's value -> what changes in it; () for nothing, None if that can't be told for certain."""


_NOTHING: Mapping[str, Any] = {}
"""Shared by all tags until something is asked of one: most are asked one thing, and five dictionaries for each of some hundred
would have the collector look through the page."""


class TagChanges:
    """What operations of accepted mutations ask of one start tag. Its mappings are never changed, only put in place of others."""

    __slots__ = ("added", "attributes", "edits", "element", "parameters", "properties", "removed", "style_hashes")

    def __init__(self, element: Element) -> None:
        self.element = element
        self.attributes: Mapping[str, str | None] = _NOTHING
        """Attribute name -> value; None: removed."""
        self.added: Mapping[str, None] = _NOTHING
        self.removed: Mapping[str, None] = _NOTHING
        self.properties: Mapping[str, str] = _NOTHING
        """Declarations of the `style` attribute."""
        self.parameters: Mapping[str, str] = _NOTHING
        """Query parameters of the `href`."""
        self.style_hashes: tuple[str, ...] = ()
        """What a policy in this `<meta>` is to accept: only ever the engine's own style block."""
        self.edits: tuple[Edit, ...] | None = None
        """What they come to, once that was asked (`tag_edits`); a copy is asked anew."""

    def copy(self) -> "TagChanges":
        """An independent copy, to try one more change on."""
        other = TagChanges(self.element)
        other.attributes, other.added, other.removed = self.attributes, self.added, self.removed
        other.properties, other.parameters = self.properties, self.parameters
        return other

    @property
    def amendments(self) -> dict[str, Amendment]:
        """Attribute name -> how its present value is amended."""
        found: dict[str, Amendment] = {}
        if self.properties:
            found["style"] = partial(with_declarations, wanted=self.properties)
        if self.parameters:
            found["href"] = partial(with_parameters, parameters=self.parameters)
        if self.style_hashes:
            found["content"] = partial(allowing_style, hashes=self.style_hashes, nonce=None)
        return found

    @property
    def _amends(self) -> bool:
        """Whether anything is asked but whole values."""
        return bool(self.added or self.removed or self.properties or self.parameters or self.style_hashes)

    @property
    def touched(self) -> frozenset[str]:
        """The attributes that are changed in any way."""
        classes = ["class"] if self.added or self.removed else []
        return frozenset([*self.attributes, *self.amendments, *classes])

    def set(self, name: str, value: str | None) -> bool:
        """Ask for an attribute's value (None: removed); False if an accepted operation decided otherwise."""
        if name in self.attributes:
            return self.attributes[name] == value
        if self._amends and name in self.touched:
            return False
        self.edits = None
        self.attributes = {**self.attributes, name: value}
        return True

    def change_classes(self, added: list[str], removed: list[str]) -> bool:
        """Ask for class names; False if an accepted operation decided otherwise."""
        if "class" in self.attributes or _meet(self.removed, added) or _meet(self.added, removed):
            return False
        self.edits = None
        if added:
            self.added = dict.fromkeys([*self.added, *added])
        if removed:
            self.removed = dict.fromkeys([*self.removed, *removed])
        return True

    def set_properties(self, properties: Mapping[str, str]) -> bool:
        """Ask for declarations of the `style` attribute; False if an accepted operation decided otherwise."""
        if "style" in self.attributes or _differ(self.properties, properties):
            return False
        self.edits = None
        self.properties = {**self.properties, **properties}
        return True

    def set_parameters(self, parameters: Mapping[str, str]) -> bool:
        """Ask for query parameters of the link; False if an accepted operation decided otherwise."""
        if "href" in self.attributes or _differ(self.parameters, parameters):
            return False
        self.edits = None
        self.parameters = {**self.parameters, **parameters}
        return True


def _meet(present: Mapping[str, None], names: list[str]) -> bool:
    return bool(present) and not present.keys().isdisjoint(names)


def _differ(present: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether what is `present` has another value for something that is wanted."""
    return bool(present) and any(present.get(name, value) != value for name, value in wanted.items())


def tag_edits(document: Document, changes: TagChanges) -> tuple[Edit, ...] | None:
    """Edits in offsets of `document.source`; () if the tag already is so; None if it can't be done for certain."""
    if changes.edits is None:
        changes.edits = _edits_of(document, changes)
    return changes.edits


class _Edits:
    """Edits of one start tag as they are made."""

    __slots__ = ("edits", "inserted", "is_certain")

    def __init__(self) -> None:
        self.edits: list[Edit] = []
        self.inserted = ""
        """Attributes that the tag does not have."""
        self.is_certain = True
        """Whether there can be no doubt how the changed tag is read."""


def _edits_of(document: Document, changes: TagChanges) -> tuple[Edit, ...] | None:
    element, tag = changes.element, document.start_tag(changes.element)
    if tag is None:
        return None
    made = _Edits()
    amendments = changes.amendments
    if amendments and not _amend(document, element, amendments, made):
        return None
    if changes.attributes and not _set_values(document, element, changes.attributes, made):
        return None
    if changes.added or changes.removed:
        span = document.attribute(element, "class")
        if span is not None:
            _edit_classes(document, span, changes, made)
        elif "class" in element.attrs:
            return None
        elif changes.added:
            made.inserted += f' class="{escape_attribute(" ".join(changes.added))}"'
    if made.inserted:
        at = _after_name(document.source, tag[0])
        made.edits.insert(0, Edit(at, at, document.charset.encode(made.inserted)))
    if len(made.edits) > 1:
        made.edits.sort(key=lambda edit: (edit.start, edit.end))
    edits = tuple(made.edits)
    return edits if made.is_certain or _comes_out(document, tag, changes, edits) else None


def _set_values(document: Document, element: Element, values: Mapping[str, str | None], made: _Edits) -> bool:
    """Edits that set and remove attributes, and those that are new; False if one to remove came from elsewhere: a second
    `<body class=…>` adds to the first."""
    for name, value in values.items():
        span = document.attribute(element, name)
        if value is None:
            if span is None and name in element.attrs:
                return False
            made.edits += [Edit(*span, b"")] if span is not None else []
            made.is_certain &= span is None
        elif span is None:
            made.inserted += f' {name}="{escape_attribute(value)}"'
        elif element.attrs.get(name) != document.charset.window(value):
            made.edits.append(Edit(*span, document.charset.encode(f'{name}="{escape_attribute(value)}"')))
            made.is_certain &= _QUOTED.fullmatch(document.source, *span) is not None and not _NO_VALUE.search(value)
    return True


def _amend(document: Document, element: Element, amendments: Mapping[str, Amendment], made: _Edits) -> bool:
    """Edits inside values that are amended, and the attributes that are new; False if one can't be read for certain."""
    made.is_certain = False
    for name, amend in amendments.items():
        if document.attribute(element, name) is None:
            if name in element.attrs:
                return False
            made.inserted += f' {name}="{escape_attribute(spliced("", amend("") or ()))}"'
            continue
        written = written_value(document, element, name)
        splices = None if written is None else amend(written.text)
        if written is None or splices is None:
            return False
        made.edits += written.edits(document.charset, splices)
    return True


def _edit_classes(document: Document, span: tuple[int, int], changes: TagChanges, made: _Edits) -> None:
    """Names removed and added inside `class="…"`; those that stay keep their bytes."""
    source, window = document.source, document.charset.window
    plain = _QUOTED.fullmatch(source, *span)
    if plain is not None and not changes.removed:
        start, end = plain.span(plain.lastindex or 0)
        kept = _CLASS_NAME.findall(source, start, end)
        have = {unescape(name) for name in kept} if "&" in plain[0] else set(kept)
        if new := [name for name in changes.added if window(name) not in have]:
            made.edits.append(Edit(end, end, document.charset.encode((" " if kept else "") + _joined(new))))
            made.is_certain &= all(map(_PLAIN_CLASS.fullmatch, new)) and (bool(kept) or start == end)
        return
    made.is_certain = False
    opening = _VALUE.search(source, *span)
    if opening is None:
        made.edits += (
            [Edit(span[1], span[1], document.charset.encode(f'="{_joined(changes.added)}"'))] if changes.added else []
        )
        return
    quoted = bool(opening[1])
    start, end = opening.end(), span[1] - quoted
    names = list(_CLASS_NAME.finditer(source, start, end))
    removed = {window(name) for name in changes.removed}
    staying = [name for name in names if unescape(name[0]) not in removed]
    made.edits += [Edit(*gap, b"") for gap in _gaps(names, staying, start)]
    have = {unescape(name[0]) for name in staying}
    new = [name for name in changes.added if window(name) not in have]
    if new:
        text = (" " if staying else "") + _joined(new)
        if not quoted:
            made.edits.append(Edit(start, start, b'"'))
        made.edits.append(Edit(end, end, document.charset.encode(text + ("" if quoted else '"'))))


def _joined(names: Iterable[str]) -> str:
    return escape_attribute(" ".join(names))


def _gaps(names: list[re.Match[str]], kept: list[re.Match[str]], start: int) -> list[tuple[int, int]]:
    """The ranges to delete, so that exactly the kept names remain with the white space before them."""
    gaps: list[tuple[int, int]] = []
    at = start
    staying = {name.start() for name in kept}
    for name in names:
        if name.start() in staying:
            at = name.end()
        elif gaps and gaps[-1][0] == at:
            gaps[-1] = (at, name.end())
        else:
            gaps.append((at, name.end()))
    return gaps


def _after_name(source: str, start: int) -> int:
    end = _NAME_END.search(source, start + 1)
    return len(source) if end is None else end.start()


def _comes_out(document: Document, tag: tuple[int, int], changes: TagChanges, edits: tuple[Edit, ...]) -> bool:
    """Whether the changed tag, read once more, has the attributes asked for and all others as before."""
    if not edits:
        return True
    before = document.source[slice(*tag)]
    moved = tuple(Edit(edit.start - tag[0], edit.end - tag[0], edit.replacement) for edit in edits)
    was, now = _attributes(before), _attributes(splice(before.encode("latin-1"), moved).decode("latin-1"))
    if was is None or now is None:
        return False
    touched = changes.touched
    if {k: v for k, v in was.items() if k not in touched} != {k: v for k, v in now.items() if k not in touched}:
        return False
    for name, amend in changes.amendments.items():
        splices = amend(was.get(name, ""))
        if splices is None or now.get(name) != spliced(was.get(name, ""), spliced_window(document.charset, splices)):
            return False
    for name, value in changes.attributes.items():
        if (name in now) != (value is not None):
            return False
        if value is not None and value.isascii() and now[name] != value.replace("\r\n", "\n").replace("\r", "\n"):
            return False
    classes = set(now.get("class", "").split())
    ascii_added = {name for name in changes.added if name.isascii()}
    return ascii_added <= classes and not classes & changes.removed.keys()


def _attributes(tag: str) -> Mapping[str, str] | None:
    """The attributes of a start tag's source, and whether it closes itself; None if it is not exactly one start tag.

    Tags alike come in hundreds on one page, so short ones are remembered.
    """
    return _attributes_again(tag) if len(tag) <= _REMEMBERED_CHARACTERS_MAX else _attributes_read(tag)


def _attributes_read(tag: str) -> Mapping[str, str] | None:
    tokens = list(turbohtml.tokenize(tag))
    if len(tokens) != 1 or tokens[0].type is not turbohtml.TokenType.START_TAG:
        return None
    return {**dict(tokens[0].attrs or ()), "/": str(tokens[0].self_closing)}


_attributes_again = lru_cache(maxsize=1024)(_attributes_read)
