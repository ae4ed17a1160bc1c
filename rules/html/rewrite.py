"""Groups of operations on one page: all matched, each accepted or refused with a reason, spliced at once.

Counterpart: `rules.decision` makes the groups; `sidecar.rewriting.rewriting` adds budget, memo and deadline.
Never: an exception for any bytes; a page that can't be edited comes back as PassedThrough.
"""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec
from msgspec import Struct
from turbohtml import Element

from rules import limits, model
from rules.group import Group
from rules.html import island, proof
from rules.html.by_style import style_sheet, suited
from rules.html.charset import Charset, charset_of
from rules.html.checks import check_operation
from rules.html.content import escape_attribute
from rules.html.document import Document
from rules.html.edits import Edit, Side, splice
from rules.html.island import Script
from rules.html.labels import as_carried_out
from rules.html.operations import perform
from rules.html.places import is_policy
from rules.html.proof import Carried
from rules.html.reach import needs_proof
from rules.html.script_policy import Verdict, script_nonce, verdict
from rules.html.slots import prepared
from rules.html.workspace import Workspace
from rules.model import Content, Delivery, Operation, Target
from rules.operations import targets_of
from rules.reasons import Outcome, Reason
from rules.watch import EVERYBODYS, NOBODYS, Watch

_ASKED_MAX = 20
"""Groups of higher precedence that are asked, one by one, whether it is they that shadow an operation."""


class Touched(Struct, frozen=True, array_like=True):
    """What an operation did: of the `matched` elements all were changed but those `left`, numbered in tree order.

    For a judge who carries the operations out again, by another parser and with selectors of its own.
    """

    mutation_id: str
    operation: int
    """Its place in the group, from 0."""
    matched: int
    left: tuple[int, ...] = ()
    instead: Operation | None = None
    """What was carried out in its place on this page: with labels, or by style; None for the operation itself."""


class Rewritten(Struct, frozen=True, kw_only=True):
    """A changed page: `page` is the original with `edits` spliced in, every other byte the origin's."""

    page: bytes
    outcomes: tuple[Outcome, ...]
    """One for each group, in the order given."""
    edits: tuple[Edit, ...]
    style_hashes: tuple[str, ...]
    """Base64 SHA-256 of the style blocks that the engine wrote itself, for a Content-Security-Policy."""
    charset: str
    """WHATWG name of the page's encoding."""
    touched: tuple[Touched, ...] = ()
    """For each operation that changed something, in the order in which they were accepted."""
    calls_script: bool = False
    """The page calls the browser script, which a Content-Security-Policy must let in."""


class PassedThrough(Struct, frozen=True, kw_only=True):
    """The page stays as it came, and why."""

    reason: Reason
    outcomes: tuple[Outcome, ...] = ()
    detail: str = ""


def rewrite(page: bytes, operations: Sequence[Operation], *, charset: str | None = None) -> Rewritten | PassedThrough:
    """Carry out operations one after another; raises RulesError for one that can't be carried out on any page.

    There is no visit here: placeholders become their fallbacks. And no modules: components are unknown.
    """
    groups = []
    for index, written in enumerate(operations):
        operation = prepared(written, f"$[{index}]").operation
        check_operation(operation, f"$[{index}]")
        groups.append(Group(str(index), (operation,)))
    return apply_groups(page, groups, charset=charset)


def apply_groups(
    page: bytes,
    groups: Sequence[Group],
    *,
    charset: str | None,
    nonce: str | None = None,
    script: Script | None = None,
    page_bytes_max: int = limits.PAGE_BYTES_MAX,
    prove_all: bool = False,
    watch: Watch | None = None,
) -> Rewritten | PassedThrough:
    """Carry out groups, highest precedence first. `charset` is the Content-Type's, `nonce` the page's own for styles.

    `script` is the browser script that `guarded` and `client` groups are handed to; None where it can't come along.
    `prove_all`: prove also what provably stays in its place; slower, and never another page.
    `watch` hears whose work begins, so that time and crashes find their mutation.
    """
    if len(page) > page_bytes_max:
        return PassedThrough(reason=Reason.TOO_LARGE, detail=f"{len(page):,} bytes")
    found = charset_of(page, charset)
    if found is None:
        return PassedThrough(reason=Reason.CHARSET, detail=charset or "")
    manner = _Manner(nonce, script, prove_all, watch)
    if found.is_wide:
        return _transcoded(page, groups, found, manner)
    return _changed(page, groups, found, manner)


class _Manner(NamedTuple):
    nonce: str | None
    script: Script | None
    prove_all: bool
    watch: Watch | None


def _changed(page: bytes, groups: Sequence[Group], charset: Charset, manner: _Manner) -> Rewritten | PassedThrough:
    if _may_have_too_many_tags(page) and (tags := page.count(b"<")) > limits.TAGS_MAX:
        return PassedThrough(reason=Reason.TOO_LARGE, detail=f"{tags:,} tags")
    result = _attempt(page, groups, charset, manner)
    return _proven_part(page, groups, charset, manner, result) if isinstance(result, _Unproven) else result


def _may_have_too_many_tags(page: bytes) -> bool:
    """A no is certain, and cheap for most pages: what is not looked at has at most a tag for each byte.

    Signs are taken out of what is looked at, up to one too many: that leaps from sign to sign, where counting takes each byte
    in turn and three times as long.
    """
    beyond = len(page) - limits.TAGS_MAX
    if beyond <= 0:
        return False
    part = page[: beyond + beyond // 8]
    most = len(part) - beyond
    return len(part) - len(part.replace(b"<", b"", most + 1)) > most


class _Unproven(NamedTuple):
    """No proof; these of the groups that were tried are not shown to stay in their place."""

    suspects: frozenset[int]


def _attempt(
    page: bytes, groups: Sequence[Group], charset: Charset, manner: _Manner
) -> Rewritten | PassedThrough | _Unproven:
    """All groups on a fresh parse of the page."""
    watch = manner.watch
    if watch is not None:
        watch(NOBODYS)
    work = Workspace(Document(page, charset), manner.nonce)
    if work.document.is_too_deep:
        return PassedThrough(reason=Reason.TOO_LARGE, detail=f"elements more than {limits.DEPTH_MAX} deep")
    done = [as_carried_out(_suited(work, group, watch)) for group in groups]
    outcomes, handed = _carry_out(work, done, watch)
    if watch is not None:
        watch(EVERYBODYS)
    hashes = _write_styles(work)
    delivered = False
    if handed:
        delivered = _hand_over(work, handed, manner.script)
        outcomes = tuple([_told(outcome, delivered) for outcome in outcomes])
    edits = work.finished()
    if not edits:
        return PassedThrough(reason=Reason.NOTHING_MATCHED, outcomes=outcomes)
    changed = splice(page, edits)
    needed = manner.prove_all or needs_proof(work.document, work.carried)
    if needed:
        suspects = _suspects(work, done) if len(done) > 1 else frozenset[int]()
        if not proof.holds(work.document, work.carried, work.tags, changed, [*work.moves.values()]):
            return _Unproven(suspects)
    return Rewritten(
        page=changed,
        outcomes=outcomes,
        edits=edits,
        style_hashes=hashes,
        charset=charset.name,
        touched=_touched(work, groups, done),
        calls_script=delivered,
    )


def _touched(work: Workspace, groups: Sequence[Group], done: Sequence[Group]) -> tuple[Touched, ...]:
    """Of what was accepted, which elements it changed; each selector was evaluated before, so nothing is looked for."""
    changed: dict[int, set[int]] = {}
    for operation, element in work.carried:
        if (those := changed.get(id(operation))) is None:
            those = changed[id(operation)] = set()
        those.add(id(element))
    found = []
    for group, carried in zip(groups, done, strict=True):
        for index, operation in enumerate(carried.operations):
            if (those := changed.get(id(operation))) is not None:
                elements = work.document.select(operation.target.selector or "")
                left: tuple[int, ...] = ()
                if len(those) < len(elements):  # else it changed all of them
                    left = tuple([at for at, element in enumerate(elements) if id(element) not in those])
                instead = None if operation is group.operations[index] else operation
                found.append(Touched(group.mutation_id, index, len(elements), left, instead))
    return tuple(found)


def _suspects(work: Workspace, groups: Sequence[Group]) -> frozenset[int]:
    """The groups of which some edit is not shown to stay in its place; all, if it is one of the engine's own."""
    group_of = {id(operation): at for at, group in enumerate(groups) for operation in group.operations}
    carried: dict[int | None, list[Carried]] = {}
    for one in work.carried:
        carried.setdefault(group_of.get(id(one.operation)), []).append(one)
    found = {at for at, some in carried.items() if needs_proof(work.document, some)}
    return frozenset(range(len(groups)) if None in found else (at for at in found if at is not None))


def _proven_part(
    page: bytes, groups: Sequence[Group], charset: Charset, manner: _Manner, failed: _Unproven
) -> Rewritten | PassedThrough:
    """The groups that have a proof together: all that need none, at once, and of the others what is found by halves."""
    taken: list[int] = []
    best: Rewritten | PassedThrough = PassedThrough(reason=Reason.NOTHING_MATCHED)
    suspects = sorted(failed.suspects)
    safe = [at for at in range(len(groups)) if at not in failed.suspects]
    parts = [safe, *_halves(suspects)] if len(suspects) > 1 else [safe]
    waiting, attempts = [some for some in parts if 0 < len(some) < len(groups)], 0
    most = 1 + min(limits.PROOF_ATTEMPTS_MAX, limits.PROOF_TAGS_MAX // (page.count(b"<") + 1))
    while waiting and attempts < most:
        some = waiting.pop(0)
        attempts += 1
        result = _attempt(page, [groups[i] for i in sorted([*taken, *some])], charset, manner)
        if not isinstance(result, _Unproven):
            taken, best = sorted([*taken, *some]), result
        elif len(some) > 1:
            waiting[:0] = _halves(some)
    told = dict(zip(taken, best.outcomes, strict=False))
    refused = "the parser would change other parts of the page too"
    outcomes = tuple(
        told.get(i, Outcome(group.mutation_id, Reason.AMBIGUOUS_SPAN, refused)) for i, group in enumerate(groups)
    )
    return msgspec.structs.replace(best, outcomes=outcomes)


def _halves(indices: list[int]) -> list[list[int]]:
    middle = len(indices) // 2
    return [indices[:middle], indices[middle:]]


def _carry_out(
    work: Workspace, groups: Sequence[Group], watch: Watch | None
) -> tuple[tuple[Outcome, ...], list[Group]]:
    """What became of each group, and what the browser script is to do: of a guarded group what was done here."""
    outcomes: list[Outcome] = []
    handed: list[Group] = []
    applied: list[Group] = []
    for group in groups:
        if group.delivery is Delivery.CLIENT:
            outcomes.append(Outcome(group.mutation_id, Reason.DELIVERED))
            handed.append(group)
            continue
        if watch is not None:
            watch(group.mutation_id)
        carried = len(work.carried)
        outcomes.append(_group(work, group, applied))
        if len(work.carried) > carried or outcomes[-1].reason is Reason.APPLIED:
            applied.append(group)
        if group.delivery is Delivery.GUARDED:
            accepted = {id(one.operation) for one in work.carried[carried:]}
            kept = tuple(operation for operation in group.operations if id(operation) in accepted)
            handed += [msgspec.structs.replace(group, operations=kept)] if kept else []
    return tuple(outcomes), handed


def _suited(work: Workspace, group: Group, watch: Watch | None) -> Group:
    """The group as this page takes it: what a framework hydrates is not put into another order, but shown in one."""
    if model.ReorderChildren not in map(type, group.operations):
        return group
    if watch is not None:
        watch(group.mutation_id)
    operations = tuple(suited(work.document, work.roots, operation) for operation in group.operations)
    return msgspec.structs.replace(group, operations=operations)


def _told(outcome: Outcome, delivered: bool) -> Outcome:
    if outcome.reason is Reason.DELIVERED and not delivered:
        return Outcome(outcome.mutation_id, Reason.NOT_DELIVERED)
    return outcome


def _group(work: Workspace, group: Group, before: Sequence[Group]) -> Outcome:
    """Carry out one group; `before` are those that changed the page already."""
    mark, first_refusal, applied = work.mark(), None, 0
    for index, operation in enumerate(group.operations):
        refused, count = _operation(work, operation)
        applied += count
        if refused is not None:
            detail = f"operation {index + 1}: {_named(operation)}"
            if refused.element is not None:
                own = msgspec.structs.replace(group, operations=group.operations[:index])
                candidates = [*before[:_ASKED_MAX], own]
                if before or count:
                    detail += _shadowed_by(work, candidates, operation, refused.element)
                else:  # all that was accepted is its own
                    detail += f", shadowed by {group.mutation_id}"
            refusal = Outcome(group.mutation_id, refused.reason, detail)
            if any(target.required for _, target in targets_of(operation)):
                work.rollback(mark)
                return refusal
            first_refusal = first_refusal or refusal
    if applied:
        detail = f"{applied} element{'s' if applied != 1 else ''}"
        if first_refusal is not None:
            detail += f", but not {first_refusal.detail} ({first_refusal.reason.value})"
        return Outcome(group.mutation_id, Reason.APPLIED, detail)
    return first_refusal or Outcome(group.mutation_id, Reason.NO_CHANGE)


def _shadowed_by(work: Workspace, before: Sequence[Group], operation: Operation, element: Element) -> str:
    """The first of these groups that is enough, alone on the page, to refuse the operation there."""
    for group in before:
        alone = Workspace(work.document, work.nonce)
        _group(alone, group, ())
        if perform(alone, operation, element) is Reason.SHADOWED:
            return f", shadowed by {group.mutation_id}"
    return ""


def _named(operation: Operation) -> str:
    """The selectors by which an author knows an operation."""
    anchor = getattr(operation, "anchor", None)
    own = operation.target.selector or ""
    return f"{own} to {anchor.selector}" if isinstance(anchor, Target) else own


class _Refused(NamedTuple):
    """Why an operation did not apply, to the element if it is shadowed there."""

    reason: Reason
    element: Element | None = None


def _operation(work: Workspace, operation: Operation) -> tuple[_Refused | None, int]:
    """Why the operation did not apply (to some element), and how many elements it changed."""
    target = operation.target
    elements: list[Element] = work.document.select(target.selector or "")
    if not elements:
        return _Refused(Reason.TARGET_NOT_FOUND), 0
    if len(elements) > (target.max_matches or limits.MATCHES_MAX):
        return _Refused(Reason.TOO_MANY_MATCHES), 0
    refused, changed = None, 0
    work.turn += 1
    for element in elements:
        reason = perform(work, operation, element)
        if reason is None:
            changed += 1
        elif refused is None or refused.reason is Reason.NO_CHANGE:
            refused = _Refused(reason, element if reason is Reason.SHADOWED else None)
    if refused is not None and refused.reason is Reason.NO_CHANGE and (changed or target.required):
        refused = None
    return refused, changed


def _write_styles(work: Workspace) -> tuple[str, ...]:
    """One style block at the end of `<head>` for all that operations do by style; its hash."""
    if not work.styles:
        return ()
    sheet = style_sheet(work.styles)
    attribute = f' nonce="{escape_attribute(work.nonce)}"' if work.nonce else ""
    if not sheet or not _append_to_head(work, f"<style data-layout-mutation{attribute}>{sheet}</style>"):
        return ()
    style_hash = b64encode(sha256(sheet.encode()).digest()).decode()
    work.permit(style_hash)
    return (style_hash,)


def _hand_over(work: Workspace, groups: list[Group], script: Script | None) -> bool:
    """Whether the browser script comes with the page, told what is left to it."""
    if script is None:
        return False
    admitted = _admitted(work.document, script)
    return admitted is not None and _append_to_head(work, island.island(work.document, work.roots, groups, admitted))


def _admitted(document: Document, script: Script) -> Script | None:
    """The script as the policies in the page's own `<meta>` let it in; None where one keeps it out as it stands."""
    policies = [str(meta.attrs.get("content") or "") for meta in document.select("meta[http-equiv]") if is_policy(meta)]
    nonce = script.nonce or script_nonce(policies)
    if any(verdict(policy, nonce) is not Verdict.ALLOWED for policy in policies):
        return None
    return msgspec.structs.replace(script, nonce=nonce)


def _append_to_head(work: Workspace, markup: str) -> bool:
    """Write what is the engine's own at the end of `<head>`, if that place is certain.

    For styles it is, or no rule would be accepted; and no verb replaces a head, so the place is never taken.
    """
    head = work.document.root.select_one("head")
    inner = work.document.inner(head) if head is not None else None
    if head is None or inner is None:
        return False
    work.place(inner[1], inner[1], markup, Side.CLOSING, head)
    written = model.Append(target=Target(selector="head"), content=Content(html=markup))
    work.carried.append(Carried(written, head))
    return True


def _transcoded(page: bytes, groups: Sequence[Group], charset: Charset, manner: _Manner) -> Rewritten | PassedThrough:
    """A UTF-16 page by way of UTF-8, if that way leads back to the same bytes."""
    mark, codec = page[: charset.mark_bytes], charset.codec
    try:
        text = page[charset.mark_bytes :].decode(codec)
        if mark + text.encode(codec) != page:
            return PassedThrough(reason=Reason.CHARSET, detail=f"{charset.name} that does not survive transcoding")
    except UnicodeError:
        return PassedThrough(reason=Reason.CHARSET, detail=f"broken {charset.name}")
    narrow = text.encode()
    result = _changed(narrow, groups, Charset("UTF-8", "utf-8", 0), manner)
    if isinstance(result, PassedThrough):
        return result
    edits, read, at = [], 0, len(mark)
    for edit in result.edits:
        start = at + len(narrow[read : edit.start].decode().encode(codec))
        end = start + len(narrow[edit.start : edit.end].decode().encode(codec))
        edits.append(Edit(start, end, edit.replacement.decode().encode(codec)))
        read, at = edit.end, end
    return msgspec.structs.replace(result, page=splice(page, tuple(edits)), edits=tuple(edits), charset=charset.name)
