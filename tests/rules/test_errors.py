"""Errors carry their parts, and say them in one line."""

from rules.errors import RulesError, TableError


def test_a_rules_error_has_path_and_problem() -> None:
    error = RulesError("no", "$.mutations[0]")
    assert (str(error), error.path, error.problem) == ("$.mutations[0]: no", "$.mutations[0]", "no")
    assert RulesError("no").path == "$"


def test_a_table_error_has_reason_and_detail() -> None:
    error = TableError("malformed", "no")
    assert (str(error), error.reason, error.detail) == ("malformed: no", "malformed", "no")
