"""One page being edited: what was accepted so far, and whether one more edit fits beside it.

Counterpart: `rules.html.operations` asks, verb by verb; `rules.html.edits` knows what may overlap.
Never: a verb; a look at what is written.
"""

from collections.abc import Callable, Mapping
from functools import partial

from turbohtml import Element

from rules.html.document import STRUCTURE, Document, chain, open_formatting
from rules.html.edits import Edit, EditSet, Placed, Side
from rules.html.proof import Carried
from rules.html.tags import TagChanges, tag_edits
from rules.reasons import Reason

APPEND, END_TAG, AFTER = range(3)
"""The order of what is written at the end of one element."""


class Workspace:
    """One page being edited: the document, the accepted edits, and the changes of start tags."""

    def __init__(self, document: Document) -> None:
        self.document = document
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
        self._sequence = 0
        self._undo: list[Callable[[], object]] = []

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
        head = self.document.root.select_one("head")
        if head is None or self.document.inner(head) is None:
            return Reason.AMBIGUOUS_SPAN
        if any(self.styles.get((selector, name), value) != value for name, value in declarations.items()):
            return Reason.SHADOWED
        for name, value in declarations.items():
            self.styles.setdefault((selector, name), value)
        return None

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
        if not self.edits.allows(start, end):
            return Reason.SHADOWED
        self._sequence += 1
        nearest_first = side is Side.PREPEND or kind == AFTER
        sequence = -self._sequence if nearest_first else self._sequence
        depth = -len(chain(element)) if side is Side.CLOSING else 0
        self.edits.add(Placed(start, side, (depth, kind, sequence), end, self.document.charset.encode(text)))
        for open_at, placed in closing:
            if open_at not in self.closings:
                self.closings[open_at] = placed
                self._undo.append(partial(self.closings.pop, open_at))
        return None

    def fill(self, offset: int) -> bool:
        """Take an empty element's content; False if an accepted operation has. An empty range overlaps with nothing."""
        if offset in self.filled:
            return False
        self.filled.add(offset)
        self._undo.append(partial(self.filled.discard, offset))
        return True

    def _closing(self, element: Element) -> tuple[tuple[int, Placed], ...] | None:
        """The end tag that an open element needs, with where it starts; () if it needs none, None if that is uncertain."""
        document = self.document
        if not document.has_content(element) or document.end_tag(element) is not None or element.tag in STRUCTURE:
            return ()
        tag, outer = document.start_tag(element), document.outer(element)
        if tag is None or outer is None or open_formatting(element):
            return None
        at = outer[1] + document.base
        rank = (-len(chain(element)), END_TAG, 0)
        return (
            (tag[0] + document.base, Placed(at, Side.CLOSING, rank, at, document.charset.encode(f"</{element.tag}>"))),
        )

    def finished(self) -> tuple[Edit, ...]:
        """All edits in the order of the page: accepted ones, end tags of elements still there, and those in start tags."""
        base = self.document.base
        placed = [*self.edits.placed]
        placed += [closing for at, closing in self.closings.items() if self.edits.allows(at + 1, at + 1)]
        for changes in self.tags.values():
            for index, edit in enumerate(tag_edits(self.document, changes) or ()):
                placed.append(Placed(edit.start + base, Side.RANGE, (index,), edit.end + base, edit.replacement))
        return tuple(Edit(one.start, one.end, one.replacement) for one in sorted(placed))

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


def _restore(tags: dict[int, TagChanges], at: int, before: TagChanges | None) -> None:
    """Not a closure: one that knew its workspace would make a cycle, and keep the page's tree until the next collection."""
    if before is None:
        del tags[at]
    else:
        tags[at] = before
