"""What the pages of one address have in common, so that a page that differs by a token need not be parsed again.

A *skeleton* is a page with *gaps*: runs of inert bytes (letters, digits and a few signs) that differ from response to
response: a token, a nonce, a time. A page fits if it has the skeleton's bytes between the gaps, and inert runs in them.
Then its edits are the known ones, moved by as much as the gaps before them grew.

Why that is the page that parsing would give. Let P be the page that was learned from, and Q one that fits.
1. *The same tokens.* When a skeleton is learned, each gap of P is filled with a mark that stands nowhere else, and the
   marked page is parsed: each mark must come out once, in a text, an attribute's value or a comment, and with P's own
   values in place of the marks the tree must be P's. So the tokenizer was in one of those states at each gap. In these no
   inert byte means anything to it (HTML standard, 13.2.5): not `<`, `&`, a quote, white space or NUL; `-` counts only
   in comments and scripts, at the ends of a run, and is refused there. What a run could join to the left (`<`, `&`, `&#`,
   `<!`, `<?`) is refused when learned. A gap is a whole run, never empty: it ends where it ended.
2. *The same tree, but for the values.* Tree construction (13.2.6) looks at a text's white space: an inert run has none
   and is not empty. It looks at the values of the attributes in `inspected.ALWAYS_INSPECTED`, and compares those of
   formatting elements three of which are open at once (`a` never is): gaps there are refused. At nothing in comments.
3. *The same edits, moved.* Operations look at the tree and at attribute values that `inspected` names, where gaps are
   refused; at bytes only for what no inert run can form, since it begins with `<` or is white space. What a replacement
   copies from the page shows as a mark in the replacement of the marked page, and is filled in. So is the nonce.
   Bytes that break off within a character are refused in gaps, since operations ask for those before they write text;
   so is what frameworks give themselves away by (`frameworks.INERT_SIGN`), since that decides how children are put in order.
4. *The same charset*, which is asked anew where a gap stands among the bytes that can declare one.

Counterpart: `rules.html.lessons` learns them, `sidecar.rewriting.skeletons` keeps them. Never: a page that fits by likeness; one byte off, and it is parsed.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from rules import limits
from rules.html.charset import PRESCAN_BYTES, charset_of
from rules.html.edits import Edit, splice
from rules.html.frameworks import INERT_SIGN
from rules.html.rewrite import PassedThrough, Rewritten, Touched
from rules.reasons import Outcome, Reason

INERT = rb"A-Za-z0-9_.,:+/%@*~\x80-\xff-"
"""The bytes of a gap, as a class of regular expressions has them."""
RUN = re.compile(rb"[" + INERT + rb"]+")
NONCE = -1
"""Stands for the nonce among the parts of a replacement."""
_SAFE_NONCE = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_DASH = ord("-")


class Gap(Struct, frozen=True, order=True):
    """A run of inert bytes, `base[start:end]` in the page that was learned from."""

    start: int
    end: int
    strict: bool = False
    """In a comment or a script: no `-` at its ends."""


class EditShape(Struct, frozen=True):
    """An edit in the page learned from; `parts` is its replacement: bytes, gaps by their number, or NONCE."""

    start: int
    end: int
    parts: tuple[bytes | int, ...]


class Lesson(Struct, frozen=True):
    """What was learned of one page: where it may differ, and what becomes of it."""

    gaps: tuple[Gap, ...]
    shapes: tuple[EditShape, ...]
    outcomes: tuple[Outcome, ...]
    style_hashes: tuple[str, ...]
    charset: str
    """WHATWG name of the page's encoding; empty where nothing matched."""
    with_nonce: bool
    touched: tuple[Touched, ...] = ()

    @property
    def bytes(self) -> int:
        """What is written, together: it may be more than the page."""
        return sum(len(part) for shape in self.shapes for part in shape.parts if isinstance(part, bytes))


class Skeleton:
    """A lesson ready for use, with the page that it was learned from; `charset` is the Content-Type's."""

    def __init__(self, base: bytes, lesson: Lesson, charset: str | None) -> None:
        self.lesson = lesson
        ends = [0, *(at for gap in lesson.gaps for at in (gap.start, gap.end)), len(base)]
        self._pieces = tuple(base[start:end] for start, end in list(pairwise(ends))[::2])
        self._values = tuple(base[gap.start : gap.end] for gap in lesson.gaps)
        self._gaps_before = tuple(
            (_ended_by(shape.start, lesson.gaps), _ended_by(shape.end, lesson.gaps)) for shape in lesson.shapes
        )
        may_declare = bool(lesson.gaps) and lesson.gaps[0].start < PRESCAN_BYTES
        self._declared = charset
        self._own_charset = charset_of(base, charset)
        self._charset = self._own_charset if may_declare else None

    @property
    def base(self) -> bytes:
        """The page that was learned from."""
        filled = zip(self._pieces, (*self._values, b""), strict=True)
        return b"".join(piece for pair in filled for piece in pair)

    def fit(self, page: bytes, nonce: str | None) -> Rewritten | PassedThrough | None:
        """What `apply_groups` would make of the page; None if it has to be asked."""
        values = self._values_in(page)
        if values is None or (nonce is not None) is not self.lesson.with_nonce:
            return None
        if nonce is not None and not _SAFE_NONCE.fullmatch(nonce):
            return None
        if self._charset is not None and charset_of(page, self._declared) != self._charset:
            return None
        if not self.lesson.charset:
            return PassedThrough(reason=Reason.NOTHING_MATCHED, outcomes=self.lesson.outcomes)
        edits = self._edits(values, nonce)
        return Rewritten(
            page=splice(page, edits),
            outcomes=self.lesson.outcomes,
            edits=edits,
            style_hashes=self.lesson.style_hashes,
            charset=self.lesson.charset,
            touched=self.lesson.touched,
        )

    def _values_in(self, page: bytes) -> list[bytes] | None:
        """What the page has in the gaps; None if it does not fit."""
        values, at = [], 0
        for piece, gap in zip(self._pieces, self.lesson.gaps, strict=False):
            run = RUN.match(page, at + len(piece)) if page.startswith(piece, at) else None
            if run is None or run.end() - run.start() > limits.GAP_BYTES_MAX:
                return None
            value = run[0]
            if gap.strict and (value[0] == _DASH or value[-1] == _DASH):
                return None
            if INERT_SIGN.search(value) or (self._own_charset is not None and self._own_charset.breaks_off(value)):
                return None
            values.append(value)
            at = run.end()
        last = self._pieces[-1]
        return values if len(page) - at == len(last) and page.endswith(last) else None

    def _edits(self, values: Sequence[bytes], nonce: str | None) -> tuple[Edit, ...]:
        grown = [0]
        for value, own in zip(values, self._values, strict=True):
            grown.append(grown[-1] + len(value) - len(own))
        filling = [*values, (nonce or "").encode()]  # NONCE is the last one's number
        edits = []
        for shape, (before_start, before_end) in zip(self.lesson.shapes, self._gaps_before, strict=True):
            parts = shape.parts
            written = b"".join(filling[part] if isinstance(part, int) else part for part in parts)
            edits.append(Edit(shape.start + grown[before_start], shape.end + grown[before_end], written))
        return tuple(edits)


def _ended_by(at: int, gaps: Sequence[Gap]) -> int:
    """How many gaps end at or before an offset."""
    return sum(gap.end <= at for gap in gaps)
