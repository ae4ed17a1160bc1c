"""The files of `examples/` that show one type each: what becomes of the page, mutation by mutation, and no finding of lint."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rules.compiler import compile_table
from rules.decision import decide
from rules.explanation import explain
from rules.html import Rewritten, apply_groups
from rules.lint import lint
from rules.model import decode_rules
from rules.table import DecisionTable
from tests.rules.making import NOW, visit

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PAGE = (EXAMPLES / "page.html").read_bytes()
QUINCE = {"url": "https://larder.example/offers/quince?a=1"}


def example(name: str) -> DecisionTable:
    return compile_table(decode_rules((EXAMPLES / f"{name}.json").read_bytes()), version=1, now=NOW)


@pytest.mark.parametrize("name", ["theme", "cta", "redirect", "experiment"])
def test_lint_finds_nothing(name: str) -> None:
    assert lint(example(name), {"/offers/quince": PAGE}) == ()


@pytest.mark.parametrize(
    ("name", "attributes", "outcomes", "pieces"),
    [
        (
            "theme",
            {"mobile": True},
            {"autumn": "applied", "offers-stand-out": "applied", "roomy-button": "applied"},
            [
                '<html class="season-autumn" lang="en">',
                "<style data-layout-mutation>:root{--brand:#8a1538;--paper:#fbf3e6;--radius:0.75rem}</style></head>",
                '<button style="padding:1rem 2rem;font-size:1.25rem">Buy</button>',
            ],
        ),
        (
            "cta",
            {},
            {"buy-wording": "applied", "social-links": "applied"},
            [
                '<button data-cta="basket">Put it into the basket</button>',
                '<a href="https://social.example?utm_source=larder&amp;utm_medium=footer">Follow us</a>',
            ],
        ),
        (
            "experiment",
            {"user": "ada-8"},
            {"buy-button-wording": "applied", "larger-button": "applied"},
            ['<button class="large">Order now</button>'],
        ),
        ("redirect", QUINCE, {"quince-is-over": "applied", "headline": "shadowed", "german-shop": "other_page"}, []),
    ],
)
def test_an_example_does_what_it_says(
    name: str, attributes: dict[str, Any], outcomes: dict[str, str], pieces: list[str]
) -> None:
    table, context = example(name), visit("/offers/quince", "larder.example", attributes=attributes)
    decision = decide(table, context)
    result = apply_groups(PAGE, decision.groups, charset="utf-8")
    told = explain(table, context, decision, result.outcomes)
    assert {outcome.mutation_id: str(outcome.reason) for outcome in told} == outcomes
    page = result.page.decode() if isinstance(result, Rewritten) else PAGE.decode()
    assert [piece for piece in pieces if piece not in page] == []


def test_where_the_redirects_lead() -> None:
    for path, attributes, location in (
        ("/offers/quince", QUINCE, "/offers/pear?from=quince&a=1"),
        ("/", {"language": "de"}, "https://de.larder.example/"),
        ("/", {"language": "en"}, None),
    ):
        redirect = decide(example("redirect"), visit(path, attributes=attributes)).redirect
        assert (redirect.location if redirect else None) == location


def test_how_the_experiment_begins_and_whom_it_leaves_out() -> None:
    table = example("experiment")

    def reasons(user: str, now: str) -> list[str]:
        context = visit("/offers/quince", attributes={"user": user}, now=datetime.fromisoformat(now))
        return [outcome.detail for outcome in decide(table, context).outcomes]

    assert reasons("ada-8", "2026-03-02T07:59:59Z") == [
        "button-wording: ramp, begins 2026-03-02T09:00:00+01:00",
        "button-size: prerequisite, button-wording=ramp",
    ]
    assert reasons("ada-8", "2026-03-02T08:00:00Z")[0] == "button-wording: coverage, 1 % are enrolled"
    assert reasons("ada-6", "2026-03-20T12:00:00Z")[1] == "button-size: prerequisite, button-wording=control"
    assert reasons("ada-3", "2026-03-20T12:00:00Z") == [
        "button-wording: holdout, spring-2026 holds out 5 %",
        "button-size: holdout, spring-2026 holds out 5 %",
    ]
