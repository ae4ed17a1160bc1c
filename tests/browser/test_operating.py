"""The admin's pages about the installation in a real browser: without scripts, by keyboard, photographed wide and narrow."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect
from yarl import URL

from control_plane.admin.addresses import BACKUPS, CONFLICTS, DELETED, HISTORY, PREFIX, entry
from control_plane.services import SERVICES, Services
from control_plane.tokens import Role
from tests.browser.conftest import Pictures
from tests.browser.test_admin import photograph
from tests.control_plane.admin.person import Person
from tests.control_plane.admin.test_conflicts import wait_with
from tests.control_plane.admin.writing import write

pytestmark = pytest.mark.soak
"""tests/control_plane/admin goes through the same pages by their forms, in a tenth of the time."""


@pytest.fixture
async def page(chromium: Browser, sign_in_link: str) -> AsyncIterator[Page]:
    """A window without scripts, signed in."""
    context = await chromium.new_context(viewport={"width": 1280, "height": 900}, java_script_enabled=False)
    page = await context.new_page()
    await page.goto(sign_in_link)
    await page.get_by_role("button", name="Sign in").click()
    yield page
    await context.close()


@pytest.fixture
def services(plane: tuple[web.Application, str]) -> Services:
    return plane[0][SERVICES]


@pytest.fixture
def base(plane: tuple[web.Application, str]) -> str:
    return plane[1]


@pytest.fixture
async def written(base: str, services: Services) -> AsyncIterator[str]:
    """A mutation of Grace's."""
    grace = await Person(URL(base), services.tokens).sign_in(Role.EDITOR, "Grace")
    yield (await write(grace)).id
    await grace.close()


async def by_keyboard(page: Page, name: str) -> None:
    """Tab until the button has the focus, and press it."""
    button = page.get_by_role("button", name=name)
    for _ in range(60):
        if await button.evaluate("node => node === document.activeElement"):
            await page.keyboard.press("Enter")
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not come to {name}")


async def test_a_conflict_is_settled_and_undone_by_keyboard(
    page: Page, base: str, services: Services, written: str, pictures: Pictures
) -> None:
    await photograph_of(page, base + CONFLICTS, pictures, "20-no-conflicts")
    await wait_with(services, written, "Autumn is here, and so is the good tea")
    await services.conflicts.look()
    await page.goto(base + PREFIX)
    await page.get_by_role("link", name="Look at both sides, and choose").click()
    await photograph(page, pictures, "21-conflict-of-two")
    await page.get_by_label("Reason").focus()
    await page.keyboard.type("Autumn it is")
    await by_keyboard(page, "Take the change that waits")
    await expect(page.get_by_role("status")).to_contain_text("as a new version")
    await page.get_by_role("link", name="History").click()
    await expect(page.locator("tbody tr").first).to_contain_text("settled the conflict")
    await photograph(page, pictures, "22-history")
    number = (await services.audit.page(kind="mutation", limit=1)).items[0].number
    await photograph_of(page, base + entry(number), pictures, "23-entry")
    await page.get_by_label("Reason").focus()
    await page.keyboard.type("Summer came back")
    await by_keyboard(page, "Undo this")
    await expect(page.get_by_role("status").first).to_contain_text("Taken back")
    await photograph_of(page, base + DELETED, pictures, "24-nothing-deleted")


async def test_a_backup_is_made_tried_and_the_chain_verified(
    page: Page, base: str, services: Services, pictures: Pictures
) -> None:
    async with asyncio.timeout(60):
        while not await services.backups.all():  # the first one is made by itself
            await asyncio.sleep(0.05)
    await page.goto(base + BACKUPS)
    await page.get_by_role("button", name="Make one now").click()
    await look_until_done(page, "was made and read back")
    by_hand = page.locator("tbody tr").filter(has_text="by hand")
    await by_hand.get_by_role("button", name="Try the backup").click()
    await look_until_done(page, "its audit is sound")
    await expect(by_hand).to_contain_text("holds")
    await photograph(page, pictures, "25-backups")
    await page.goto(base + HISTORY)
    await page.get_by_role("button", name="Verify all of it now").click()
    again = page.get_by_role("link", name="Look again")
    while await again.count():
        await again.click()
    await expect(page.locator("#chain")).to_contain_text("sound")


async def photograph_of(page: Page, address: str, pictures: Pictures, name: str) -> None:
    await page.goto(address)
    await photograph(page, pictures, name)


async def look_until_done(page: Page, outcome: str) -> None:
    """As a person without scripts does."""
    again = page.get_by_role("link", name="Look again")
    while await again.count():
        await again.click()
    await expect(page.get_by_role("status")).to_contain_text(outcome)
