"""The files of `examples/` that show one type each: what becomes of the page, mutation by mutation, and no finding of lint."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from rules.compiler import compile_table
from rules.conflicts import layer_of
from rules.decision import decide
from rules.explanation import explain
from rules.html import Rewritten, apply_groups
from rules.lint import lint
from rules.model import ClientEvent, InBrowser, Layer, LayoutMutation, Trigger, decode_rules
from rules.table import DecisionTable
from tests.rules.making import NOW, visit

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PAGE = (EXAMPLES / "page.html").read_bytes()
QUINCE = {"url": "https://larder.example/offers/quince?a=1"}


def example(name: str) -> DecisionTable:
    return compile_table(decode_rules((EXAMPLES / f"{name}.json").read_bytes()), version=1, now=NOW)


def visit_file(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    return fields | ({"now": datetime.fromisoformat(fields["now"])} if "now" in fields else {})


TRIGGERED = ["weekend", "thumbs", "alpine-delivery", "in-german", "from-the-letter", "regulars", "beside-the-test"]


@pytest.mark.parametrize("name", ["theme", "cta", "redirect", "experiment", "layers", "journey", "browser"])
def test_lint_finds_nothing(name: str) -> None:
    assert lint(example(name), {"/offers/quince": PAGE}) == ()


@pytest.mark.parametrize(
    ("name", "told_of", "outcomes", "pieces"),
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
        (
            "layers",
            {},
            {
                "headline-of-quince": "applied",
                "headline-of-the-module": "shadowed",
                "headline-of-offers": "shadowed",
                "headline-everywhere": "applied",
                "line-above": "applied",
                "line-below": "applied",
                "loud": "applied",
            },
            ['<p>New</p><h1 class="quiet serif">Quince jam, still warm</h1><p>250 g</p>'],
        ),
        (
            "triggers",
            "triggers-visit",
            {
                "alpine-delivery": "applied",
                "beside-the-test": "applied",
                "from-the-letter": "applied",
                "in-german": "applied",
                "price-layout-arms": "applied",
                "regulars": "applied",
                "thumbs": "applied",
                "weekend": "applied",
            },
            [
                '<main><p class="greeting">Here is what we wrote about.</p>',
                '<p class="soon">With you tomorrow.</p></section>',
                '<button style="padding:1rem 2rem" lang="de">In den Korb</button><small>Leaves us on Monday.</small>',
                '<section hidden="" data-module="newsletter">',
                "<footer><p>\u00a9 Larder</p>",
            ],
        ),
        (
            "triggers",
            {},
            dict.fromkeys(TRIGGERED, "trigger") | {"weekend": "applied", "price-layout-arms": "not_in_experiment"},
            [],
        ),
        (
            "journey",
            "journey-visit",
            {"back-to-the-basket": "applied", "bold-tastes": "applied", "hesitant": "applied"},
            ["Your basket waits</a></header>", "Now with chilli.</p>Seen 4 times."],
        ),
        (
            "journey",
            {},
            {"back-to-the-basket": "trigger", "bold-tastes": "trigger", "hesitant": "conditions"},
            [],
        ),
        (
            "archetype",
            "archetype-visit",
            {"gift-givers": "applied", "partners": "applied", "unhurried": "applied"},
            ['</h1><p class="parcel">We wrap it.</p>', "<li>Stirred for three hours</li></ul>"],
        ),
        (
            "archetype",
            {"device": "mobile", "page": {"archetype": "cook"}},
            {"gift-givers": "conditions", "partners": "conditions", "unhurried": "trigger"},
            [],
        ),
        (
            "toggles",
            {"lm_uid": "u"},
            {
                "button-size": "not_in_experiment",
                "lively-checkout": "applied",
                "one-page-only": "switched_off",
                "sale-banner": "switched_off",
            },
            ['<body class="product lively">', '<section class="offer"><p>'],
        ),
        ("redirect", QUINCE, {"quince-is-over": "applied", "headline": "shadowed", "german-shop": "other_page"}, []),
    ],
)
def test_an_example_does_what_it_says(
    name: str, told_of: dict[str, Any] | str, outcomes: dict[str, str], pieces: list[str]
) -> None:
    """`told_of`: the visit's attributes, or the file that has them."""
    fields: dict[str, Any] = {"attributes": told_of} if isinstance(told_of, dict) else visit_file(told_of)
    table, context = example(name), visit("/offers/quince", "larder.example", **fields)
    decision = decide(table, context)
    result = apply_groups(PAGE, decision.groups, charset="utf-8")
    told = explain(table, context, decision, result.outcomes)
    assert {outcome.mutation_id: str(outcome.reason) for outcome in told} == outcomes
    page = result.page.decode() if isinstance(result, Rewritten) else PAGE.decode()
    assert [piece for piece in pieces if piece not in page] == []


def test_who_wins_is_told_to_those_who_lose() -> None:
    table, context = example("layers"), visit("/offers/quince", "larder.example")
    decision = decide(table, context)
    told = explain(table, context, decision, apply_groups(PAGE, decision.groups, charset="utf-8").outcomes)
    by = "shadowed by headline-of-quince"
    assert {outcome.mutation_id: outcome.detail for outcome in told if by in outcome.detail} == {
        "headline-of-the-module": f"operation 1: main > h1, {by}",
        "headline-of-offers": f"operation 1: h1, {by}",
        "headline-everywhere": f"1 element, but not operation 1: h1, {by} (shadowed)",
    }


def test_every_file_is_there_and_said() -> None:
    """At least twelve, each type, each trigger and each layer among them."""
    said = (EXAMPLES / "README.md").read_text()
    files = {path.stem for path in EXAMPLES.glob("*.json") if not path.stem.endswith("visit")}
    assert {name for name in files if f"`{name}.json`" not in said} == set()
    mutations = [mutation for name in files for mutation in example(name).rules.mutations]
    assert [mutation.id for mutation in mutations if f"`{mutation.id}`" not in said] == []
    types = {type(mutation).__struct_config__.tag for mutation in mutations}
    assert types == {kind.__struct_config__.tag for kind in get_args(LayoutMutation)}
    triggers = {type(mutation.trigger) for mutation in mutations}
    assert triggers == set(get_args(Trigger))
    events = {type(mutation.trigger.when) for mutation in mutations if isinstance(mutation.trigger, InBrowser)}
    assert events == set(get_args(ClientEvent))
    assert {layer_of(mutation) for mutation in mutations} == set(Layer)


def test_which_toggle_it_was() -> None:
    table = example("toggles")
    told = {
        one.mutation_id: one.detail
        for one in decide(table, visit("/checkout/pay", attributes={"lm_uid": "u"})).outcomes
    }
    assert told == {
        "button-size": "toggle calm-till",
        "lively-checkout": "toggle calm-till",
        "sale-banner": "toggle not-yet",
    }


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
