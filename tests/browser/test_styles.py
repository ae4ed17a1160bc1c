"""What Chromium makes of styles and links that were changed: declarations, query parameters, policies in the page."""

import random
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page
from pytest_asyncio import fixture

from rules import model
from rules.addresses import address_with
from rules.css import with_declarations
from rules.group import Group
from rules.html import Rewritten, apply_groups
from rules.splices import spliced

CASES = 1_500
DECLARATIONS = """color:red color\t:\tgreen COLOR:red!important c\\6f\tlor:red background:url(a;b) background-color:blue margin:0
 margin-left:1px!important ; \t /* */ /*;*/ ' " 'a;b' ( ) [ ] { } \\ \n --x:1 --x:'a' @a color url( url(\t'x'\t) !important
 <!-- --> : é content:';' , font:12px/1\ta calc(1px\t+\t2px) #fff 1e3 & \f""".split(" ")
PARTS = "/a ? & utm=1 utm x=%20y = #f %75tm=2 a\tb + && é https://h.example / u%tm utm=a+b ' | %zz ;".split(" ")
SET = {"color": "rgb(1, 2, 3)", "--x": "9"}
STYLES = """cases => cases.map(([before, after]) => {
    const said = (style) => Object.fromEntries([...style].map(n => [n, style.getPropertyValue(n) + style.getPropertyPriority(n)]));
    const [was, now] = [before, after].map(text => {
        const element = document.createElement("p"); element.setAttribute("style", text); return element.style; });
    for (const name of ["color", "--x"]) was.removeProperty(name);
    return [said(was), said(now)];
})"""
LINKS = """cases => cases.map(([before, after]) => {
    let address; try { address = new URL(before, "https://b.example/d/") } catch { return ["", ""] }
    address.searchParams.set("utm", "v w"); address.searchParams.set("n", "é~");
    const now = new URL(after, "https://b.example/d/");
    return [address, now].map(one => [one.origin, one.pathname, one.hash, ...one.searchParams].join("\\n"));
})"""


@fixture(loop_scope="session")
async def blank(chromium: Browser) -> AsyncIterator[Page]:
    page = await chromium.new_page()
    yield page
    await page.close()


def texts(chance: random.Random, parts: list[str], most: int) -> list[str]:
    """Made-up texts of these parts."""
    some = ("".join(chance.choices(parts, k=chance.randint(0, most))) for _ in range(CASES))
    return [text.replace("\t", " ") for text in some]


async def test_a_style_attribute_says_what_was_set_and_all_it_said_before(blank: Page) -> None:
    styles = texts(random.Random(7), [part + end for part in DECLARATIONS for end in ("", ";")], 7)
    changes = [(style, with_declarations(style, SET)) for style in styles]
    cases = [[style, spliced(style, change)] for style, change in changes if change is not None]
    assert len(cases) > CASES / 3
    for case, (was, now) in zip(cases, await blank.evaluate(STYLES, cases), strict=True):
        assert now == was | SET, case


async def test_a_link_is_what_search_params_make_of_it(blank: Page) -> None:
    links = [f"/p{text}" for text in texts(random.Random(8), PARTS, 6)]
    cases = [[link, address_with(link, {"utm": "v w", "n": "é~"})] for link in links]
    for case, (wanted, now) in zip(cases, await blank.evaluate(LINKS, cases), strict=True):
        assert now == wanted, case


@pytest.mark.parametrize(
    "policy",
    [
        "default-src 'none'",
        "style-src 'self'",
        "style-src 'nonce-abc'",
        "style-src-elem 'none'; style-src 'unsafe-inline'",
        "default-src 'self'; style-src 'none'",
        "style-src 'unsafe-inline' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    ],
)
async def test_a_style_block_applies_under_a_strict_policy_in_the_page(chromium: Browser, policy: str) -> None:
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    page = f"<!doctype html><html><head>{meta}<style>b{{color:rgb(1,2,3)}}</style></head><body><p>x</p><b>y</b></body></html>"
    hide = model.HideByStyle(target=model.Target(selector="p"))
    result = apply_groups(page.encode(), [Group("a", (hide,))], charset="utf-8")
    assert isinstance(result, Rewritten)
    seen = []
    for shown in (page, result.page.decode()):
        tab = await chromium.new_page()  # a policy stays with its document
        await tab.set_content(shown)
        seen.append(
            await tab.evaluate(
                "[...document.querySelectorAll('p, b')].map(one => getComputedStyle(one))"
                ".map(style => [style.display, style.color])"
            )
        )
        await tab.close()
    assert [element[0] for element in seen[1]] == ["none", "inline"]
    assert seen[0][1] == seen[1][1], "what the policy forbade stays forbidden"
