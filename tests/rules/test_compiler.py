"""A rules file becomes a table; one mutation is checked with paths that begin at the mutation."""

import pytest

from rules.compiler import check_mutation, compile_table
from rules.errors import RulesError
from tests.rules.making import NOW, experiment, removing, rules_file, variant


def test_a_table_has_what_it_was_given() -> None:
    table = compile_table(rules_file(removing("m")), version=7, now=NOW)
    assert (table.version, table.created_at, len(table.rows)) == (7, NOW, 1)


def test_one_mutation_is_checked_as_in_a_file() -> None:
    check_mutation(rules_file(variant("v")).mutations[0], rules_file(experiments=[experiment()]))
    with pytest.raises(RulesError) as caught:
        check_mutation(rules_file(variant("v")).mutations[0], rules_file())
    assert caught.value.path == "$.mutationPayload.experimentId"
    with pytest.raises(RulesError) as caught:
        check_mutation(rules_file(removing("m", "h1[")).mutations[0], rules_file())
    assert caught.value.path == "$.mutationPayload.operations[0].target.selector"
