"""The whole way, as a stranger goes it: everything started by one command, the printed link, a mutation written, previewed,
switched on, seen on the shop through the sidecar, and rolled back."""

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Complaints, Pictures
from tests.layout_mutation.running_up import RunningUp

UP = (sys.executable, "-m", "layout_mutation", "up")
SEEN_WITHIN_S = 30.0
"""Long enough for a busy machine; how fast it really is, the end-to-end tests measure without a browser."""

HEADLINE = "Tea for the first warm evening"
LATER = "Tea for the last warm evening"


@pytest.fixture
def everything(server_folder: Path) -> Iterator[RunningUp]:
    """What `make run` starts, on free ports."""
    running = RunningUp(server_folder, command=UP)
    try:
        running.start()
        assert running.running, running.text
        yield running
    finally:
        running.dispose()


async def seen(page: Page, address: str, headline: str) -> None:
    """Load the page until it says so; it must within the bound."""
    async with asyncio.timeout(SEEN_WITHIN_S):
        await page.goto(address)
        while await page.locator("h1").inner_text() != headline:
            await page.reload()


async def test_from_the_printed_link_to_the_shop_and_back(
    chromium: Browser, everything: RunningUp, pictures: Pictures
) -> None:
    site = f"http://127.0.0.1:{everything.ports[0]}/"
    shop = await chromium.new_page(viewport={"width": 1280, "height": 900})
    await shop.goto(site)
    original = await shop.locator("h1").inner_text()
    await pictures.take(shop, "20-shop-before")

    link = re.search(r"http://\S+/admin/layout-mutations/sign-in\?token=\S+", everything.text)
    assert link is not None, everything.text
    page = await chromium.new_page(viewport={"width": 1280, "height": 900})
    complaints = Complaints(page)
    await page.goto(link[0])
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator(".strip")).to_contain_text("run it")
    await pictures.take(page, "21-list-of-the-demo", full_page=True)

    await page.get_by_role("link", name="New mutation").click()
    await page.get_by_label("Name", exact=True).fill("A warm evening")
    await page.get_by_label("Page", exact=True).fill("/")
    await page.get_by_label("CSS selector").fill("h1")
    await page.get_by_label("What is replaced").select_option("inner")
    await page.get_by_role("textbox", name="New content").fill(HEADLINE)
    await page.get_by_label("Layer").select_option("micro")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.frame_locator("iframe").nth(1).locator("h1")).to_have_text(HEADLINE)
    await pictures.take(page, "22-preview", full_page=True)
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_role("status").first).to_contain_text("draft")
    await shop.reload()
    assert await shop.locator("h1").inner_text() == original

    await page.locator("summary", has_text="Off").click()
    await page.get_by_role("button", name="Switch on").click()
    await expect(page.get_by_role("status").first).to_contain_text("Switched on.")
    await seen(shop, site, HEADLINE)
    await pictures.take(shop, "23-shop-switched-on")

    await page.get_by_role("link", name="Edit").click()
    await page.get_by_role("textbox", name="New content").fill(LATER)
    await page.get_by_role("button", name="Save and publish").last.click()
    await seen(shop, site, LATER)
    second = page.locator("li", has_text="Version 2")
    await second.get_by_text("Roll back to this").click()
    await second.get_by_label("Reason").fill("The summer came back")
    await page.get_by_role("button", name="Roll back to version 2").click()
    await expect(page.get_by_role("status").first).to_contain_text("Rolled back")
    await seen(shop, site, HEADLINE)
    await pictures.take(page, "24-rolled-back", full_page=True)

    await page.locator("summary", has_text="On").first.click()
    await page.get_by_role("button", name="Switch off").click()
    await expect(page.get_by_role("status").first).to_contain_text("Switched off.")
    await seen(shop, site, original)
    assert complaints.said == []
