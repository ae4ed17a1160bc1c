"""For every mutation of a table: why it applied to this visit, or why not.

Counterpart: `rules.decision` decides and knows only what could match the page; the rest is named here. The command line,
`/apply`, the preview and the sidecar's `/explain` all show this.
"""

from collections.abc import Iterable, Sequence

from rules.context import Context
from rules.decision import Decision
from rules.reasons import Outcome, Reason
from rules.table import DecisionTable


def explain(
    table: DecisionTable, context: Context, decision: Decision, on_page: Iterable[Outcome] = ()
) -> tuple[Outcome, ...]:
    """One outcome per mutation of the table, highest precedence first.

    `on_page` is what the rewriter said; it goes before the decision where a mutation was tried on the page.
    """
    decided = {outcome.mutation_id: outcome for outcome in decision.outcomes}
    tried = {outcome.mutation_id: _with_assignment(outcome, decided) for outcome in on_page}
    return tuple(
        tried.get(row.mutation.id)
        or decided.get(row.mutation.id)
        or Outcome(
            row.mutation.id, *_elsewhere(row.mutation.site, row.mutation.page_slug, row.site(context.site), context)
        )
        for row in table.rows
    )


def refused(outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """Those that were meant to change the page and did not."""
    harmless = (Reason.APPLIED, Reason.NO_CHANGE, Reason.DELIVERED)
    return tuple(outcome for outcome in outcomes if outcome.reason not in harmless)


def _with_assignment(outcome: Outcome, decided: dict[str, Outcome]) -> Outcome:
    before = decided.get(outcome.mutation_id)
    detail = ", ".join(filter(None, (before.detail if before else "", outcome.detail)))
    return Outcome(outcome.mutation_id, outcome.reason, detail)


def _elsewhere(site: str, page: str, same_site: bool, context: Context) -> tuple[Reason, str]:
    if not same_site:
        return Reason.OTHER_SITE, f"site {site} is not {context.site}"
    return Reason.OTHER_PAGE, f"pageSlug {page} is not {context.path}"
