"""The browser script in a real Chromium: verbs, events, fights it does not pick, policies, and browsers that lack things."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, get_args

import pytest
from playwright.async_api import Browser, Page, expect
from pytest_asyncio import fixture

from rules import model
from sidecar.runtime.browser_script import SCRIPT
from tests.browser.conftest import Complaints
from tests.browser.sites import site, table_of

HEAD = '<!doctype html><html lang=en><head><meta charset=utf-8><title>Tea</title><link rel=icon href="data:,">'
BODY = (
    "<main><h1 class=old>Tea for <b>two</b></h1><ul id=list><li>Assam</li><li>Sencha</li></ul>"
    '<a href="/a?x=1" id=buy>Buy</a><p id=far style="margin-top:3000px">Far below</p></main>'
)
PAGE = f"{HEAD}</head><body>{BODY}</body></html>"


def at(selector: str, **more: Any) -> dict[str, Any]:
    return {"target": {"selector": selector, **more}}


def anchor(selector: str) -> dict[str, Any]:
    return {"anchor": {"selector": selector}}


def text(words: str) -> dict[str, Any]:
    return {"content": {"text": words}}


def html(markup: str) -> dict[str, Any]:
    return {"content": {"html": markup}}


Watched = tuple[Page, Complaints]
"""A window, and what its console complains about."""


@asynccontextmanager
async def opened(browser: Browser) -> AsyncIterator[Watched]:
    page = await browser.new_page(viewport={"width": 1000, "height": 700})
    yield page, Complaints(page)
    await page.context.close()


@fixture(scope="module", loop_scope="session")
async def plain(launched: Browser) -> AsyncIterator[Watched]:
    """A window for all tests that only go to an address of their own, which no other test has: a window costs a second."""
    async with opened(launched) as watched:
        yield watched


@fixture(scope="module", loop_scope="session")
async def clocked(launched: Browser) -> AsyncIterator[Watched]:
    """The same with a clock that tests turn: each page begins with timers of its own."""
    async with opened(launched) as watched:
        await watched[0].clock.install()
        yield watched


@fixture(loop_scope="session")
async def window(plain: Watched) -> AsyncIterator[Page]:
    """A window without a page; whatever its console complains about fails the test."""
    async with emptied(plain) as page:
        yield page


@fixture(loop_scope="session")
async def window_with_clock(clocked: Watched) -> AsyncIterator[Page]:
    """The same with the clock."""
    async with emptied(clocked) as page:
        yield page


@asynccontextmanager
async def emptied(watched: Watched) -> AsyncIterator[Page]:
    page, complaints = watched
    complaints.said.clear()
    yield page
    said = [*complaints.said]
    await page.goto("about:blank")  # whatever its page would still say is not the next test's
    assert said == []


@fixture(loop_scope="session")
async def own_window(chromium: Browser) -> AsyncIterator[Page]:
    """A window for one test, which changes it for all pages to come."""
    page = await chromium.new_page(viewport={"width": 1000, "height": 700})
    complaints = Complaints(page)
    yield page
    assert complaints.said == []


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "before": ({**at("li"), **html("<li class=n>New</li>")}, "list.innerText === 'New\\nAssam\\nNew\\nSencha'"),
    "after": ({**at("li"), **html("<li class=n>New</li>")}, "list.innerText === 'Assam\\nNew\\nSencha\\nNew'"),
    "prepend": ({**at("#list"), **html("<li>1</li><li>2</li>")}, "list.innerText === '1\\n2\\nAssam\\nSencha'"),
    "append": ({**at("#list"), **html("<li>1</li><li>2</li>")}, "list.innerText === 'Assam\\nSencha\\n1\\n2'"),
    "setText": ({**at("h1"), **text("A </script> & B")}, "h1.innerText === 'A </script> & B'"),
    "setInnerContent": (
        {**at("h1"), **html("More <i>tea</i>")},
        "h1.innerText === 'More tea' && !!h1.querySelector('i')",
    ),
    "replace": (
        {**at("#list"), **html("<p class=n>Sold out</p>")},
        "!list.offsetParent && !!document.querySelector('.n')",
    ),
    "remove": (at("li:first-child"), "list.innerText === 'Sencha'"),
    "removeAndKeepContent": (at("#list"), "getComputedStyle(list).display === 'contents'"),
    "setAttribute": ({**at("#buy"), "name": "title", "value": 'a"b'}, "buy.title === 'a\"b'"),
    "removeAttribute": ({**at("#buy"), "name": "href"}, "!buy.hasAttribute('href')"),
    "addClass": ({**at("h1"), "names": ["a", "old"]}, "h1.className === 'old a'"),
    "removeClass": ({**at("h1"), "names": ["old"]}, "h1.className === ''"),
    "moveBefore": ({**at("li"), **anchor("h1")}, "h1.previousElementSibling.innerText === 'Sencha'"),
    "moveAfter": ({**at("li"), **anchor("h1")}, "h1.nextElementSibling.innerText === 'Assam'"),
    "movePrepend": (
        {**at("#buy, #far"), **anchor("#list")},
        "list.firstElementChild === buy && list.children[1].id === 'far'",
    ),
    "moveAppend": ({**at("#buy"), **anchor("#list")}, "list.lastElementChild === buy"),
    "reorderChildren": (
        {**at("main"), "order": [{"selector": "#list"}, {"selector": "h1"}]},
        "h1.previousElementSibling === list && !list.previousElementSibling",
    ),
    "setStyle": (
        {**at("#buy"), "properties": {"color": "red", "margin-top": "3px !important"}},
        "buy.style.cssText === 'color: red; margin-top: 3px !important;'",
    ),
    "setParameters": (
        {**at("a, p"), "parameters": {"x": "2", "utm": "a b"}},
        "new URL(buy.href).search === '?x=2&utm=a+b'",
    ),
    "setTokens": ({"tokens": {"--c": "red"}}, "getComputedStyle(h1).getPropertyValue('--c') === 'red'"),
    "hideByStyle": (at("#buy"), "getComputedStyle(buy).display === 'none'"),
    "orderByStyle": (
        {**at("#list"), "order": [{"selector": "li:last-child"}]},
        "list.lastElementChild.offsetTop < list.firstElementChild.offsetTop",
    ),
}
"""Verb -> its fields, and what is then to be seen."""
NAMES = "const h1 = document.querySelector('h1'), list = document.querySelector('#list'), buy = document.querySelector('#buy');"


def test_every_verb_has_a_case() -> None:
    assert set(CASES) == {kind.__struct_config__.tag for kind in get_args(model.Operation)}


@fixture(scope="module", loop_scope="session")
async def verbs() -> AsyncIterator[str]:
    """The address of a site where each verb has a page."""
    operations = {verb: [{"verb": verb, **fields}] for verb, (fields, _) in CASES.items()}
    mutations = [
        {"operations": operations, "delivery": "client", "pageSlug": f"/{verb}"}
        for verb, operations in operations.items()
    ]
    async with site(PAGE, table_of(*mutations)) as address:
        yield address


@pytest.mark.parametrize("verb", CASES)
async def test_a_verb_in_the_browser(window: Page, verbs: str, verb: str) -> None:
    _, seen = CASES[verb]
    await window.goto(f"{verbs}{verb}")
    await window.wait_for_function(f"(() => {{ {NAMES} return {seen} }})()")
    await window.evaluate("document.body.append('news')")  # another look changes nothing more
    await window.evaluate("new Promise(done => setTimeout(done, 200))")
    assert await window.evaluate(f"(() => {{ {NAMES} return {seen} }})()")


EVENTS: dict[str, tuple[dict[str, Any], str]] = {
    "scrollDepth": ({"percent": 60}, "scrollTo(0, 2500)"),
    "exitIntent": ({}, "document.dispatchEvent(new MouseEvent('mouseout', { bubbles: true, clientY: -1 }))"),
    "visible": ({"target": {"selector": "#far"}}, "document.querySelector('#far').scrollIntoView()"),
    "customEvent": ({"name": "basket:opened"}, "document.dispatchEvent(new CustomEvent('basket:opened'))"),
    "idle": ({"seconds": 20}, "0"),
}


@pytest.mark.parametrize("event", EVENTS)
async def test_a_mutation_waits_for_its_event(window_with_clock: Page, event: str) -> None:
    fields, happens = EVENTS[event]
    trigger = {"on": "client", "when": {"event": event, **fields}}
    table = table_of({"operations": [{"verb": "setText", **at("h1"), **text("Coffee")}], "trigger": trigger})
    window = window_with_clock
    async with site(PAGE, table) as address:
        await window.goto(address)
        await window.clock.run_for(15_000)
        await expect(window.locator("h1")).to_have_text("Tea for two")
        if event == "idle":  # a movement begins the wait anew
            await window.mouse.move(20, 20)
            await window.clock.run_for(15_000)
            await expect(window.locator("h1")).to_have_text("Tea for two")
            await window.clock.run_for(6_000)
        await window.evaluate(happens)
        await expect(window.locator("h1")).to_have_text("Coffee", use_inner_text=True)


def test_every_event_has_a_case() -> None:
    assert set(EVENTS) == {kind.__struct_config__.tag for kind in get_args(model.ClientEvent)}


async def test_it_gives_up_a_fight(window_with_clock: Page) -> None:
    rival = (
        "<script>window.undone = 0; addEventListener('load', () => { const h1 = document.querySelector('h1');"
        "const undo = () => h1.textContent !== 'Mine' && (window.undone++, h1.textContent = 'Mine');"
        "new MutationObserver(undo).observe(h1, { childList: true, characterData: true, subtree: true }); undo() });</script>"
    )
    table = table_of({"operations": [{"verb": "setText", **at("h1"), **text("Ours")}], "delivery": "guarded"})
    window = window_with_clock
    async with site(f"{HEAD}{rival}</head><body>{BODY}</body></html>", table) as address:
        await window.goto(address)
        await window.clock.run_for(60_000)
        await expect(window.locator("h1[data-layout-mutation-gave-up=m0]")).to_have_text("Mine")
        undone = await window.evaluate("window.undone")
        assert 3 < undone < 12
        await window.evaluate("document.body.append('news')")
        await window.clock.run_for(60_000)
        assert await window.evaluate("window.undone") == undone


async def test_what_is_undone_now_and_then_is_put_back(window_with_clock: Page) -> None:
    table = table_of({"operations": [{"verb": "append", **at("#list"), **html("<li>New</li>")}], "delivery": "guarded"})
    window = window_with_clock
    async with site(PAGE, table) as address:
        await window.goto(address)
        for _ in range(12):
            await window.evaluate("document.querySelector('#list').innerHTML = '<li>Again</li>'")
            await window.clock.run_for(15_000)
            await expect(window.locator("li")).to_have_text(["Again", "New"])


async def test_a_required_target_may_come_late_and_then_all_is_done(window: Page) -> None:
    operations = [
        {"verb": "setText", **at("h1"), **text("Coffee")},
        {"verb": "addClass", **at("#late", required=True), "names": ["seen"]},
    ]
    async with site(PAGE, table_of({"operations": operations, "delivery": "client"})) as address:
        await window.goto(address)
        await expect(window.locator("h1")).to_have_text("Tea for two")
        await window.evaluate("document.body.insertAdjacentHTML('beforeend', '<p id=late>Late</p>')")
        await expect(window.locator("#late.seen")).to_have_count(1)
        await expect(window.locator("h1")).to_have_text("Coffee", use_inner_text=True)


async def test_of_two_mutations_that_want_the_same_the_first_has_it(window: Page) -> None:
    both = [
        {"operations": [{"verb": "setText", **at("h1"), **text(words)}], "delivery": "client", "priority": priority}
        for words, priority in (("Second", 1), ("First", 2))
    ]
    async with site(PAGE, table_of(*both)) as address:
        await window.goto(address)
        await expect(window.locator("h1")).to_have_text("First", use_inner_text=True)
        await expect(window.locator("[data-layout-mutation-gave-up]")).to_have_count(0)


async def test_what_runs_or_loads_is_never_touched(window: Page) -> None:
    head = (
        f'{HEAD}<script type="text/plain" id=s></script><style id=c>h1{{color:red}}</style><base id=b href="/"></head>'
    )
    operations = [
        {"verb": "setAttribute", **at("#s"), "name": "src", "value": "/client.js"},
        {"verb": "setText", **at("#s"), **text("window.ran = true")},
        {"verb": "setText", **at("#c"), **text("h1{color:blue}")},
        {"verb": "setAttribute", **at("#b"), "name": "href", "value": "//elsewhere.example/"},
        {"verb": "addClass", **at("h1"), "names": ["done"]},
    ]
    table = table_of({"operations": operations, "delivery": "client"})
    async with site(f"{head}<body>{BODY}</body></html>", table, script="window.ran = true") as address:
        await window.goto(address)
        await expect(window.locator("h1.done")).to_have_count(1)
        assert await window.evaluate("[window.ran, s.outerHTML, c.textContent, b.getAttribute('href')]") == [
            None,
            '<script type="text/plain" id="s"></script>',
            "h1{color:red}",
            "/",
        ]


@pytest.mark.parametrize(
    "absent", ["IntersectionObserver", "MutationObserver", "AbortController", "CSSStyleSheet", "trustedTypes"]
)
async def test_a_browser_that_lacks_something_shows_the_page(own_window: Page, absent: str) -> None:
    trigger = {"on": "client", "when": {"event": "visible", "target": {"selector": "h1"}}}
    mutations: list[dict[str, Any]] = [
        {"operations": [{"verb": "addClass", **at("h1"), "names": ["seen"]}], "trigger": trigger},
        {"operations": [{"verb": "hideByStyle", **at("#buy")}], "delivery": "client"},
        {"operations": [{"verb": "setText", **at("#far"), **text("Reached")}], "delivery": "client"},
    ]
    await own_window.add_init_script(f"delete window.{absent}")
    async with site(PAGE, table_of(*mutations)) as address:
        await own_window.goto(address)
        await expect(own_window.locator("#far")).to_have_text("Reached")


async def test_content_that_takes_the_scripts_name_gives_it_no_orders(window: Page) -> None:
    """Elements with a name hide properties of the document, so `currentScript` might be an author's picture."""
    orders = {
        "v": 1,
        "groups": [{"id": "x", "operations": [{"verb": "attribute", "target": {"selector": "h1"}, "name": "onclick", "value": "window.ran = 1"}]}],
    }  # fmt: skip
    written = f'<script type="application/json">{json.dumps(orders)}</script><form name="currentScript"></form>'
    mutations: list[dict[str, Any]] = [
        {"operations": [{"verb": "prepend", **at("body"), **html(written)}]},
        {"operations": [{"verb": "addClass", **at("h1"), "names": ["seen"]}], "delivery": "client"},
    ]
    async with site(PAGE, table_of(*mutations)) as address:
        await window.goto(address)
        await expect(window.locator("h1.seen")).to_have_count(1)
        await window.click("h1")
        assert await window.evaluate("window.ran") is None


RUNS_INLINE = "<script nonce=abc>window.own = true</script>"


@pytest.mark.parametrize(
    ("policy", "arrives"),
    [
        ("script-src 'nonce-abc'", True),
        ("script-src 'nonce-abc' 'strict-dynamic' https:", True),
        ("default-src 'self'; script-src 'self' 'nonce-abc'; style-src 'none'", True),
        ("script-src 'self' 'unsafe-inline'", True),
        ("script-src 'sha256-NZnVtq1hYcYoEY0PbFDW6ZqnHMc+uLaDXQBJ80NbqZA=' http://cdn.invalid", True),
        ("script-src 'none'", True),
        ("script-src 'nonce-abc'; require-trusted-types-for 'script'", True),
        ("script-src http://cdn.invalid 'unsafe-inline'", False),
    ],
)
async def test_a_policy_lets_the_script_in_and_nothing_else(plain: Watched, policy: str, arrives: bool) -> None:
    window, complaints = plain
    complaints.said.clear()
    operations = [
        {"verb": "setText", **at("h1"), **text("Coffee")},
        {"verb": "hideByStyle", **at("#buy")},
        {"verb": "after", **at("h1"), **html("<p id=new>New</p>")},
    ]
    table = table_of({"operations": operations, "delivery": "client"})
    async with site(PAGE.replace("</head>", f"{RUNS_INLINE}</head>"), table, policy=policy) as address:
        answer = await window.goto(address)
        assert answer is not None
        if arrives:
            await expect(window.locator("#new")).to_have_text("New")
            await expect(window.locator("#buy")).to_be_hidden()
        else:
            assert (await answer.all_headers())["content-security-policy"] == policy
            await expect(window.locator("script[data-layout-mutation]")).to_have_count(0)
            await expect(window.locator("h1")).to_have_text("Tea for two")
        inline = "'unsafe-inline'" in policy or "'nonce-abc'" in policy
        assert bool(await window.evaluate("window.own")) == inline, "the site's own scripts fare as before"
        assert not [said for said in complaints.said if "layout-mutation" in said]


def test_the_script_is_small() -> None:
    assert len(SCRIPT.bodies["gzip"]) <= 3 * 1024
