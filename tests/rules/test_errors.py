"""Errors carry their parts, and say them in one line."""

from rules import limits
from rules.errors import RulesError, TableError


def test_a_rules_error_has_path_and_problem() -> None:
    error = RulesError("no", "$.mutations[0]")
    assert (str(error), error.path, error.problem) == ("$.mutations[0]: no", "$.mutations[0]", "no")
    assert RulesError("no").path == "$"


def test_a_table_error_has_reason_and_detail() -> None:
    error = TableError("malformed", "no")
    assert (str(error), error.reason, error.detail) == ("malformed: no", "malformed", "no")


def test_a_rule_that_is_wrong_is_one_line_of_bounded_length() -> None:
    error = RulesError("a\nb" + "x" * 1_000_000 + "the end", "$.a\u2028.b")
    assert str(error).isprintable()
    assert error.path == "$.a\\u2028.b"
    assert error.problem.startswith("a\\u000ab")
    assert error.problem.endswith("the end")
    assert len(error.problem) <= limits.PROBLEM_CHARACTERS_MAX
    assert RulesError(error.problem, error.path).args == error.args


def test_a_table_that_is_wrong_is_one_line_of_bounded_length() -> None:
    """Whoever owns Redis may have a decoder quote what is megabytes long, and each offence is remembered."""
    error = TableError("malformed", "a\nb" + "x" * 1_000_000)
    assert error.detail.startswith("a\\u000ab")
    assert len(error.detail) <= limits.PROBLEM_CHARACTERS_MAX
