"""What an author should be warned about in toggles.

A toggle travels with every table, and what it names need not: mutations that are not served stay at home. So a name that
leads nowhere is no error.
Counterpart: `rules.lint` calls it; `rules.switches` says what a toggle fits. Never: a refusal.
"""

from collections.abc import Iterator, Sequence

from rules.findings import Finding, Severity
from rules.model import RulesFile, Toggle
from rules.rows import Row
from rules.switches import Toggled, why


def lint_toggles(rules: RulesFile, rows: Sequence[Row]) -> Iterator[Finding]:
    """Everything about the toggles of a file."""
    by_id = {row.mutation.id: row for row in rows}
    experiments = {experiment.id for experiment in rules.experiments}
    for index, toggle in enumerate(rules.toggles):
        path = f"$.toggles[{index}]"
        if toggle.mutation_id is not None and toggle.mutation_id not in by_id:
            yield _warning(f"{path}.mutationId", f"there is no mutation {toggle.mutation_id!r} in this file")
        elif toggle.experiment_id is not None and toggle.experiment_id not in experiments:
            yield _warning(f"{path}.experimentId", f"there is no experiment {toggle.experiment_id!r} in this file")
        elif not toggle.is_active:
            yield _warning(path, "switches nothing off: isActive is false")
        elif not _fits_any(toggle, [by_id[toggle.mutation_id]] if toggle.mutation_id is not None else rows):
            yield _warning(path, "switches nothing off: no mutation of this file fits all that it names")


def _fits_any(toggle: Toggle, rows: Sequence[Row]) -> bool:
    toggled = Toggled([toggle])
    return bool(toggled.experiments) or any(toggled.fitting(row.mutation, row.modules) == why(toggle) for row in rows)


def _warning(path: str, message: str) -> Finding:
    return Finding(Severity.WARNING, path, message)
