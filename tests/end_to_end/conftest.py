"""Fixtures of the end-to-end tests, and the logs of all processes beside a failure."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.end_to_end.site import Site
from tests.end_to_end.stack import Service, Stack

LOG_CHARACTERS_SHOWN = 6_000

FAULT = "fault"
"""The property of a test that holds a line of the fault matrix, as JSON."""
CHAOS = "catastrophe"
"""The same, of the catastrophes."""
WORDS = "the operator sees"
"""The column of such a line that is too long for a column."""


@pytest.fixture
def site() -> Iterator[Site]:
    """An origin without pages."""
    with Site() as running:
        yield running


@pytest.fixture
def stack(server_folder: Path, database_url: str, site: Site) -> Iterator[Stack]:
    """Everything, with two workers, in front of `site`."""
    whole = Stack(server_folder, database_url=database_url, upstream=site.url)
    try:
        whole.start()
        yield whole
    finally:
        whole.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes said where a test failed."""
    report: pytest.TestReport = yield
    if report.failed and isinstance(item, pytest.Function):
        for value in item.funcargs.values():
            if isinstance(value, Stack):
                report.sections += [(name, text[-LOG_CHARACTERS_SHOWN:]) for name, text in value.logs()]
            elif isinstance(value, Service):
                report.sections.append((value.log.name, value.text()[-LOG_CHARACTERS_SHOWN:]))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the tests of this folder have measured."""
    reports = [report for report in terminalreporter.getreports("passed") if "tests/end_to_end/" in report.nodeid]
    measured = [(report.head_line, name, value) for report in reports for name, value in report.user_properties]
    for test, name, value in measured:
        if name not in (FAULT, CHAOS):
            terminalreporter.write_line(f"{test}: {name}: {value}")
    played = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    for table in (FAULT, CHAOS):
        told = [value for report in played for name, value in report.user_properties if name == table]
        for line in matrix([msgspec.json.decode(value) for value in told]):
            terminalreporter.write_line(line)


def matrix(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Lines of a table whose columns are named by the first row's keys; words are put below the figures of their row."""
    if not rows:
        return
    words = [row.pop(WORDS, "") for row in rows]
    cells = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row, below in zip(cells, ["", *words], strict=True):
        name, *figures = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([name, *figures])
        if below:
            yield f"    {below}"
