"""The fail-open table names what exists: events of the log, metrics, and the test that provokes each row."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from layout_mutation.documentation import metrics
from sidecar.fail_open import TABLE, Row

CLONE = Path(__file__).resolve().parents[2]
SAYING = {"error", "warning", "info", "exception", "_say", "_complain"}
"""Names of the functions that write a line to the log, the event first."""


@cache
def events() -> frozenset[str]:
    """Every event that the sidecar's code may log."""
    return frozenset(said())


def said() -> Iterator[str]:
    """The same, line by line."""
    for path in (CLONE / "sidecar").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SAYING:
                yield from (str(argument.value) for argument in node.args[:1] if isinstance(argument, ast.Constant))


def test_each_row_has_its_own_name() -> None:
    keys = [row.key for row in TABLE]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[a-z_]+", key) for key in keys)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row.key))
def test_its_events_are_in_the_code(row: Row) -> None:
    assert set(row.logs) <= events()


def test_its_metrics_are_documented_label_by_label() -> None:
    labels = {one.name: set(one.labels) for one in metrics.documented()}
    for row in TABLE:
        assert row.metrics, row.key
        for metric in row.metrics:
            name, _, inside = metric.partition("{")
            assert set(re.findall(r'(\w+)="', inside)) <= labels[name], metric


def test_each_row_is_provoked_by_the_test_of_its_name() -> None:
    matrix = CLONE / "tests" / "end_to_end" / "faults" / "test_fault_matrix.py"
    provoked = {
        node.name.removeprefix("test_")
        for node in ast.walk(ast.parse(matrix.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    assert provoked == {row.key for row in TABLE}
