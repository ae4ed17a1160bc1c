"""Mutations, experiments, modules and segments -> a decision table, with every check there is.

Counterpart: `rules.rows` compiles each mutation, `rules.table` carries the result. Raises RulesError with the JSON path
of the first offence.
"""

from datetime import datetime

from rules.model import LayoutMutation, RulesFile
from rules.rows import company_of, compile_row
from rules.table import UNCHECKED, DecisionTable, Stamp, compiled


def compile_table(rules_file: RulesFile, *, version: int, now: datetime, engine: str = UNCHECKED) -> DecisionTable:
    """The decision table of a rules file; `version` grows with each table, `now` is when it was compiled.

    `engine` names this program in tables that are signed, for those who trust the signature and are the same.
    """
    return compiled(rules_file, Stamp(version, now, engine))


def check_mutation(mutation: LayoutMutation, rules_file: RulesFile) -> None:
    """All checks of one mutation among the experiments, modules and segments of a file; paths begin at the mutation."""
    compile_row(mutation, company_of(rules_file), "$")
