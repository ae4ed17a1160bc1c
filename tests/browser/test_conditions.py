"""Conditions as rows in a real browser: what is clicked together is the JSON that is saved, and comes back as rows."""

import json
from typing import Any

from aiohttp import web
from playwright.async_api import Locator, Page, expect
from pytest_asyncio import fixture

from control_plane.intent import Intent
from control_plane.services import SERVICES
from control_plane.tokens import Actor, Role
from rules.model import Counter, Derived, Journey, SavedGroup, Step
from rules.targeting import Groups, shared_condition
from tests.browser.conftest import Pictures
from tests.browser.test_admin import page, photograph

__all__ = ["page"]

PURCHASE = Journey(id="purchase", steps=[Step(id="basket", page_slug="/basket"), Step(id="paid", page_slug="/thanks")])


@fixture(loop_scope="session")
async def declared(plane: tuple[web.Application, str]) -> None:
    """Some attributes and a saved group."""
    services, intent = plane[0][SERVICES], Intent(actor=Actor("me", Role.ADMIN))
    for attribute in (PURCHASE, Counter(id="views"), Derived(id="mood", otherwise="calm")):
        await services.attributes.create(attribute, intent)
    await services.saved_groups.create(SavedGroup(id="staff", name="Colleagues", members=["ada"]), intent)


@fixture(loop_scope="session")
async def form(page: Page, sign_in_link: str, declared: None) -> Page:
    """The form of a new mutation."""
    await page.goto(sign_in_link)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="New mutation").click()
    await page.wait_for_url("**/new")  # and for its scripts
    return page


async def add(form: Page, name: str, operator: str, value: str | None = None) -> Locator:
    """One more row."""
    await form.get_by_role("button", name="Add a condition").click()
    row = form.locator(".condition").last
    await row.get_by_label("Attribute").fill(name)
    await row.get_by_label("Attribute").press("Tab")
    await row.get_by_label("Operator").select_option(label=operator)
    field = row.get_by_label("Value")
    if value is not None:
        tag = await field.evaluate("node => node.tagName")
        await (field.select_option(value) if tag == "SELECT" else field.fill(value))
    return row


def written(text: str) -> Any:
    return json.loads(text)


async def test_rows_are_written_as_json_and_come_back(form: Page, pictures: Pictures) -> None:
    box = form.get_by_label("Conditions", exact=True)
    await expect(form.get_by_text("No condition: everybody.")).to_be_visible()
    await add(form, "language", "is one of", "de, fr")
    await add(form, "returning", "is", "true")
    await add(form, "views", "is at least", "3")
    await add(form, "views", "is below", "10")
    await add(form, "purchase.reached", "has not", "paid")
    await add(form, "account", "is in the saved group", "staff")
    await add(form, "query.utm_source", "is there")
    condition = {
        "language": {"$in": ["de", "fr"]},
        "returning": True,
        "views": {"$gte": 3, "$lt": 10},
        "purchase.reached": {"$not": {"$elemMatch": {"$eq": "paid"}}},
        "account": {"$inGroup": "staff"},
        "query.utm_source": {"$exists": True},
    }
    assert written(await box.input_value()) == condition
    await photograph(form, pictures, "13-conditions")
    await form.get_by_label("Name", exact=True).fill("Narrow")
    await form.get_by_label("CSS selector").fill("h1")
    await form.get_by_role("button", name="Save as draft").last.click()
    await form.get_by_role("link", name="Edit").first.click()
    assert written(await form.get_by_label("Conditions", exact=True).input_value()) == condition
    await expect(form.locator(".condition")).to_have_count(7)
    await expect(form.get_by_label("Operator").nth(4)).to_have_value("hasNot")
    await form.get_by_role("button", name="Remove this condition").first.click()
    await form.locator("#conditions-any").select_option("any")
    found = written(await form.get_by_label("Conditions", exact=True).input_value())
    assert found["$or"][:3] == [{"returning": True}, {"views": {"$gte": 3}}, {"views": {"$lt": 10}}]


BEYOND_ROWS: list[dict[str, Any]] = [
    {"$not": {"language": "de"}},
    {"$or": [{"language": "de"}, {"$and": [{"returning": True}]}]},
    {"language": {"$eq": "de"}},
    {"language": ["de"]},
    {"language": " de"},
    {"language": {"$in": ["a,b"]}},
    {"language": {"$in": []}},
    {"views": "3"},
    {"views": {"$size": 2}},
    {"query.n": 12345678901234567890},
]


async def test_what_rows_can_not_show_stays_as_it_is_written(form: Page) -> None:
    box = form.get_by_label("Conditions", exact=True)
    for condition in BEYOND_ROWS:
        text = json.dumps(condition)
        await box.fill(text)
        await box.press("Tab")
        await expect(form.get_by_text("This condition says more than rows can show"), text).to_be_visible()
        await expect(form.get_by_role("button", name="Add a condition")).to_be_hidden()
        await expect(box).to_have_value(text)
        await box.fill('{"language": "de"}')
        await box.press("Tab")
        await expect(form.locator(".condition"), text).to_have_count(1)


async def test_a_row_that_lacks_something_is_not_sent(form: Page) -> None:
    await form.get_by_label("Name", exact=True).fill("Half a thought")
    await form.get_by_label("CSS selector").fill("h1")
    row = await add(form, "views", "is above", "many")
    await form.get_by_role("button", name="Save as draft").last.click()
    await expect(row.get_by_text("Write a number.")).to_be_visible()
    await expect(row.get_by_label("Attribute")).to_be_focused()
    await row.get_by_label("Value").fill("2.5")
    await form.get_by_role("button", name="Save as draft").last.click()
    await expect(form.get_by_role("heading", level=1)).to_have_text("Half a thought")
    await expect(form.get_by_text('"views"')).to_be_visible()


async def test_operators_and_values_fit_the_attribute(form: Page) -> None:
    row = await add(form, "mood", "is", "calm")
    options = await row.locator("datalist option").evaluate_all("nodes => nodes.map(node => node.value)")
    assert options == ["calm"]
    labels = await row.get_by_label("Operator").locator("option").all_inner_texts()
    assert "is version or newer" in labels
    await row.get_by_label("Attribute").fill("purchase.completed")
    await row.get_by_label("Attribute").press("Tab")
    assert await row.get_by_label("Operator").locator("option").all_inner_texts() == ["is", "is there", "is not there"]
    await row.get_by_label("Value").select_option("false")
    assert written(await form.get_by_label("Conditions", exact=True).input_value()) == {"purchase.completed": False}
    await add(form, "__proto__", "is", "x")
    found = written(await form.get_by_label("Conditions", exact=True).input_value())
    assert found == {"purchase.completed": False, "__proto__": "x"}, "a name like any other"


async def test_every_operator_that_rows_offer_is_one_of_the_rules(form: Page) -> None:
    made = await form.evaluate(
        "Object.keys(FITTING).flatMap((type) => FITTING[type].map((operator) => "
        "[type, operator, conditionOf(false, [{ name: 'a.b', operator, text: type === 'boolean' ? 'true' : '1' }], () => type)]))"
    )
    assert {operator for _, operator, _ in made} == set(await form.evaluate("Object.keys(OPERATORS)"))
    groups = Groups({"1": ["1"]})
    for kind, operator, condition in made:
        assert shared_condition(condition, path="$", groups=groups).reads == {"a"}, condition
        back = await form.evaluate("([condition, type]) => rowsOf(condition, () => type)", [condition, kind])
        assert [row["operator"] for row in back["rows"]] == [operator]
