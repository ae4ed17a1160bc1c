"""A page before and after, over HTTP and for the admin."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from control_plane.preview import Visit
from rules.errors import RulesError
from rules.model import decode_mutation
from tests.control_plane.plane import Plane, headline, running, settings_of

PAGE = b"<!doctype html><html><body><h1>Old</h1></body></html>"


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    async def page(_: web.Request) -> web.Response:
        return web.Response(body=PAGE, content_type="text/html")

    application = web.Application()
    application.router.add_get("/{path:.*}", page)
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
async def plane(
    database_url: str, redis_url: str, redis_environment: str, tmp_path: Path, origin: str
) -> AsyncIterator[Plane]:
    settings = settings_of(database_url, redis_url, redis_environment, tmp_path, origins={"shop.example": origin})
    async with running(settings) as instance:
        yield instance


async def test_a_page_that_is_handed_in(plane: Plane) -> None:
    await plane.create(headline("Neu", id="de", conditions={"locale": "de-de"}, pageSlug="/x"))
    body = {"url": "https://shop.example/x", "html": "<h1>Grüße</h1>", "context": {"attributes": {"locale": "de-de"}}}
    applied = (await plane.ask("POST", "apply", body)).json()
    assert applied["html"] == "<h1>Neu</h1>"
    assert applied["outcomes"] == [{"mutationId": "de", "reason": "applied", "detail": "1 element"}]
    assert (applied["passed"], applied["tableVersion"]) == ("", 2)
    passed = (await plane.ask("POST", "apply", {**body, "context": {}})).json()
    assert (passed["html"], passed["passed"], passed["outcomes"][0]["reason"]) == (
        "<h1>Grüße</h1>",
        "no_rules",
        "conditions",
    )


async def test_a_page_of_a_registered_origin(plane: Plane) -> None:
    await plane.create()
    applied = (await plane.ask("POST", "apply", {"url": "https://shop.example/"})).json()
    assert applied["html"] == PAGE.decode().replace("Old", "New")
    refused = await plane.ask("POST", "apply", {"url": "http://127.0.0.1:5432/"})
    assert (refused.status, refused.json()["type"].rpartition(":")[2]) == (422, "preview_address")


async def test_content_is_filled_from_the_visit(plane: Plane) -> None:
    template = '<p title="{{props.title}}">{{name|you}}</p>'
    await plane.ask("POST", "modules", {"id": "card", "template": template})
    content = {"component": "card", "props": {"title": "For {{name|you}}"}}
    payload = {"target": {"selector": "h1"}, "scope": "element", "content": content}
    await plane.create({"mutationType": "replace", "mutationPayload": payload})
    for attributes, name in (({"name": '"<b>'}, "&quot;&lt;b&gt;"), ({}, "you")):
        body = {"url": "https://shop.example/", "html": "<h1>Old</h1>", "context": {"attributes": attributes}}
        applied = (await plane.ask("POST", "apply", body)).json()
        assert applied["html"] == f'<p title="For {name}">{name}</p>'


async def test_an_emotion_chooses_what_is_shown(plane: Plane) -> None:
    cases = {"joy": headline("Joy")["mutationPayload"]}
    await plane.create({"mutationType": "emotionMap", "mutationPayload": {"cases": cases}})
    for attributes, html, detail in (
        ({"emotion": "joy"}, "<h1>Joy</h1>", "emotion=joy, 1 element"),
        ({}, "<h1>Old</h1>", "the visit has no emotion; cases: joy"),
    ):
        body = {"url": "https://shop.example/", "html": "<h1>Old</h1>", "context": {"attributes": attributes}}
        applied = (await plane.ask("POST", "apply", body)).json()
        assert (applied["html"], applied["outcomes"][0]["detail"]) == (html, detail)


async def test_words_switch_and_what_names_nothing_is_said(plane: Plane) -> None:
    await plane.create(headline("New", layer="micro"))
    for context, html in (
        ({"disabled": ["layer:micro"]}, "<h1>Old</h1>"),
        ({"disabled": ["layer:macro"]}, "<h1>New</h1>"),
        ({"only": ["page:/", "layer:macro"]}, "<h1>New</h1>"),
        ({"only": ["layer:macro"]}, "<h1>Old</h1>"),
    ):
        body = {"url": "https://shop.example/", "html": "<h1>Old</h1>", "context": context}
        applied = (await plane.ask("POST", "apply", body)).json()
        assert (applied["html"], applied["notUnderstood"]) == (html, ["layer:macro"] if "macro" in str(context) else [])


async def test_an_experiment_is_forced_and_assigned(plane: Plane) -> None:
    await plane.ask("POST", "experiments", {"id": "ab", "variations": [{"key": "control"}, {"key": "b"}]})
    operations = headline("B")["mutationPayload"]["operations"]
    payload = {"experimentId": "ab", "variations": {"control": {}, "b": {"operations": operations}}}
    await plane.create({"mutationType": "variant", "mutationPayload": payload})
    for key, html in (("b", "<h1>B</h1>"), ("control", "<h1>Old</h1>")):
        body = {"url": "https://shop.example/", "html": "<h1>Old</h1>", "context": {"forced": {"ab": key}}}
        applied = (await plane.ask("POST", "apply", body)).json()
        assert (applied["html"], applied["assignments"]) == (html, {"ab": key})


async def test_a_draft_is_shown_as_if_it_were_on_and_nothing_is_saved(plane: Plane) -> None:
    await plane.create(id="welcome")
    draft = decode_mutation(
        b'{"id":"welcome","isActive":false,"status":"draft","mutationType":"hide",'
        b'"mutationPayload":{"target":{"selector":"h1"},"mode":"remove"}}'
    )
    shown = await plane.services.preview.page("https://shop.example/", draft=draft)
    assert (shown.before, shown.after) == (PAGE, PAGE.replace(b"<h1>Old</h1>", b""))
    assert (await plane.ask("GET", "mutations/welcome")).json()["version"] == 1
    assert plane.services.preview.sites().keys() == {"shop.example"}


async def test_an_unusable_draft_is_refused_at_its_field(plane: Plane) -> None:
    draft = decode_mutation(
        b'{"id":"a","mutationType":"hide","mutationPayload":{"target":{"selector":"p"}},"conditions":{"a":{"$no":1}}}'
    )
    with pytest.raises(RulesError) as caught:
        await plane.services.preview.html(PAGE, url="/", draft=draft)
    assert caught.value.path.startswith("$.conditions")


async def test_the_layout_of_a_page_comes_from_the_visit_where_it_is_given(plane: Plane) -> None:
    await plane.create(layoutId="home")
    for layout, after in (("home", b"New"), ("shop", b"Old")):
        shown = await plane.services.preview.html(
            PAGE, url="https://shop.example/", visit=Visit(layout_id=layout), charset="utf-8"
        )
        assert after in shown.after


async def test_a_redirect_is_told_and_the_page_stays(plane: Plane) -> None:
    await plane.create(id="welcome")
    payload = {"to": "https://shop.example/new?a=1", "status": 307}
    await plane.create({"id": "moved", "mutationType": "redirect", "mutationPayload": payload})
    applied = (await plane.ask("POST", "apply", {"url": "https://shop.example/old"})).json()
    there = {"mutationId": "moved", "location": "https://shop.example/new?a=1", "status": 307}
    assert (applied["html"], applied["passed"], applied["redirect"]) == (PAGE.decode(), "", there)
    assert {one["mutationId"]: one["reason"] for one in applied["outcomes"]} == {
        "welcome": "shadowed",
        "moved": "applied",
    }
    at_home = (await plane.ask("POST", "apply", {"url": "https://shop.example/new?a=1"})).json()
    assert (at_home["redirect"], at_home["html"]) == (None, PAGE.decode().replace("Old", "New"))


async def test_attributes_that_follow_and_those_of_the_page(plane: Plane) -> None:
    await plane.create(conditions={"device": "bot", "page.emotion": "joy", "campaign.source": "news"})
    page = PAGE.replace(b"<h1>", b'<meta name="layout-mutation:emotion" content="joy"><h1>')
    visit = Visit(attributes={"userAgent": "Googlebot/2.1"})
    for url, after in (("https://shop.example/?utm_source=news", b"New"), ("https://shop.example/", b"Old")):
        shown = await plane.services.preview.html(page, url=url, visit=visit, charset="utf-8")
        assert after in shown.after
