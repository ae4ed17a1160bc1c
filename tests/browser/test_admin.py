"""The admin in a real browser, as a person goes through it; every page is photographed wide and narrow, light and dark."""

from collections.abc import AsyncIterator
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, expect
from pytest_asyncio import fixture

from tests.browser.conftest import Complaints, Pictures

SIZES = {"1280": (1280, 900), "390": (390, 844)}
SUMMER = "Summer is here, and so is the good tea"
THEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")


async def photograph(page: Page, pictures: Pictures, name: str) -> None:
    """The whole page at each size and in each theme; nothing may stick out sideways."""
    for size, (width, height) in SIZES.items():
        await page.set_viewport_size({"width": width, "height": height})
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} px wide at {width}"
        if pictures.wanted:
            await in_each_theme(page, pictures, f"{name}-{size}")
    await page.set_viewport_size({"width": 1280, "height": 900})


async def in_each_theme(page: Page, pictures: Pictures, name: str) -> None:
    """What does not fit the window too."""
    size = await page.evaluate("[innerWidth, Math.max(innerHeight, document.documentElement.scrollHeight)]")
    await page.set_viewport_size({"width": size[0], "height": size[1]})  # frames out of view aren't painted
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        await pictures.take(page, f"{name}-{theme}")
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")


@fixture(loop_scope="session")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    """A window; whatever its console complains about fails the test."""
    context = await chromium.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    complaints = Complaints(page)
    yield page
    assert complaints.said == []


async def test_a_mutation_from_sign_in_to_roll_back(page: Page, sign_in_link: str, pictures: Pictures) -> None:
    await page.goto(sign_in_link)
    await photograph(page, pictures, "01-sign-in")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="No mutations yet")).to_be_visible()
    await photograph(page, pictures, "02-empty-list")
    await page.get_by_role("link", name="Write the first mutation").click()
    await write_and_mend(page, pictures)
    await preview_and_save(page, pictures)
    await switch_on(page, pictures)
    await edit_and_roll_back(page, pictures)
    await page.get_by_role("link", name="Mutations", exact=True).first.click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await photograph(page, pictures, "09-list")


async def write_and_mend(page: Page, pictures: Pictures) -> None:
    """Fill in the form with a mistake, find the message at its field, and mend it."""
    await page.get_by_label("Name", exact=True).fill("A warmer welcome on the front page")
    await page.get_by_label("Page", exact=True).fill("/")
    await page.get_by_label("CSS selector").fill("h1[")
    await page.get_by_label("What is replaced").select_option("inner")
    await page.get_by_role("textbox", name="New content").fill(SUMMER)
    await page.get_by_label("Reason").fill("Campaign of June")
    await photograph(page, pictures, "03-form")
    await page.get_by_role("button", name="Save as draft").last.click()
    selector = page.get_by_label("CSS selector")
    await expect(selector).to_have_attribute("aria-invalid", "true")
    await expect(page.locator("#problems")).to_be_focused()
    await expect(page.get_by_label("Name", exact=True)).to_have_value("A warmer welcome on the front page")
    await photograph(page, pictures, "04-problem-at-the-field")
    await page.locator("#problems").get_by_role("link", name="CSS selector").click()
    await selector.fill("h1")


async def preview_and_save(page: Page, pictures: Pictures) -> None:
    """Before and after of the real shop, with its styles and without its scripts."""
    await page.get_by_role("button", name="Preview").click()
    before, after = page.frame_locator("iframe").nth(0), page.frame_locator("iframe").nth(1)
    await expect(after.locator("h1")).to_have_text(SUMMER)
    await expect(before.locator("h1")).not_to_have_text(SUMMER)
    assert await after.locator("body").evaluate("node => getComputedStyle(node).backgroundColor") != "rgba(0, 0, 0, 0)"
    await expect(page.locator(".outcomes")).to_contain_text("Applied")
    await photograph(page, pictures, "05-preview")
    await page.get_by_label("Phone").check()
    await pictures.take(page, "05-preview-phone", full_page=True)
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("A warmer welcome on the front page")
    await photograph(page, pictures, "06-draft")


async def switch_on(page: Page, pictures: Pictures) -> None:
    """With the keyboard: the question begins in its first field."""
    await page.locator("summary", has_text="Off").click()
    await expect(page.get_by_label("Reason").first).to_be_focused()
    await page.keyboard.type("Summer begins")
    await pictures.take(page, "07-switch")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status").first).to_contain_text("Switched on.")


async def edit_and_roll_back(page: Page, pictures: Pictures) -> None:
    """A new version, what it changed, and the way back to the one before."""
    await page.get_by_role("link", name="Edit").click()
    await page.get_by_role("textbox", name="New content").fill(SUMMER.replace("Summer", "Autumn"))
    await page.get_by_label("Reason").fill("Leaves are falling")
    await page.get_by_role("button", name="Save and publish").last.click()
    await expect(page.locator(".changes ins").first).to_have_text("Autumn")
    await photograph(page, pictures, "08-history")
    second = page.locator("li", has_text="Version 2")
    await second.get_by_text("Roll back to this").click()
    await expect(second.get_by_label("Reason")).to_be_focused()
    await page.keyboard.type("Summer came back")
    await page.get_by_role("button", name="Roll back to version 2").click()
    await expect(page.get_by_role("status").first).to_contain_text("Rolled back")
    await expect(page.locator(".said")).to_contain_text("Summer is here")


async def test_each_type_has_its_fields_at_once(page: Page, sign_in_link: str, pictures: Pictures) -> None:
    await page.goto(sign_in_link)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="New mutation").click()
    await page.get_by_label("Name", exact=True).fill("Kept over the change")
    await page.get_by_role("radio", name="Set").check()
    await expect(page.get_by_role("textbox", name="Operations")).to_be_visible()
    await expect(page.get_by_label("Name", exact=True)).to_have_value("Kept over the change")
    await page.get_by_text("A worked example").click()
    await photograph(page, pictures, "10-operations")
    await page.get_by_role("radio", name="Variant").check()
    await expect(page.get_by_role("textbox", name="Variations")).to_be_visible()


async def test_only_fields_that_mean_something_are_shown(page: Page, sign_in_link: str, pictures: Pictures) -> None:
    await page.goto(sign_in_link)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="New mutation").click()
    segment, event = page.get_by_label("Segment"), page.get_by_label("What happens")
    percent, element = page.get_by_label("Scrolled down, per cent"), page.get_by_label("Comes into view")
    for field in (segment, event, percent, element):
        await expect(field).to_be_hidden()
    considered = page.get_by_label("Considered")
    await considered.select_option("client")
    await expect(event).to_be_visible()
    await expect(percent).to_be_visible()
    await expect(element).to_be_hidden()
    await event.select_option("visible")
    await expect(element).to_be_visible()
    await expect(percent).to_be_hidden()
    await element.fill("#reviews")
    await photograph(page, pictures, "12-in-the-browser")
    await considered.select_option("segment")
    await expect(segment).to_be_visible()
    for field in (event, percent, element):
        await expect(field).to_be_hidden()
    await considered.select_option("client")
    await page.get_by_role("radio", name="Call to action").check()
    await expect(page.get_by_role("textbox", name="Label")).to_be_visible()
    await expect(page.get_by_label("Comes into view")).to_have_value("#reviews")


async def test_without_scripts_everything_is_there(chromium: Browser, sign_in_link: str) -> None:
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(sign_in_link)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="Write the first mutation").click()
    await page.get_by_role("radio", name="Hide").check()
    await page.get_by_role("button", name="Show the fields of this type").click()
    await expect(page.get_by_label("Comes into view")).to_be_visible()
    await page.get_by_label("Name", exact=True).fill("By hand")
    await page.get_by_label("Considered").select_option("client")
    await page.get_by_label("Scrolled down, per cent").fill("30")
    await page.get_by_label("CSS selector").fill("footer")
    await page.get_by_role("button", name="Save as draft").last.click()
    await page.locator("summary", has_text="Off").click()
    await page.get_by_role("button", name="Switch on").click()
    await expect(page.get_by_role("status").first).to_contain_text("Switched on.")
    await context.close()


async def test_the_list_filters_while_one_types(page: Page, sign_in_link: str) -> None:
    await page.goto(sign_in_link)
    await page.get_by_role("button", name="Sign in").click()
    for name, selector in (("Alpha", "h1"), ("Beta", "h2")):
        await page.get_by_role("link", name="New mutation").click()
        await page.get_by_label("Name", exact=True).fill(name)
        await page.get_by_label("CSS selector").fill(selector)
        await page.get_by_role("button", name="Save as draft").last.click()
        await page.get_by_role("link", name="Mutations", exact=True).first.click()
    if not await page.evaluate("'htmx' in window"):
        pytest.skip("the vendor scripts were not fetched (set-up does, by npm)")
    await page.get_by_label("Find").press_sequentially("alp")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.wait_for_url("**text=alp&state=&type=&page=")
    await page.get_by_label("State").select_option("on")
    await expect(page.get_by_role("heading", name="Nothing fits")).to_be_visible()


async def test_two_people_at_one_mutation(page: Page, sign_in_link: str, pictures: Pictures) -> None:
    await page.goto(sign_in_link)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="New mutation").click()
    await page.get_by_label("Name", exact=True).fill("A headline")
    await page.get_by_label("CSS selector").fill("h1")
    await page.get_by_role("textbox", name="New content").fill(SUMMER)
    await page.get_by_role("button", name="Save as draft").last.click()
    await page.get_by_role("link", name="Edit").click()
    other = await page.context.new_page()
    await other.goto(page.url)
    await other.get_by_role("textbox", name="New content").fill("Spring is here")
    await other.get_by_role("button", name="Save", exact=True).last.click()
    await expect(other.get_by_role("status").first).to_contain_text("Saved.")
    await page.get_by_role("textbox", name="New content").fill("Winter is here")
    await page.get_by_role("button", name="Save", exact=True).last.click()
    await expect(page.get_by_role("heading", name="Somebody else saved this in between")).to_be_visible()
    await expect(page.get_by_role("textbox", name="New content")).to_have_value("Winter is here")
    await photograph(page, pictures, "11-conflict")


async def test_a_toggle_is_written_and_lifted(page: Page, sign_in_link: str, pictures: Pictures) -> None:
    await page.goto(sign_in_link)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="Toggles").click()
    await photograph(page, pictures, "14-no-toggles")
    await page.get_by_label("Name", exact=True).fill("Sale over")
    await page.get_by_label("Page", exact=True).fill("/sale/**")
    await page.get_by_label("Module", exact=True).fill("countdown")
    await page.get_by_label("Note", exact=True).fill("The countdown shows negative days.")
    await page.get_by_label("Reason").fill("Called by the shop")
    await page.get_by_role("button", name="Save the toggle").click()
    row = page.locator("tbody tr")
    await expect(row).to_contain_text("off now")
    await photograph(page, pictures, "15-toggles")
    await row.locator("summary", has_text="Let it be on").click()
    await row.get_by_label("Reason").first.fill("Mended")
    await row.get_by_role("button", name="Let it be on").click()
    await expect(page.locator("tbody tr")).to_contain_text("not in force")


async def test_the_parts_of_a_trigger_are_offered(page: Page, sign_in_link: str, pictures: Pictures) -> None:
    await page.goto(sign_in_link)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="New mutation").click()
    await page.get_by_label("Considered").select_option("journey")
    await expect(page.get_by_label("Where the visit stands")).to_have_value("reached")
    await expect(page.get_by_label("Question")).to_be_hidden()
    await page.get_by_label("Considered").select_option("emotion")
    await page.get_by_label("CSS selector").fill("h1")
    await page.get_by_role("button", name="Save as draft").last.click()
    await expect(page.locator("#problems")).to_contain_text("Emotions: This is needed.")
    await page.get_by_label("Emotions").fill("joy\nno spaces please")
    await page.get_by_role("button", name="Save as draft").last.click()
    await expect(page.locator("#problems")).to_contain_text("line 2")
    await photograph(page, pictures, "16-a-line-of-words")
