"""One page being edited: what was accepted so far, and whether one more edit fits beside it.

Counterpart: `rules.html.operations` and `rules.html.moves` ask, verb by verb; `rules.html.edits` knows what may overlap.
Never: a verb; a look at what is written.
"""

import re
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from string import ascii_letters, digits

from turbohtml import Element

from rules import model
from rules.html.document import STRUCTURE, Document
from rules.html.edits import STAYS, Edit, EditSet, Placed, Side, in_order, woven
from rules.html.frameworks import Root, roots_of
from rules.html.places import Move, Spot, Where, is_policy
from rules.html.policy import allowing_style, style_nonce
from rules.html.proof import Carried
from rules.html.tags import TagChanges, tag_edits
from rules.reasons import Reason

APPEND, END_TAG, AFTER = range(3)
"""The order of what is written at the end of one element."""

_SIDES = {
    Where.BEFORE: (Side.BEFORE, 0),
    Where.AFTER: (Side.CLOSING, AFTER),
    Where.PREPEND: (Side.PREPEND, 0),
    Where.APPEND: (Side.CLOSING, APPEND),
    Where.SLOT: (Side.BEFORE, 0),
}


_ANY_HASH = "A" * 43 + "="
"""As long as every SHA-256 in base64: what can be written can be written with any."""
_READ_ON = re.compile(rb"(?:<[A-Za-z!/?]|&#?[A-Za-z0-9]*[A-Za-z0-9#;]|\r\n)\Z")
"""What was text and becomes a tag, another character, or one line end instead of two, by the last byte here."""
_READ_ON_BYTES = 64
_READ_ON_LAST = frozenset(bytes([byte]) for byte in f"!/?#;\n{ascii_letters}{digits}".encode())
_READ_ON_BEFORE = frozenset(bytes([byte]) for byte in f"<&#\r{ascii_letters}{digits}".encode())
"""That last byte, and the one before it: edits stand between tags mostly, and then nothing has to be looked for."""
_PERMISSION = model.SetAttribute(target=model.Target(selector="meta"), name="content", value="")
"""Stands among the carried operations for a policy that was amended; its value is in the tag's changes."""


def _accepting(meta: Element, style_hash: str) -> TagChanges:
    changes = TagChanges(meta)
    changes.style_hashes = (style_hash,)
    return changes


class Workspace:
    """One page being edited: the document, the accepted edits, and the changes of start tags."""

    def __init__(self, document: Document, nonce: str | None = None) -> None:
        self.document = document
        self._nonce = nonce
        self.edits = EditSet()
        self.carried: list[Carried] = []
        """Each accepted operation with the element it changes, in the order of acceptance."""
        self.tags: dict[int, TagChanges] = {}
        self.styles: dict[tuple[str, str], str] = {}
        """Rules of the engine's own style block: (selector, property) -> value with its importance, first come first."""
        self.closings: dict[int, Placed] = {}
        """Start of an element without end tag -> the end tag it needs, since something is written behind it."""
        self.filled: set[int] = set()
        """Offsets of empty elements whose content was set."""
        self.moves: dict[int, Move] = {}
        """Start of each moved element -> where it stands, in the order of acceptance."""
        self.settled: dict[int, object] = {}
        """Start of an element -> where it was decided that it stands, moved or not."""
        self.orders: dict[int, object] = {}
        """Start of an element whose children were put in order -> the order."""
        self.turn = 0
        """Number of the operation that asks."""
        self._sequence = 0
        self._undo: list[Callable[[], object]] = []

    @cached_property
    def roots(self) -> tuple[Root, ...]:
        """What frameworks hydrate on this page; asked only where it matters."""
        return roots_of(self.document)

    def mark(self) -> tuple[int, int, int, int]:
        """A point to come back to, if a mutation turns out not to apply whole."""
        return self.edits.mark(), len(self._undo), len(self.styles), len(self.carried)

    def rollback(self, mark: tuple[int, int, int, int]) -> None:
        """Forget everything accepted since `mark`."""
        self.edits.rollback(mark[0])
        while len(self._undo) > mark[1]:
            self._undo.pop()()
        for key in [*self.styles][mark[2] :]:
            del self.styles[key]
        del self.carried[mark[3] :]

    def style(self, selector: str, declarations: Mapping[str, str]) -> Reason | None:
        """Accept one rule of the engine's own style block, or say why not: another value, or no certain place for it."""
        if not self._takes_styles:
            return Reason.AMBIGUOUS_SPAN
        if any(self.styles.get((selector, name), value) != value for name, value in declarations.items()):
            return Reason.SHADOWED
        for name, value in declarations.items():
            self.styles.setdefault((selector, name), value)
        return None

    @cached_property
    def _takes_styles(self) -> bool:
        """Whether a style block has a certain place, and every policy in `<meta>` lets it pass or can be told to."""
        head = self.document.root.select_one("head")
        if head is None or self.document.inner(head) is None:
            return False
        changes = (_accepting(meta, _ANY_HASH) for meta in self._forbidding((_ANY_HASH,)))
        return all(tag_edits(self.document, change) for change in changes)

    @cached_property
    def _policies(self) -> list[Element]:
        """The policies that the page has in `<meta>` (HTML standard: children of the head only)."""
        head = self.document.root.select_one("head")
        return [child for child in head.children if isinstance(child, Element) and is_policy(child)] if head else []

    @cached_property
    def nonce(self) -> str | None:
        """The page's nonce for styles: the one of the response's head, else one of a `<meta>`."""
        own = (style_nonce(str(meta.attrs.get("content") or "")) for meta in self._policies)
        return self._nonce or next(filter(None, own), None)

    def _forbidding(self, hashes: tuple[str, ...]) -> list[Element]:
        """The policies in `<meta>` that would block a style block with this hash and the page's nonce."""
        return [
            meta for meta in self._policies if allowing_style(str(meta.attrs.get("content") or ""), hashes, self.nonce)
        ]

    def permit(self, style_hash: str) -> None:
        """Let the page's own policies pass the engine's style block, now that its hash is known."""
        for meta in self._forbidding((style_hash,)):
            tag = self.document.start_tag(meta)
            if tag is not None:
                self.tags[tag[0]] = _accepting(meta, style_hash)
                self.carried.append(Carried(_PERMISSION, meta))

    def place(
        self, start: int, end: int, text: str, side: Side, element: Element, *, kind: int = 0, behind: object = None
    ) -> Reason | None:
        """Accept an edit in offsets of the document's source, or say why not.

        `behind`: the node right before it. If that is an element that the source leaves open, it gets its end tag.
        """
        base = self.document.base
        start, end = start + base, end + base
        closing = self._closing(behind) if isinstance(behind, Element) else ()
        if closing is None:
            return Reason.AMBIGUOUS_SPAN
        written = self.document.charset.encode(text)
        if self._joins_characters(start, end, written):
            return Reason.AMBIGUOUS_SPAN
        is_whole = bool(self.moves) and start == self._start(element)
        if not self.edits.allows(start, end, is_whole=is_whole):
            return Reason.SHADOWED
        self._sequence += 1
        order = (0, -self._sequence) if side is Side.PREPEND or kind == AFTER else (1, self._sequence)
        self.edits.add(Placed(start, side, (*self._depth(side, kind, element), *order), end, written, element))
        if closing:
            self._close(closing)
        return None

    def insert(self, spot: Spot, text: str) -> Reason | None:
        """Accept text written at a spot, or say why not."""
        side, kind = _SIDES[spot.where]
        return self.place(spot.at, spot.at, text, side, spot.element, kind=kind, behind=spot.behind)

    def _depth(self, side: Side, kind: int, element: Element) -> tuple[int, int]:
        """The first half of a rank: what ends deeper ends first."""
        return (-len(self.document.chain(element)) if side is Side.CLOSING else 0), kind

    def _start(self, element: Element) -> int | None:
        """Where an element starts in the page; None if the parser implied it."""
        tag = self.document.start_tag(element)
        return None if tag is None else tag[0] + self.document.base

    # -- moves

    def move(self, element: Element, spot: Spot, space: bytes = b"") -> Reason | None:
        """Accept that an element stands elsewhere, or say why not.

        What comes first at one spot is what was inserted there, then what was moved, each the later the nearer, or the
        other way round where the spot is in front of something. `space` is written before the element.
        """
        outer, start, base = self.document.outer(element), self._start(element), self.document.base
        if outer is None or start is None:
            return Reason.AMBIGUOUS_SPAN
        end, at = outer[1] + base, spot.at + base
        if start in self.settled:
            return None if self.settled[start] == self._place(spot) else Reason.SHADOWED
        if (reason := self._hangs_on_itself(start, spot)) is not None:
            return reason
        neighbours = (element, element.previous_sibling, spot.behind)
        closings = [self._closing(node) for node in neighbours if isinstance(node, Element)]
        if any(closing is None for closing in closings) or self._joins_characters(start, end, b""):
            return Reason.AMBIGUOUS_SPAN
        if not self.edits.allows_move(start, end) or not self.edits.allows(at, at):
            return Reason.SHADOWED
        self._sequence += 1
        side, kind = _SIDES[spot.where]
        order = (1, -self.turn, self._sequence) if spot.where.is_nearest_first else (0, self.turn, self._sequence)
        owner = self._carrier(spot)
        self.edits.add(Placed(at, side, (*self._depth(side, kind, owner), *order), at, space, owner, start))
        self.edits.move(start, end)
        self.moves[start] = Move(element, spot, space, self.turn)
        self._undo.append(partial(self.moves.pop, start))
        self.settle(element, spot)
        for closing in closings:
            self._close(closing or ())
        return None

    def _place(self, spot: Spot) -> object:
        return spot.where, self._start(spot.element)

    def settle(self, element: Element, spot: Spot) -> None:
        """Take note of where an element stands, so that no later operation moves it."""
        start = self._start(element)
        if start is not None:
            self.settled[start] = self._place(spot)
            self._undo.append(partial(self.settled.pop, start))

    def take_order(self, container: Element, order: object) -> None:
        """Take note of the order that an element's children were put in."""
        start = self._start(container)
        if start is not None:
            self.orders[start] = order
            self._undo.append(partial(self.orders.pop, start))

    def order_of(self, container: Element) -> object:
        """The order that an element's children were put in; None for none."""
        start = self._start(container)
        return None if start is None else self.orders.get(start)

    def is_free(self, element: Element) -> bool:
        """Whether no accepted operation has settled where the element stands, replaced or removed it."""
        start, outer, base = self._start(element), self.document.outer(element), self.document.base
        if start is None or outer is None:
            return start not in self.settled
        return start not in self.settled and self.edits.allows_move(start, outer[1] + base)

    def parent(self, element: Element) -> Element | None:
        """What an element stands in, once everything accepted is moved."""
        while (start := self._start(element)) is not None and (move := self.moves.get(start)) is not None:
            if move.spot.where in (Where.BEFORE, Where.AFTER):
                element = move.spot.element
            else:
                return self._carrier(move.spot)
        parent = element.parent
        return parent if isinstance(parent, Element) else None

    def parent_at(self, spot: Spot) -> Element | None:
        """What stands around a spot, once everything accepted is moved."""
        return self.parent(spot.element) if spot.where in (Where.BEFORE, Where.AFTER) else self._carrier(spot)

    def chain(self, element: Element) -> tuple[str, ...]:
        """Tag names from `html` down to the element, once everything accepted is moved."""
        if not self.moves:
            return self.document.chain(element)
        names: list[str] = []
        node: Element | None = element
        while node is not None:
            names.append(node.tag)
            node = self.parent(node)
        return tuple(reversed(names))

    def _carrier(self, spot: Spot) -> Element:
        """The element that takes a spot along when it is moved."""
        parent = spot.element.parent if spot.where is Where.SLOT else None
        return parent if isinstance(parent, Element) else spot.element

    def _hangs_on_itself(self, start: int, spot: Spot) -> Reason | None:
        """Why an element can't be moved to a spot that would go along, by itself or by way of other moves."""
        at = self._holder(self._carrier(spot), start)
        if at == start:
            return Reason.UNSAFE_TARGET
        while at != STAYS:
            at = self._holder(self._carrier(self.moves[at].spot), start)
            if at == start:
                return Reason.SHADOWED
        return None

    def _holder(self, element: object, also: int = STAYS) -> int:
        """Start of the innermost moved element that an element is or stands in; `also` counts as one."""
        if not isinstance(element, Element):
            return STAYS
        for node in (element, *element.ancestors):
            start = self._start(node) if isinstance(node, Element) else None
            if start is not None and (start in self.moves or start == also):
                return start
        return STAYS

    def _close(self, closing: tuple[tuple[int, Placed], ...]) -> None:
        for open_at, placed in closing:
            if open_at not in self.closings:
                self.closings[open_at] = placed
                self._undo.append(partial(self.closings.pop, open_at))

    def fill(self, offset: int) -> bool:
        """Take an empty element's content; False if an accepted operation has. An empty range overlaps with nothing."""
        if offset in self.filled:
            return False
        self.filled.add(offset)
        self._undo.append(partial(self.filled.discard, offset))
        return True

    def _joins_characters(self, start: int, end: int, written: bytes) -> bool:
        """Whether the page breaks off within a character right before, and what would then follow is no tag; or text would
        be read on as something else."""
        page = self.document.page
        behind = page[end : end + 1]
        follows = written[:1] or behind
        if follows in _READ_ON_LAST and _reads_on(page[max(0, start - _READ_ON_BYTES) : start], follows):
            return True
        if behind in _READ_ON_LAST and _reads_on(written[-_READ_ON_BYTES:], behind):
            return True
        if follows in (b"<", b"") or page[start - 1 : start] == b">":
            return False
        return self.document.charset.breaks_off(page[page.rfind(b">", 0, start) + 1 : start])

    def _closing(self, element: Element) -> tuple[tuple[int, Placed], ...] | None:
        """The end tag that an open element needs, with where it starts; () if it needs none, None if that is uncertain."""
        document = self.document
        if not document.has_content(element) or document.end_tag(element) is not None or element.tag in STRUCTURE:
            return ()
        tag, outer = document.start_tag(element), document.outer(element)
        if tag is None or outer is None or document.leaves_formatting_open(element):
            return None
        if element.tag == "script":
            return None  # one that the page breaks off in never runs (HTML standard, 13.2.6.4.8); an end tag would change that
        at = outer[1] + document.base
        written = document.charset.encode(f"</{element.tag}>")
        rank = self._depth(Side.CLOSING, END_TAG, element)
        return ((tag[0] + document.base, Placed(at, Side.CLOSING, rank, at, written, element)),)

    def finished(self) -> tuple[Edit, ...]:
        """All edits in the order of the page: accepted ones, end tags of elements still there, and those in start tags.

        What lies in something that is moved is in the bytes that are written where that stands then.
        """
        base = self.document.base
        placed = [*self.edits.placed]
        if self.closings:
            placed += [closing for at, closing in self.closings.items() if self.edits.allows(at + 1, at + 1)]
        for changes in self.tags.values():
            for index, edit in enumerate(tag_edits(self.document, changes) or ()):
                at = (edit.start + base, Side.RANGE, (index,), edit.end + base)
                placed.append(Placed(*at, edit.replacement, changes.element))
        if not self.moves:
            return in_order(placed)
        parts = [(self._holder(one.owner), one) for one in placed]
        moved: dict[int, int] = {}
        for start, move in self.moves.items():
            outer = self.document.outer(move.element)
            moved[start] = start if outer is None else outer[1] + base
            cut = Placed(start, Side.CUT, (), moved[start], b"")
            parts.append((self._holder(move.element.parent), cut))
        return woven(self.document.page, parts, moved)

    def change_tag(self, element: Element, change: Callable[[TagChanges], bool]) -> Reason | None:
        """Accept a change of a start tag, or say why not."""
        tag = self.document.start_tag(element)
        if tag is None:
            return Reason.AMBIGUOUS_SPAN
        current = self.tags.get(tag[0])
        changed = current.copy() if current is not None else TagChanges(element)
        inside = tag[0] + self.document.base + 1
        if not change(changed) or not self.edits.allows(inside, inside):
            return Reason.SHADOWED
        edits = tag_edits(self.document, changed)
        if edits is None:
            return Reason.AMBIGUOUS_SPAN
        if current is None and not edits:
            return Reason.NO_CHANGE
        self.tags[tag[0]] = changed
        self._undo.append(partial(_restore, self.tags, tag[0], current))
        self.edits.pin(inside)
        return None


def _reads_on(text: bytes, follows: bytes) -> bool:
    """Whether text becomes something else by the byte that follows."""
    return text[-1:] in _READ_ON_BEFORE and _READ_ON.search(text + follows) is not None


def _restore(tags: dict[int, TagChanges], at: int, before: TagChanges | None) -> None:
    """Not a closure: one that knew its workspace would make a cycle, and keep the page's tree until the next collection."""
    if before is None:
        del tags[at]
    else:
        tags[at] = before
