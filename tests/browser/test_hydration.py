"""Real React 18, React 19 and Vue 3 pages, rendered on the server, through a sidecar, hydrated in Chromium.

Each change is made by each delivery. What must come out is the table of docs/hydration.md: whether the change is there once
the framework has taken over, and whether the browser's console stays silent. Where it does not, lint must have warned.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.async_api import Browser, Page

from rules.lint import lint
from rules.table import DecisionTable
from tests.browser.conftest import Complaints
from tests.browser.framework_pages import BUILT, FrameworkPage, SetUpError, built_pages
from tests.browser.sites import site, table_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "hydration.md"
DELIVERIES = ("edge", "guarded", "client")
ALIKE = {"React 18, whole document", "React 19"}
"""Differ from what is always tried in the version or in the root alone."""


class Change(NamedTuple):
    """What a mutation does, and a script that says whether it is to be seen."""

    operations: list[dict[str, Any]]
    seen: str


CHANGES = {
    "hide": Change(
        [{"verb": "hideByStyle", "target": {"selector": "#banner"}}],
        "getComputedStyle(document.querySelector('#banner')).display === 'none'",
    ),
    "order": Change(
        [
            {
                "verb": "reorderChildren",
                "target": {"selector": "main"},
                "order": [{"selector": "#buy"}, {"selector": "#news"}],
            }
        ],
        "[...document.querySelectorAll('main > section')].sort((a, b) => a.offsetTop - b.offsetTop)"
        ".map(section => section.id).join() === 'buy,news,offers'",
    ),
    "theme": Change(
        [{"verb": "setTokens", "tokens": {"--accent": "rgb(1, 2, 3)"}}],
        "getComputedStyle(document.querySelector('h1')).getPropertyValue('--accent') === 'rgb(1, 2, 3)'",
    ),
    "text": Change(
        [{"verb": "setText", "target": {"selector": "h1"}, "content": {"text": "Coffee"}}],
        "document.querySelector('h1').innerText === 'Coffee'",
    ),
    "attribute": Change(
        [{"verb": "setAttribute", "target": {"selector": ".cta"}, "name": "href", "value": "/sale"}],
        "document.querySelector('.cta').getAttribute('href') === '/sale'",
    ),
    "insert": Change(
        [
            {
                "verb": "after",
                "target": {"selector": ".lead"},
                "content": {"html": "<p class=note>Take an umbrella.</p>"},
            }
        ],
        "document.querySelectorAll('.lead + .note').length === 1 && document.querySelectorAll('.note').length === 1",
    ),
    "remove": Change(
        [{"verb": "remove", "target": {"selector": ".lead"}}],
        "!document.querySelector('.lead')?.offsetParent",
    ),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, FrameworkPage]:
    try:
        return built_pages(tmp_path_factory.mktemp("frameworks"))
    except SetUpError as error:
        pytest.skip(f"the frameworks can't be fetched: {error}")


def rules(change: str, delivery: str) -> DecisionTable:
    return table_of(mutation(change, delivery))


def mutation(change: str, delivery: str) -> dict[str, Any]:
    return {"operations": CHANGES[change].operations, "delivery": delivery, "pageSlug": f"/{change}/{delivery}"}


class Seen(NamedTuple):
    """What a visitor's browser made of a page."""

    kept: bool
    silent: bool

    def __str__(self) -> str:
        return f"{'there' if self.kept else 'undone'}{'' if self.silent else ', console complains'}"


async def measured(window: Page, complaints: Complaints, address: str, change: str, delivery: str) -> Seen:
    """What becomes of a change when the framework has taken over; the framework must work afterwards."""
    complaints.said.clear()
    await window.goto(f"{address}{change}/{delivery}")
    await window.wait_for_function("window.hydrated")
    kept = await comes_to(window, CHANGES[change].seen, patient=delivery != "edge")
    await window.click("#count")
    await window.wait_for_function("document.querySelector('#count').innerText === 'Clicked 1 times'")
    assert await window.evaluate(CHANGES[change].seen) == kept
    return Seen(kept, not complaints.said)


async def comes_to(window: Page, seen: str, *, patient: bool) -> bool:
    """Whether the change is there when the framework has taken over; for the script's own, within its patience."""
    if patient:
        await window.wait_for_function(seen, timeout=30_000)
    else:
        await window.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return bool(await window.evaluate(seen))


def documented() -> dict[str, list[str]]:
    """Framework and change -> what docs/hydration.md says of each delivery."""
    rows = re.findall(r"(?m)^\| ([\w ,]+ \d[\w ,]*) \| (\w+) \| (.+) \|$", DOCUMENT.read_text(encoding="utf-8"))
    return {f"{framework}: {change}": cells.split(" | ") for framework, change, cells in rows}


@pytest.mark.parametrize(
    "framework", [pytest.param(name, marks=[pytest.mark.soak] if name in ALIKE else []) for name in BUILT]
)
async def test_what_hydration_leaves_of_a_change(
    chromium: Browser, pages: Mapping[str, FrameworkPage], framework: str
) -> None:
    page, window = pages[framework], await chromium.new_page()
    complaints = Complaints(window)
    table = table_of(*(mutation(change, delivery) for change in CHANGES for delivery in DELIVERIES))
    async with site(page.html(), table, script=page.script) as address:
        seen_of = {
            change: [await measured(window, complaints, address, change, delivery) for delivery in DELIVERIES]
            for change in CHANGES
        }
    found, expected = {}, documented()
    for change, seen in seen_of.items():
        found[f"{framework}: {change}"] = [str(one) for one in seen]
        at_edge = lint(rules(change, "edge"), {f"/{change}/edge": page.html().encode()})
        assert bool(at_edge) == (seen[0] != Seen(kept=True, silent=True)), "lint warns of exactly what hydration undoes"
        assert seen[1].kept, "guarded puts it back"
        assert seen[2] == Seen(kept=True, silent=True), "what comes after hydration disturbs nobody"
    assert found == {row: cells for row, cells in expected.items() if row.startswith(f"{framework}:")}
