"""What rules cost a site's shared caches: pages that depend on the visitor are kept by none, changed or not.

One mutation is enough for all pages that it is for, whoever visits them. What is remembered of visits costs every page.
Counterparts: `rules.context` says what an attribute means for caches, `rules.decision` makes a visit private by it; the command
line and the control plane tell authors. Never: a refusal; a page for one visitor may be just what is wanted.
"""

from collections.abc import Collection, Iterator

from rules.context import PAGE_ATTRIBUTES
from rules.findings import Finding, Severity
from rules.model import Counter, Journey
from rules.remembering import VISIT_ATTRIBUTES
from rules.rows import Row
from rules.table import DecisionTable

APART = frozenset({"country", "region", "city", "timezone", "locale", "language", "mobile", "headers"})
"""Attributes that a cache in front can have told apart (SIDECAR_CACHE_VARIANTS)."""
NAMED_MAX = 5
"""Pages that are named for one attribute; the others are counted."""


def lint_caches(table: DecisionTable) -> Iterator[Finding]:
    """What the rules of a table cost, each at its place in the file."""
    places = {mutation.id: f"$.mutations[{index}]" for index, mutation in enumerate(table.rules.mutations)}
    for row in table.rows:
        if row.served and not row.off and (cost := cost_of(row)):
            yield Finding(Severity.WARNING, places[row.mutation.id], cost)
    if unread := table.memory.of_visits - frozenset().union(*(row.reads for row in table.rows if row.served)):
        message = f"read {_quoted(unread)}: with SIDECAR_STATE_KEYS no shared cache keeps any page of the site"
        yield Finding(Severity.WARNING, "$.attributes", message)
    for index, one in enumerate(table.rules.attributes):
        if isinstance(one, Journey | Counter):
            steps = one.steps if isinstance(one, Journey) else (one,)
            pages = _listed([_pages(step.site, step.page_slug) for step in steps])
            message = (
                f"is added to on {pages}: there, no shared cache keeps what a sidecar with SIDECAR_STATE_KEYS answers"
            )
            yield Finding(Severity.WARNING, f"$.attributes[{index}]", message)


def cost_of(row: Row) -> str:
    """What one mutation costs, as a sentence without a subject; empty for nothing."""
    reads = row.reads - PAGE_ATTRIBUTES - row.derives
    if not reads:
        return ""
    pages = _pages(row.mutation.site, row.mutation.page_slug)
    cost = f"reads {_quoted(reads)}: no shared cache keeps {pages}, whoever comes, changed or not"
    if everywhere := reads & VISIT_ATTRIBUTES:
        cost += f"; {_quoted(everywhere)} change with each page of a visit: with SIDECAR_STATE_KEYS none keeps any page of the site"
    elif reads <= APART:
        cost += ", unless it is told to keep variants (SIDECAR_CACHE_VARIANTS)"
    return cost


def _pages(site: str, page: str) -> str:
    where = "any page" if page == "*" else page
    return where if site == "*" else f"{where} of {site}"


def _quoted(names: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _listed(pages: Collection[str]) -> str:
    different = list(dict.fromkeys(pages))
    more = len(different) - NAMED_MAX
    return ", ".join(different[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
