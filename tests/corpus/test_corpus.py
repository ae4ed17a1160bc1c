"""Golden cases: one folder each, with a page, what is asked of it, and the exact bytes that must come out.

`page.html`, `expected.html`, and either `operations.json` or `rules.json` with an optional `context.json` (a visit).
`case.json` says what the case is about, which outcomes are expected, in order (a reason for each operation, or
`"mutation id: reason"` for each mutation that could match), and where it matters the Content-Type's charset, the
page's nonce and how it may call the browser script. A bug report becomes a folder here.
"""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from rules.compiler import compile_table
from rules.context import Context
from rules.decision import decide
from rules.explanation import explain
from rules.html import PassedThrough, Rewritten, Script, apply_groups, rewrite
from rules.model import decode_operations, decode_rules

HERE = Path(__file__).resolve().parent
CASES = sorted(path.parent.name for path in HERE.glob("*/case.json"))


class Case(msgspec.Struct, forbid_unknown_fields=True):
    """What a page and its rules don't say themselves."""

    about: str
    outcomes: list[str]
    charset: str | None = None
    nonce: str | None = None
    script: Script | None = None
    """How the page may call the browser script."""


def by_operations(folder: Path, case: Case) -> tuple[Rewritten | PassedThrough, list[str]]:
    operations = decode_operations((folder / "operations.json").read_bytes())
    result = rewrite((folder / "page.html").read_bytes(), operations, charset=case.charset)
    return result, [str(outcome.reason) for outcome in result.outcomes]


def by_rules(folder: Path, case: Case) -> tuple[Rewritten | PassedThrough, list[str]]:
    table = compile_table(
        decode_rules((folder / "rules.json").read_bytes()), version=1, now=datetime(2026, 1, 1, tzinfo=UTC)
    )
    visit = folder / "context.json"
    given = visit.read_bytes() if visit.exists() else b'{"site": "shop.example", "path": "/"}'
    context = msgspec.json.decode(given, type=Context)
    decision = decide(table, context)
    page = (folder / "page.html").read_bytes()
    result = apply_groups(page, decision.groups, charset=case.charset, nonce=case.nonce, script=case.script)
    told = explain(table, context, decision, result.outcomes)
    return result, [f"{outcome.mutation_id}: {outcome.reason}" for outcome in told]


@pytest.mark.parametrize("name", CASES)
def test_a_page_becomes_exactly_what_is_expected(name: str) -> None:
    folder = HERE / name
    case = msgspec.json.decode((folder / "case.json").read_bytes(), type=Case)
    run = by_operations if (folder / "operations.json").exists() else by_rules
    result, outcomes = run(folder, case)
    page = (folder / "page.html").read_bytes()
    assert (result.page if isinstance(result, Rewritten) else page) == (folder / "expected.html").read_bytes()
    assert outcomes == case.outcomes


def test_there_is_a_case_for_each_behaviour() -> None:
    assert len(CASES) >= 150
    folders = {path.name for path in HERE.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders == set(CASES), "a folder without case.json is never run"
