"""What an author should be warned about: rules that compile, and still won't do what they look like.

Counterpart: `rules.compiler` refuses what can't be served; this only advises. With sample pages the rewriter itself is
asked, so that what is said is what would happen.
"""

from collections.abc import Iterator, Mapping, Sequence

from rules import model
from rules.attribute_lint import lint_attributes
from rules.condition_lint import lint_conditions, lint_unused
from rules.experiment_lint import lint_experiments
from rules.findings import Finding, Severity
from rules.group import Group
from rules.html import PassedThrough, Rewritten, apply_groups
from rules.html.by_style import suited
from rules.html.charset import charset_of
from rules.html.document import Document
from rules.html.frameworks import framework_of, roots_of
from rules.model import Delivery, PageLoad, RedirectMutation
from rules.page_lint import lint_change, lint_shifts
from rules.reasons import Reason
from rules.redirects import circles
from rules.rows import Row
from rules.sample_size import Traffic
from rules.table import DecisionTable
from rules.toggle_lint import lint_toggles

_MISSED = (Reason.TARGET_NOT_FOUND, Reason.TOO_MANY_MATCHES, Reason.AMBIGUOUS_SPAN, Reason.UNSAFE_TARGET)


def lint(
    table: DecisionTable, pages: Mapping[str, bytes] | None = None, *, traffic: Traffic | None = None
) -> tuple[Finding, ...]:
    """Everything worth knowing about a table's rules.

    `pages`: path of a sample page -> its bytes; only mutations of that page are tried on it. A name that is no path
    (`home.html`) stands for any page. `traffic`: what the site expects; then it is said which experiments can't end.
    """
    places = {mutation.id: f"$.mutations[{index}]" for index, mutation in enumerate(table.rules.mutations)}
    rules, rows = table.rules, table.rows
    findings = [*lint_experiments(rules, traffic)]
    placed = [(row, places[row.mutation.id]) for row in rows]
    findings += lint_conditions(placed, rules, table.company.declared)
    findings += lint_attributes(placed, rules)
    findings += lint_unused(rows, rules, table.memory.reads)
    for row in rows:
        findings += _row(row, places[row.mutation.id])
        for name, page in (pages or {}).items():
            if not name.startswith("/") or row.page(name):
                findings += _on_page(row, places[row.mutation.id], name, page)
    findings += _shadowing(table, places)
    findings += _circles(table, places)
    findings += lint_toggles(table.rules, table.rows)
    return tuple(findings)


def _row(row: Row, path: str) -> Iterator[Finding]:
    if not row.served:
        yield Finding(Severity.WARNING, path, "is never served: isActive is false, or the status is not active")
    elif row.off:
        yield Finding(Severity.WARNING, path, f"is never served: it is switched off by {row.off}")
    for group in row.groups:
        for message in lint_shifts(group):
            yield Finding(Severity.WARNING, f"{path}.mutationPayload", message)


def _on_page(row: Row, path: str, name: str, page: bytes) -> Iterator[Finding]:
    for group in row.groups:
        for index, operation in enumerate(group.operations):
            result = apply_groups(page, [Group(group.mutation_id, (operation,))], charset=None)
            if isinstance(result, PassedThrough) and not result.outcomes:
                yield Finding(Severity.ERROR, path, f"{name} can't be rewritten: {result.reason}")
                return
            outcome = result.outcomes[0]
            which = f"operation {index + 1} ({operation.target.selector})"
            at = f"{path}.mutationPayload"
            if group.delivery is Delivery.CLIENT:
                if outcome.reason is Reason.TARGET_NOT_FOUND:
                    message = f"{which} finds nothing on {name} as the origin sends it; scripts may add it later"
                    yield Finding(Severity.WARNING, at, message)
            elif outcome.reason in _MISSED:
                yield Finding(Severity.ERROR, at, f"{which} does not apply to {name}: {outcome.reason}")
        yield from _hydrated(group, path, name, page)
        whole = apply_groups(page, [group], charset=None)
        if group.delivery is not Delivery.CLIENT and isinstance(whole, Rewritten):
            for message in lint_change(page, whole):
                yield Finding(Severity.WARNING, f"{path}.mutationPayload", f"on {name}: {message}")


def _hydrated(group: Group, path: str, name: str, page: bytes) -> Iterator[Finding]:
    """Content that the edge changes where a framework expects its own. Attributes stay, styles touch no element."""
    charset = charset_of(page, None)
    if group.delivery is not Delivery.EDGE or charset is None or charset.is_wide:
        return
    document = Document(page, charset)
    roots = roots_of(document)
    for index, written in enumerate(group.operations):
        operation = suited(document, roots, written)
        if isinstance(operation, _SURVIVES) or (framework := framework_of(document, roots, operation)) is None:
            continue
        message = (
            f"operation {index + 1} ({operation.target.selector}) is inside a {framework} root on {name}: hydration may "
            "undo it and complain in the console; use `delivery` `guarded` to have it put back, or `client` to have it "
            "done after hydration"
        )
        yield Finding(Severity.WARNING, f"{path}.mutationPayload", message)


def _shadowing(table: DecisionTable, places: Mapping[str, str]) -> Iterator[Finding]:
    """Mutations whose every operation another one does to the same target, on the same pages, without conditions."""
    strongest: dict[tuple[str, ...], Row] = {}
    for row in table.rows:
        if row.group is None or not row.served or row.off:
            continue
        mutation = row.mutation
        keys = {
            (mutation.site, mutation.page_slug, type(operation).__name__, operation.target.selector or "")
            for operation in row.group.operations
            if type(operation).__name__ in _EXCLUSIVE
        }
        found = [strongest.get((*key, "*")) or strongest.get((*key, mutation.layout_id)) for key in keys]
        winners = {winner.mutation.id for winner in found if winner is not None}
        if winners and len(keys) == len(row.group.operations) and None not in found:
            message = f"is always shadowed by {', '.join(sorted(winners))}"
            yield Finding(Severity.WARNING, places[mutation.id], message)
        elif not row.conditions.clauses and row.occasion.is_always and row.schedule is None:
            for key in keys:
                strongest.setdefault((*key, mutation.layout_id), row)


def _circles(table: DecisionTable, places: Mapping[str, str]) -> Iterator[Finding]:
    """Redirects between fixed pages that send a visit round for ever."""
    fixed = [
        row.mutation
        for row in table.rows
        if row.served and isinstance(row.mutation, RedirectMutation) and "*" not in row.mutation.page_slug
    ]
    by_id = {mutation.id: mutation for mutation in fixed}
    for circle in circles(fixed):
        if not _for_the_same_visits([by_id[name] for name in circle]):
            continue
        way = " to ".join([*circle, circle[0]])
        yield Finding(Severity.WARNING, places[circle[0]], f"leads round in a circle: {way}")


def _for_the_same_visits(redirects: Sequence[RedirectMutation]) -> bool:
    """Whether what they ask of a visit is the same, or nothing: `/de` and `/en` may well send each other's visitors over."""
    asked: list[tuple[object, ...]] = [(one.conditions, one.trigger, one.schedule, one.layout_id) for one in redirects]
    demanding = [one for one in asked if one != ({}, PageLoad(), None, "*")]
    return all(one == demanding[0] for one in demanding)


_SURVIVES = (
    model.SetAttribute,
    model.RemoveAttribute,
    model.AddClass,
    model.RemoveClass,
    model.SetStyle,
    model.SetParameters,
    model.SetTokens,
    model.HideByStyle,
    model.OrderByStyle,
)
"""Verbs that hydration leaves alone, as tests/browser/test_hydration.py measures."""

_EXCLUSIVE = frozenset({"SetText", "SetInnerContent", "Replace", "Remove"})
