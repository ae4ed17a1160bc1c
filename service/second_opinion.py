"""A second opinion on a rewritten page: did the intended elements change, and nothing else?

By an implementation that has nothing to do with the rewriter's: selectolax (Lexbor) parses the page as it came, finds the
targets by its own selectors, each operation is carried out on that tree as a browser's DOM would, and what comes out must
be the tree that selectolax makes of the rewritten page.

What it would condemn is appealed: where the two parsers read this very page otherwise, or take a selector that is no plain
one otherwise, a difference says nothing about the rewriter, and there is no opinion. Bounded first: selectolax takes time
in the square of nesting and of attributes, so a parser that does not (turbohtml) takes the measure.
Counterparts: `service.opinions` has the words, `service.dom_verbs` the verbs. A pure function, and yet never called where
visitors are served: a crash of selectolax ends the process.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import turbohtml

from rules.group import Group
from rules.html import PassedThrough, Rewritten, Touched, apply_groups
from rules.html.charset import Charset, charset_of
from rules.model import Operation
from rules.operations import targets_of
from service.dom_verbs import OWN_MARK, VERBS, UnknownVerbError, Work, carry_out, name_of
from service.opinions import PAGE_BYTES_MAX, Case, Doubt, Judged, Opinion, Verdict
from service.page_policies import expect_permission, nonces
from service.page_trees import Branch, Leaf, SelectolaxPage, SelectorError, by_turbohtml, first_difference

TAGS_MAX = 50_000
"""`<` in a page: a node costs some 5 µs here, and the largest of the real pages has 20,000."""
DEPTH_MAX = 400
"""Elements in each other: real pages have some dozens. selectolax takes 2.5 s for 40,000; turbohtml, as browsers do, nests
no deeper than about 512, whatever the source has."""
ATTRIBUTES_MAX = 1_000
"""Of one element: selectolax takes 0.7 s for 20,000."""

_PLAIN_SELECTOR = re.compile(
    r"""(?:[\w*#.>+~,\s-]|[^\x00-\x7f]|\[[\s]*[\w-]+[\s]*(?:[~|^$*]?=[\s]*(?:[\w-]+|"[^"\\]*"|'[^'\\]*')[\s]*)?\])+"""
)
"""Names, classes, ids, attributes and combinators: what has one meaning in every implementation."""


Apply = Callable[..., Rewritten | PassedThrough]
"""`rules.html.apply_groups`, or what a test runs in its place."""


class _UndecidedError(Exception):
    """There can be no opinion."""

    def __init__(self, doubt: Doubt, detail: str = "") -> None:
        super().__init__(detail)
        self.doubt = doubt
        self.detail = detail


class _Read(NamedTuple):
    """A page as text, and as the measuring parser read it."""

    text: str
    measured: turbohtml.Document


class _Intended(NamedTuple):
    """An operation that was accepted, what is said of it, and the elements that selectolax finds for it."""

    operation: Operation
    touched: Touched
    elements: list[Branch]

    @property
    def changed(self) -> list[Branch]:
        left = set(self.touched.left)
        return [element for at, element in enumerate(self.elements) if at not in left]


def judge(case: Case) -> Opinion:
    """What selectolax makes of a rewritten page."""
    try:
        return _judged(case)
    except _UndecidedError as undecided:
        return Opinion(Verdict.NO_OPINION, undecided.doubt, undecided.detail)


def judged(case: Case) -> Judged:
    """The opinion with who is to blame: what a process that judges answers. A bug of the judge is no opinion."""
    try:
        opinion = judge(case)
        return Judged(opinion, blamed(case) if opinion.verdict is Verdict.DIFFERS else ())
    except MemoryError:
        raise  # the process has taken what it may, and is to be replaced
    except Exception as error:  # noqa: BLE001 - a mutation is not condemned because its judge is broken
        return Judged(Opinion(Verdict.NO_OPINION, Doubt.FAILED, f"{type(error).__name__}: {error}"[:300]))


def blamed(case: Case, apply: Apply = apply_groups) -> tuple[str, ...]:
    """Of a case that differs, the mutations that differ on their own; all that were applied if none does."""
    applied = tuple(dict.fromkeys(one.mutation_id for one in case.touched))
    if len(applied) < 2:
        return applied
    candidates = [group for group in case.groups if group.mutation_id in applied]
    return tuple(group.mutation_id for group in candidates if _differs(case, group, apply)) or applied


def _differs(case: Case, group: Group, apply: Apply) -> bool:
    charset = None if case.charset == "unknown" else case.charset
    alone = apply(case.page, (group,), charset=charset, nonce=case.nonce)
    if not isinstance(alone, Rewritten):
        return False
    return judge(Case.of(case.page, alone, (group,), nonce=case.nonce)).verdict is Verdict.DIFFERS


def _judged(case: Case) -> Opinion:
    operations = _accepted(case)
    charset = _charset_of(case)
    before, after = _read(case.page, charset), _read(case.rewritten, charset)
    page, found = SelectolaxPage(before.text), SelectolaxPage(after.text).root
    intended = [_Intended(operation, touched, _targets(page, operation)) for operation, touched in operations]
    ours = [one for one in intended if len(one.elements) != one.touched.matched]
    if ours:
        one = ours[0]
        _appeal_selector(before, intended)
        detail = f"{one.operation.target.selector}: expected {len(one.elements)} elements, found {one.touched.matched}"
        return Opinion(Verdict.DIFFERS, detail=detail[:300])
    work = Work(page)
    try:
        carry_out(work, [(one.operation, element) for one in intended for element in one.changed])
    except UnknownVerbError as error:
        raise _UndecidedError(Doubt.VERB, str(error)) from error
    except SelectorError as error:
        raise _UndecidedError(Doubt.SELECTOR, str(error)) from error
    except ValueError as error:
        _appeal(before, after, intended)
        return Opinion(Verdict.DIFFERS, detail=f"two operations that can't both be: {error}"[:300])
    detail = _own_blocks_differ(page.root, found, work, case.nonce)
    if not detail:
        difference = first_difference(page.root, found, tidy_body=work.appends_to_body)
        detail = "" if difference is None else str(difference)
    if not detail:
        return Opinion(Verdict.AGREES)
    _appeal(before, after, intended)
    return Opinion(Verdict.DIFFERS, detail=detail[:300])


def _accepted(case: Case) -> list[tuple[Operation, Touched]]:
    """The operations that are said to have changed something; a verb without a function here ends it."""
    groups: Mapping[str, Group] = {group.mutation_id: group for group in case.groups}
    operations = [(one.instead or groups[one.mutation_id].operations[one.operation], one) for one in case.touched]
    for operation, _ in operations:
        if type(operation) not in VERBS:
            raise _UndecidedError(Doubt.VERB, name_of(operation))
    return operations


# -- reading, within bounds


def _charset_of(case: Case) -> Charset:
    """The page's, for both readings: an edit may bring a declaration into sight, or out of it."""
    found = charset_of(case.page, None if case.charset == "unknown" else case.charset)
    if found is None:
        raise _UndecidedError(Doubt.CHARSET, case.charset)
    return found


def _read(page: bytes, charset: Charset) -> _Read:
    if len(page) > PAGE_BYTES_MAX or page.count(b"<") > TAGS_MAX:
        raise _UndecidedError(Doubt.TOO_LARGE, f"{len(page):,} bytes, {page.count(b'<'):,} tags")
    text = _text(page, charset)
    measured = turbohtml.parse(text, scripting=True)
    _measure(measured)
    return _Read(text, measured)


def _text(page: bytes, charset: Charset) -> str:
    """The page in characters, without its byte order mark, with line ends as parsers read them.

    Where the page does not say its encoding, each byte is one character: nothing but ASCII was written into it.
    """
    codec = "latin-1" if charset.codec == "ascii" else charset.codec
    text = page[charset.mark_bytes :].decode(codec, "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _measure(document: turbohtml.Document) -> None:
    waiting: list[tuple[turbohtml.Node, int]] = [(node, 1) for node in document.children]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, turbohtml.Element):
            if depth > DEPTH_MAX:
                raise _UndecidedError(Doubt.TOO_DEEP, f"more than {DEPTH_MAX} elements in each other")
            if len(node.attrs) > ATTRIBUTES_MAX:
                raise _UndecidedError(Doubt.ATTRIBUTES, f"{len(node.attrs):,} attributes on one element")
        if isinstance(node, turbohtml.Element | turbohtml.DocumentFragment):
            waiting.extend((child, depth + 1) for child in node.children)


def _targets(page: SelectolaxPage, operation: Operation) -> list[Branch]:
    try:
        return page.select(operation.target.selector or "")
    except SelectorError as error:
        raise _UndecidedError(Doubt.SELECTOR, f"selectolax does not take {operation.target.selector}"[:300]) from error


# -- what the engine writes on its own account


def _own_blocks(page: Branch) -> list[Branch]:
    head = page.first("head")
    inside = head.children if head is not None else []
    return [
        node
        for node in inside
        if isinstance(node, Branch) and node.tag in ("style", "script") and OWN_MARK in node.attributes
    ]


def _own_blocks_differ(expected: Branch, found: Branch, work: Work, nonce: str | None) -> str:
    """Take the engine's blocks out of the rewritten page; what is wrong with them, empty for nothing.

    They are the last ones; those that the page had, of an engine before this one, or that a theme writes, stay. A script or
    an island of data is expected and not judged. A policy in the page may have been told of the style block.
    """
    new = _own_blocks(found)[len(_own_blocks(expected)) :]
    styles = [block for block in new if block.tag == "style"]
    for block in new:
        if block.parent is not None:
            del block.parent.children[block.parent.index(block)]
    sheet = _style_sheet(work.styles)
    written = "".join(leaf.data for block in styles for leaf in block.children if isinstance(leaf, Leaf))
    if written != sheet:
        return f"the engine's style: expected {sheet[:120]!r}, found {written[:120]!r}"
    if any(block.attributes.get("nonce") not in (nonce, *nonces(expected)) for block in styles):
        return "the engine's style has not the page's nonce"
    if styles:
        expect_permission(expected, found, sheet)
    return ""


def _style_sheet(styles: Mapping[str, Mapping[str, str]]) -> str:
    sheet = "".join(
        f"{selector}{{{';'.join(f'{name}:{value}' for name, value in declared.items())}}}"
        for selector, declared in styles.items()
    )
    return "".join(one if one.isascii() else f"\\{ord(one):x} " for one in sheet)


# -- appeal


def _appeal(before: _Read, after: _Read, intended: Sequence[_Intended]) -> None:
    """Raise where the two parsers differ by themselves, so that a difference says nothing."""
    for read, when in ((before, "as it came"), (after, "as it is written")):
        difference = first_difference(SelectolaxPage(read.text).root, by_turbohtml(read.measured))
        if difference is not None:
            raise _UndecidedError(Doubt.READ_OTHERWISE, f"{when}: {difference.where}"[:300])
    _appeal_selector(before, intended)


def _appeal_selector(before: _Read, intended: Sequence[_Intended]) -> None:
    """Raise where the page or a selector that is no plain one is taken otherwise; a plain one has one meaning."""
    pristine = SelectolaxPage(before.text)
    if first_difference(pristine.root, by_turbohtml(before.measured)) is not None:
        raise _UndecidedError(Doubt.READ_OTHERWISE, "as it came")
    targets = [target for one in intended for _, target in targets_of(one.operation)]
    for selector in dict.fromkeys(target.selector or "" for target in targets):
        if _PLAIN_SELECTOR.fullmatch(selector):
            continue
        theirs = [_path_of(element) for element in before.measured.select(selector) if not _in_template(element)]
        if theirs != [element.path() for element in pristine.select(selector)]:
            raise _UndecidedError(Doubt.SELECTOR, f"the two take {selector} otherwise"[:300])


def _in_template(element: turbohtml.Element) -> bool:
    return any(isinstance(ancestor, turbohtml.DocumentFragment) for ancestor in element.ancestors)


def _path_of(element: turbohtml.Element) -> tuple[int, ...]:
    """What `Branch.path` says, of turbohtml's element."""
    line = [element, *(one for one in element.ancestors if isinstance(one, turbohtml.Element))]
    return tuple(reversed([_elements_before(one) for one in line]))


def _elements_before(node: turbohtml.Node) -> int:
    count, sibling = 0, node.previous_sibling
    while sibling is not None:
        count += isinstance(sibling, turbohtml.Element)
        sibling = sibling.previous_sibling
    return count
