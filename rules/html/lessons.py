"""Two pages of one address -> where they differ, and what holds for all pages that differ there: a lesson.

Counterpart: `rules.html.skeleton` says why a lesson holds, and uses it. Learning takes about three parses of the page; it
is worth that where pages keep coming.
Never: a lesson from likeness alone; what the marked page does not show is not learned.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import compress, zip_longest
from operator import ne
from typing import NamedTuple

import turbohtml
from turbohtml import Comment, Element, Node, Text

from rules import limits
from rules.group import Group
from rules.html.charset import charset_of
from rules.html.document import FORMATTING, window_of
from rules.html.edits import Edit, splice
from rules.html.inspected import attributes_inspected
from rules.html.places import is_policy
from rules.html.rewrite import PassedThrough, Rewritten
from rules.html.skeleton import INERT, NONCE, RUN, EditShape, Gap, Lesson, Skeleton
from rules.reasons import Reason

_RUNS_AND_REST = re.compile(rb"[" + INERT + rb"]+|[^" + INERT + rb"]+")
_JOINING = (b"<", b"&", b"&#", b"<!", b"<?")
"""What a run right behind it would join: a tag, a character reference, a declaration."""
_VALUES_DIFFER_FREELY = frozenset({"a"})
"""Formatting elements of which no two are ever open at once."""
_MARK_ENDS = "mL"
_FRAMEWORK_SIGNS = ("$", "[", "]")
"""In comments that mark a framework's structure."""
_IN_A_SIGN = re.compile(r"<!--[^<>]{0,8}Lm[0-9]")
"""A mark in what looks like a comment, in a value or a text: a run could make a framework's sign of it, which is looked for in
the page's bytes."""

Apply = Callable[..., Rewritten | PassedThrough]
"""`rules.html.apply_groups`, as the caller calls it."""


def gaps_between(base: bytes, other: bytes, known: Sequence[Gap] = ()) -> tuple[Gap, ...] | None:
    """Where two pages differ, whole runs in offsets of `base`, with those `known` before; None if not by inert runs only."""
    segments, others = base.split(b"<"), other.split(b"<")
    if len(segments) != len(others):
        return None
    found = {(gap.start, gap.end) for gap in known}
    at = counted = 0
    for index in compress(range(len(segments)), map(ne, segments, others)):
        at += sum(map(len, segments[counted:index])) + index - counted
        counted = index
        runs = _differing_runs(segments[index], others[index], at)
        if runs is None or len(found) + len(runs) > limits.GAPS_MAX:
            return None
        found.update(runs)
    return tuple(Gap(start, end) for start, end in sorted(found))


def _differing_runs(segment: bytes, other: bytes, at: int) -> list[tuple[int, int]] | None:
    runs = []
    for own, its in zip_longest(_RUNS_AND_REST.findall(segment), _RUNS_AND_REST.findall(other)):
        if own is None or its is None:
            return None
        if own != its:
            if not RUN.fullmatch(own) or not RUN.fullmatch(its):
                return None
            runs.append((at, at + len(own)))
        at += len(own)
    return runs


def learn(
    base: bytes, gaps: Sequence[Gap], groups: Sequence[Group], *, charset: str | None, with_nonce: bool, apply: Apply
) -> Lesson | None:
    """What holds for all pages that differ from `base` in the gaps only; None if that can't be told for certain.

    `charset` is the Content-Type's; `with_nonce`: a nonce comes with each page. `apply` is called like
    `apply_groups(page, groups, charset=, nonce=)`, for the page and for the marked one.
    """
    inspected = attributes_inspected(groups)
    found = charset_of(base, charset)
    if inspected is None or found is None or found.is_wide:
        return None
    if any(base.endswith(_JOINING, max(0, gap.start - 2), gap.start) for gap in gaps):
        return None
    marks = _marks(base, len(gaps) + 2)
    own_nonce, other_nonce = (marks[-2], marks[-1]) if with_nonce else (None, None)
    marked = splice(base, tuple(Edit(g.start, g.end, mark.encode()) for g, mark in zip(gaps, marks, strict=False)))
    named = dict(zip(marks, gaps, strict=False))
    placed = _placed(base, marked, found.mark_bytes, named, inspected, with_nonce=with_nonce)
    if placed is None:
        return None
    answer = apply(base, groups, charset=charset, nonce=own_nonce)
    shown = apply(marked, groups, charset=charset, nonce=other_nonce)
    if isinstance(answer, PassedThrough):
        empty = Lesson(placed, (), answer.outcomes, (), "", with_nonce)
        return empty if answer == shown and answer.reason is Reason.NOTHING_MATCHED else None
    if isinstance(shown, PassedThrough):
        return None
    kept = (answer.outcomes, answer.style_hashes, answer.charset)
    if kept != (shown.outcomes, shown.style_hashes, shown.charset) or answer.touched != shown.touched:
        return None
    names = {mark: number for number, mark in enumerate(marks[: len(gaps)])} | {other_nonce or "": NONCE}
    shapes = _shapes(answer, shown, placed, names)
    lesson = Lesson(placed, shapes, *kept, with_nonce, answer.touched) if shapes is not None else None
    if lesson is None:
        return None
    skeleton = Skeleton(base, lesson, charset)
    holds = skeleton.fit(base, own_nonce) == answer and skeleton.fit(marked, other_nonce) == shown
    return lesson if holds else None


def _marks(base: bytes, count: int) -> list[str]:
    """So many inert words that stand nowhere in the page, none part of another."""
    salt = 0
    while f"q{salt}{_MARK_ENDS}".encode() in base:
        salt += 1
    return [f"Lm{number}q{salt}{_MARK_ENDS}" for number in range(count)]


def _placed(
    base: bytes, marked: bytes, mark_bytes: int, gaps: Mapping[str, Gap], inspected: frozenset[str], *, with_nonce: bool
) -> tuple[Gap, ...] | None:
    """The gaps, strict where they must be; None where one is not in a value that may differ (steps 1 and 2 of the proof)."""
    tree = turbohtml.parse(window_of(marked[mark_bytes:]), scripting=True)
    if with_nonce and any(is_policy(meta) and _names_nonce(meta) for meta in tree.select("meta[http-equiv]")):
        return None  # whether it is the head's decides what is written into the policy
    strict: dict[str, bool] = {}
    for node in [*tree.descendants]:
        for place in _places(node, inspected):
            text = place.text
            for mark in [mark for mark in gaps if mark in text]:
                if mark in strict or not place.may_differ:
                    return None
                strict[mark] = place.strict
                text = text.replace(mark, base[gaps[mark].start : gaps[mark].end].decode("latin-1"))
            try:
                place.write(text)
            except ValueError:
                return None  # the parser reads names of attributes that its tree does not let one write
    if len(strict) != len(gaps) or not tree.equals(turbohtml.parse(window_of(base[mark_bytes:]), scripting=True)):
        return None
    return tuple(Gap(gap.start, gap.end, strict[mark]) for mark, gap in gaps.items())


def _names_nonce(meta: Element) -> bool:
    return "nonce-" in str(meta.attrs.get("content") or "").lower()


class _Place(NamedTuple):
    """Where a mark may have come out."""

    text: str
    write: Callable[[str], None]
    may_differ: bool
    strict: bool


def _places(node: Node, inspected: frozenset[str]) -> list[_Place]:
    """The values of a node that may hold a mark, in a tree that can be changed."""
    if isinstance(node, Text | Comment):
        if _MARK_ENDS not in node.data:
            return []
        is_comment = isinstance(node, Comment)
        is_sign = is_comment and any(sign in node.data for sign in _FRAMEWORK_SIGNS)
        in_script = isinstance(node.parent, Element) and node.parent.tag == "script"
        strict = is_comment or in_script
        may_differ = not is_sign if strict else _IN_A_SIGN.search(node.data) is None
        return [_Place(node.data, partial(setattr, node, "data"), may_differ, strict)]
    if not isinstance(node, Element):
        return []
    freely = "http-equiv" not in node.attrs and (node.tag not in FORMATTING or node.tag in _VALUES_DIFFER_FREELY)
    return [
        _Place(
            value,
            partial(node.attrs.__setitem__, name),
            freely and name.lower() not in inspected and _IN_A_SIGN.search(value) is None,
            strict=False,
        )
        for name, value in node.attrs.items()
        if isinstance(value, str) and _MARK_ENDS in value
    ]


def _shapes(
    answer: Rewritten, shown: Rewritten, gaps: Sequence[Gap], names: Mapping[str, int]
) -> tuple[EditShape, ...] | None:
    """The edits of a page with their replacements cut where the marked page's show a mark."""
    if len(answer.edits) != len(shown.edits):
        return None
    marked = b"|".join(re.escape(name.encode()) for name in names if name)
    marks = re.compile(b"(" + marked + b")") if marked else None
    shapes = []
    for edit, other in zip(answer.edits, shown.edits, strict=True):
        if any(gap.start < at < gap.end for gap in gaps for at in (edit.start, edit.end)):
            return None
        pieces = marks.split(other.replacement) if marks is not None else [other.replacement]
        parts = [names[piece.decode()] if number % 2 else piece for number, piece in enumerate(pieces)]
        shapes.append(EditShape(edit.start, edit.end, tuple(part for part in parts if part != b"")))
    return tuple(shapes)
