"""Writing: a refusal stands at its field, nothing typed is lost, nobody's version is overwritten unseen."""

import json

import msgspec
import pytest
from selectolax.lexbor import LexborHTMLParser

from control_plane.admin.addresses import PREFIX, mutation
from control_plane.admin.form_fields import mutation_types
from control_plane.intent import Intent
from control_plane.services import Services
from control_plane.tokens import Actor, Role
from rules.model import Module
from tests.control_plane.admin.person import Person, Seen, form_fields
from tests.control_plane.admin.writing import HEADLINE, write

FORM = "form[data-typed]"
XSS = """"'><script>alert(1)</script><img src=x onerror=alert(1)></textarea>{{7*7}}"""

PAYLOADS: dict[str, dict[str, str]] = {
    "set": {"mutationPayload.operations": '[{"verb": "remove", "target": {"selector": ".ad"}}]'},
    "insert": {
        "mutationPayload.target.selector": "h1",
        "mutationPayload.position": "after",
        "mutationPayload.content": "html",
        "mutationPayload.content.value": "<p>New &amp; true</p>",
    },
    "replace": {name: str(value) for name, value in HEADLINE.items()},
    "emotionMap": {
        "mutationPayload.cases": '{"joy": {"operations": [{"verb": "remove", "target": {"selector": ".ad"}}]}, "calm": {}}',
    },
    "hide": {"mutationPayload.target.selector": ".ad", "mutationPayload.mode": "attribute"},
    "theme": {
        "mutationPayload.tokens": '{"--brand": "#b5541c"}',
        "mutationPayload.classes": "autumn\nwarm",
        "mutationPayload.css": "a{b:c}",
    },
    "cta": {
        "mutationPayload.target.selector": ".buy",
        "mutationPayload.label": "Buy now",
        "mutationPayload.tracking": '{"utm_source": "site"}',
    },
    "redirect": {"mutationPayload.to": "/new", "mutationPayload.status": "308", "mutationPayload.keepQuery": "on"},
    "remove": {"mutationPayload.target.selector": ".ad", "mutationPayload.keepContent": "on"},
    "move": {
        "mutationPayload.target.selector": ".offer",
        "mutationPayload.position": "before",
        "mutationPayload.anchor.selector": "h1",
    },
    "reorder": {
        "mutationPayload.container.selector": "main",
        "mutationPayload.order": '[{"selector": ".offer"}, {"moduleId": "reviews"}]',
    },
    "layout": {
        "mutationPayload.regions": '{"main": {"container": {"selector": "main"}, "modules": ["a"], "hidden": ["b"]}}'
    },
}


def problem_at(page: Seen, field: str) -> str:
    """The message at a field, which the field itself must point to."""
    node = page.tree.css_first(f'[id="{field}"]')
    assert node is not None, f"no field {field}"
    assert node.attributes.get("aria-invalid") == "true", page.words("#problems")
    assert f"problem-{field}" in (node.attributes.get("aria-describedby") or "").split()
    link = page.tree.css_first(f'#problems a[href="#{field}"]')
    assert link is not None
    return page.words(f'[id="problem-{field}"]')


@pytest.mark.parametrize("mutation_type", sorted(PAYLOADS))
async def test_each_type_is_saved_as_a_draft_and_comes_back(
    admin: Person, services: Services, mutation_type: str
) -> None:
    saved = await write(
        admin, mutation_type, **PAYLOADS[mutation_type] | {"name": f"A {mutation_type}", "reason": "first"}
    )
    assert "draft" in saved.page.words("[role=status]")
    stored = await services.mutations.get(saved.id)
    assert (stored.name, stored.is_active, stored.status, stored.created_by) == (
        f"A {mutation_type}",
        False,
        "draft",
        "admin",
    )
    (version,) = await services.mutations.versions(saved.id)
    assert version.reason == "first"
    form = await admin.open(mutation(saved.id, "edit"))
    again = await admin.submit(form, FORM, button="save")
    assert again.words("h1") == f"A {mutation_type}"
    assert "say the same" in again.words("[aria-labelledby=changes-title]")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("mutation_type", "field", "value", "fragment"),
    [
        ("replace", "mutationPayload.target.selector", "h1[", ""),
        ("replace", "mutationPayload.target.selector", "", "selector"),
        ("replace", "mutationPayload.target.maxMatches", "many", "whole number"),
        ("replace", "mutationPayload.target.maxMatches", "0", ""),
        ("replace", "conditions", '{"language": {"$near": 1}}', "$near"),
        ("replace", "conditions", "{", "line 1"),
        ("replace", "schedule.timezone", "Middle/Earth", ""),
        ("replace", "priority", "9999999999", ""),
        ("set", "mutationPayload.operations", '[{"verb": "explode"}]', ""),
        ("set", "mutationPayload.operations", "", "needed"),
        ("insert", "mutationPayload.position", "sideways", ""),
        ("emotionMap", "mutationPayload.cases", '{"joy": {"operation": []}}', "operations"),
        ("reorder", "mutationPayload.container.selector", "h1[", ""),
        ("reorder", "mutationPayload.order", '[{"selector": "h1["}]', ""),
        ("move", "mutationPayload.anchor.selector", "h1[", ""),
        ("layout", "mutationPayload.regions", '{"main": {"container": {"selector": "h1["}, "modules": ["a"]}}', ""),
        ("theme", "mutationPayload.tokens", '{"--a": "url(x)"}', "loads nothing"),
        ("theme", "mutationPayload.tokens", '{"a": "1"}', ""),
        ("theme", "mutationPayload.stylesheet", "//cdn.example/a.css", "another site"),
        ("theme", "mutationPayload.css", "a{b:c", "not balanced"),
        ("cta", "mutationPayload.href", "javascript:alert(1)", "runs a script"),
        ("cta", "mutationPayload.attributes", '{"onclick": "x"}', "runs a script"),
        ("cta", "mutationPayload.target.selector", "a[", ""),
        ("redirect", "mutationPayload.to", "//evil.example", "another site"),
        ("redirect", "mutationPayload.to", "", "needed"),
        ("redirect", "mutationPayload.status", "200", ""),
    ],
)
async def test_a_refusal_stands_at_its_field_and_the_text_stays(
    refused: tuple[Person, Services], mutation_type: str, field: str, value: str, fragment: str
) -> None:
    admin, services = refused
    form = await admin.open(f"{PREFIX}/new?type={mutation_type}")
    typed = {**PAYLOADS[mutation_type], "name": "Half done", "note": "keep me", field: value}
    page = await admin.submit(form, FORM, typed, button="save")
    assert page.status == 422
    assert fragment in problem_at(page, field)
    assert page.words("#problems h2") == "Not saved: one thing to mend"
    node = page.tree.css_first(FORM)
    assert node is not None
    kept = form_fields(node)
    for name, text in typed.items():
        if name not in {
            "mutationPayload.position",
            "mutationPayload.status",
        }:  # a select has no place for what isn't one of its choices
            assert kept[name] == text, name
    assert (await services.mutations.page()).items == ()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("way", "value", "fragment"),
    [
        ("html", "<p><b>open", "not balanced"),
        ("html", "<p title={{name}}>x</p>", "attributes need quotes"),
        ("text", "Hi {{", "is no placeholder"),
        ("component", '{"component": "nowhere"}', "no module 'nowhere'"),
        ("component", "nowhere", "Not JSON"),
    ],
)
async def test_content_that_is_not_fit_is_refused_at_the_content(
    refused: tuple[Person, Services], way: str, value: str, fragment: str
) -> None:
    admin, services = refused
    form = await admin.open(f"{PREFIX}/new?type=insert")
    typed = {**PAYLOADS["insert"], "mutationPayload.content": way, "mutationPayload.content.value": value}
    page = await admin.submit(form, FORM, typed, button="save")
    assert page.status == 422
    assert fragment in problem_at(page, "mutationPayload.content")
    assert (await services.mutations.page()).items == ()


async def test_a_component_is_written_and_comes_back(admin: Person, services: Services) -> None:
    card = Module(id="card", template="<p>{{props.title}}</p>")
    await services.modules.create(card, Intent(actor=Actor("admin", Role.ADMIN)))
    typed = {**PAYLOADS["insert"], "mutationPayload.content": "component"}
    value = '{"component": "card", "props": {"title": "For {{name|you}}"}}'
    saved = await write(admin, "insert", **typed | {"mutationPayload.content.value": value, "name": "Card"})
    stored = await services.mutations.get(saved.id)
    assert json.loads(msgspec.json.encode(stored))["mutationPayload"]["content"]["component"] == "card"
    node = (await admin.open(mutation(saved.id, "edit"))).tree.css_first(FORM)
    assert node is not None
    kept = form_fields(node)
    assert json.loads(str(kept["mutationPayload.content.value"])) == json.loads(value)


@pytest.mark.asyncio(loop_scope="module")
async def test_several_things_that_cant_be_read_are_all_named(refused: tuple[Person, Services]) -> None:
    admin, services = refused
    form = await admin.open(f"{PREFIX}/new?type=set")
    page = await admin.submit(form, FORM, {"priority": "x", "conditions": "{"}, button="save")
    assert page.words("#problems h2") == "Not saved: 3 things to mend"
    for field in ("priority", "conditions", "mutationPayload.operations"):
        assert problem_at(page, field)
    assert (await services.mutations.page()).items == ()


async def test_another_type_keeps_what_fits(admin: Person) -> None:
    form = await admin.open(f"{PREFIX}/new?type=replace")
    typed = {**HEADLINE, "mutationType": "insert"}
    page = await admin.submit(form, FORM, typed, button="type")
    node = page.tree.css_first(FORM)
    assert node is not None
    kept = form_fields(node)
    assert kept["name"] == "Summer headline"
    assert kept["mutationPayload.content.value"] == "Summer is here"
    assert kept["mutationPayload.position"] == "before"
    assert "mutationPayload.scope" not in kept
    saved = await admin.submit(page, FORM, button="save")
    assert saved.words(".chip") == "insert"


async def test_two_people_at_once(admin: Person, editor: Person, services: Services) -> None:
    saved = await write(admin)
    mine = await editor.open(mutation(saved.id, "edit"))
    theirs = await admin.open(mutation(saved.id, "edit"))
    await admin.submit(theirs, FORM, {"note": "by the admin"}, button="save")
    clash = await editor.submit(mine, FORM, {"name": "By the editor"}, button="save")
    assert clash.status == 409
    assert "Version 2 by admin" in clash.words("[role=alert]")
    assert clash.words(".changes ins") == "By the editor" or "By the editor" in clash.words(".changes")
    assert (await services.mutations.get(saved.id)).note == "by the admin"
    node = clash.tree.css_first(FORM)
    assert node is not None
    assert form_fields(node)["name"] == "By the editor"
    assert clash.words(".save .main") == "Save over version 2"
    done = await editor.submit(clash, FORM, button="save")
    assert done.status == 200
    assert (await services.mutations.get(saved.id)).version == 3


async def test_sending_the_new_form_twice_makes_one_mutation(admin: Person, services: Services) -> None:
    form = await admin.open(f"{PREFIX}/new?type=hide")
    typed = {"name": "Once", "mutationPayload.target.selector": ".x"}
    await admin.submit(form, FORM, typed, button="save")
    again = await admin.submit(form, FORM, typed, button="save")
    assert again.status == 200
    assert "was there already" in again.words()
    assert len((await services.mutations.page()).items) == 1


async def test_what_the_form_does_not_show_is_kept(admin: Person, services: Services) -> None:
    saved = await write(admin)
    await admin.submit(await admin.open(mutation(saved.id)), "details.turn form")
    on = await services.mutations.get(saved.id)
    assert (on.is_active, on.status) == (True, "active")
    form = await admin.open(mutation(saved.id, "edit"))
    assert form.words(".save .main") == "Save and publish"
    await admin.submit(form, FORM, {"name": "Other"}, button="save")
    still = await services.mutations.get(saved.id)
    assert (still.is_active, still.status, still.name) == (True, "active", "Other")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("mutation_type", sorted(mutation_types()))
async def test_markup_in_every_field_comes_back_as_text(refused: tuple[Person, Services], mutation_type: str) -> None:
    admin, services = refused
    page = await admin.open(f"{PREFIX}/new?type={mutation_type}")
    clean = shape(page.text)
    node = page.tree.css_first(FORM)
    assert node is not None
    fields = form_fields(node)
    typed = {name: XSS for name in fields if name not in ("csrf", "mutationType", "shownType")} | {"reason": XSS}
    answer = await admin.send(f"{PREFIX}/new", {**fields, **typed, "do": "save"})
    assert answer.status == 422
    assert shape(answer.text) == clean
    retyped = form_fields(LexborHTMLParser(answer.text).css_first(FORM) or node)
    assert retyped["note"] == retyped["name"] == retyped["reason"] == XSS
    assert (await services.mutations.page()).items == ()


async def test_markup_that_is_saved_is_text_everywhere(admin: Person) -> None:
    operations = json.dumps(
        [{"verb": "setText", "target": {"selector": "h1"}, "content": {"text": XSS.replace("{{", "\\{{")}}]
    )
    conditions = json.dumps({XSS: XSS})
    fields = {"name": XSS, "note": XSS, "reason": XSS, "layoutId": XSS, "conditions": conditions, "pageSlug": "/x"}
    saved = await write(admin, "set", **fields | {"mutationPayload.operations": operations})
    await admin.submit(await admin.open(mutation(saved.id)), "details.turn form", {"reason": XSS})
    for address in ("", f"?text={'%3Cscript%3E'}", "/new"):
        assert harmless(await admin.open(f"{PREFIX}{address}"))
    for address in ("", "edit"):
        assert harmless(await admin.open(mutation(saved.id, address)))
    assert harmless(await admin.open(f"{PREFIX}/preview?mutation={saved.id}"))
    searched = await admin.open(f"{PREFIX}?text=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&page=%22%3E%3Cscript%3E")
    assert harmless(searched)


def shape(text: str) -> list[str]:
    """The scripts, pictures and handlers of a page: what markup that got in would add to."""
    tree = LexborHTMLParser(text)
    handlers = [name for node in tree.css("*") for name in node.attributes if name.startswith("on")]
    return [*(node.attributes.get("src") or "inline" for node in tree.css("script, img")), *handlers]


def harmless(page: Seen) -> bool:
    return all(found.startswith(f"{PREFIX}/static/") for found in shape(page.text)) and page.status == 200
