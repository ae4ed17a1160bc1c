"""`layout-mutation lint`: a rules file checked as the control plane checks it, and advice for its author."""

import argparse
from pathlib import Path

import msgspec

from layout_mutation.inputs import UnusableError, read_file, read_table
from rules import limits
from rules.cache_lint import lint_caches
from rules.findings import Finding, Severity
from rules.lint import lint
from rules.sample_size import Traffic

EXAMPLES = """\
examples:
  layout-mutation lint examples/rules.json
  layout-mutation lint rules.json --page /=home.html --page /offers/tea=offer.html
      also: do the mutations of these pages find their targets on them?
  layout-mutation lint rules.json --daily-visits 4000 --baseline 0.03 --lift 0.1
      also: can the experiments see 3 % become 3.3 % within eight weeks? (5 % significance, 80 % power, two-sided)

  layout-mutation lint rules.json --json

exit codes: 0 nothing or only warnings, 1 errors, 2 a file that can't be used (the line says where and what is allowed)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `lint`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the rules file; - for standard input")
    parser.add_argument(
        "--page", action="append", default=[], metavar="PATH=FILE", help="a sample page and its path; several are fine"
    )
    parser.add_argument(
        "--daily-visits",
        type=int,
        metavar="N",
        help="visitors a day: warn of experiments that can't reach a useful sample",
    )
    parser.add_argument(
        "--baseline", type=float, default=0.05, metavar="SHARE", help="share of them that does what is counted [0.05]"
    )
    parser.add_argument(
        "--lift", type=float, default=0.1, metavar="SHARE", help="smallest relative change that would matter [0.1]"
    )
    parser.add_argument("--json", action="store_true", help="findings as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings. The exit code of the contract."""
    table, changes = read_table(arguments.file)
    pages = dict(map(_sample, arguments.page))
    told = tuple(Finding(Severity.NOTE, one.path, one.change) for one in changes)
    findings = told + lint(table, pages, traffic=_traffic(arguments)) + tuple(lint_caches(table))
    if arguments.json:
        print(msgspec.json.encode(findings).decode())
    else:
        print(_as_text(arguments.file, findings, len(table.rows)))
    return 1 if any(finding.severity is Severity.ERROR for finding in findings) else 0


def _traffic(arguments: argparse.Namespace) -> Traffic | None:
    if arguments.daily_visits is None:
        return None
    given = {"daily_visits": arguments.daily_visits, "baseline": arguments.baseline, "lift": arguments.lift}
    try:
        return msgspec.convert(given, Traffic)
    except msgspec.ValidationError:
        raise UnusableError(
            "--daily-visits is at least 1, --baseline between 0 and 1 (0.0001 to 0.9999), --lift 0.001 or more"
        ) from None


def _sample(text: str) -> tuple[str, bytes]:
    """`/offers=offer.html` -> the path and the bytes; a file alone stands for any page."""
    path, given, file = text.partition("=") if text.startswith("/") else (text, "=", text)
    if not given:
        raise UnusableError(f"--page {text}: PATH=FILE is expected, for example /offers=offers.html")
    return path, read_file(Path(file), bytes_max=limits.PAGE_BYTES_MAX)


def _as_text(file: Path, findings: tuple[Finding, ...], mutations: int) -> str:
    lines = [f"{file}: {finding.path}: {finding.severity}: {finding.message}" for finding in findings]
    errors, warnings = (sum(one.severity is kind for one in findings) for kind in (Severity.ERROR, Severity.WARNING))
    lines.append(f"{mutations} mutations, {errors} errors, {warnings} warnings")
    return "\n".join(lines)
