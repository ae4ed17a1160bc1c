"""Fixtures of the end-to-end tests, and the logs of all processes beside a failure."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.site import Site
from tests.end_to_end.stack import Service, Stack

LOG_CHARACTERS_SHOWN = 6_000


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
        terminalreporter.write_line(f"{test}: {name}: {value}")
