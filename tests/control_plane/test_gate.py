"""What is switched on is tried before: refused where a second opinion differs, told where there is none."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from control_plane.gate import NOT_TRIED, Gate, sample_address
from control_plane.judge import Judge
from control_plane.origin_pages import OriginPage, OriginPages
from control_plane.rewriter import Rewriter
from rules.model import LayoutMutation, RulesFile, decode_mutation
from service.opinions import Case, Doubt, Opinion, Verdict
from tests.control_plane.plane import Plane, headline, running, settings_of

PAGE = b"<!doctype html><html><head><title>t</title></head><body><h1>Old</h1></body></html>"
AGREES = "a second parser agrees on https://shop.example"


class Strict(Judge):
    """A judge that differs about every page with this word in it, and has no opinion on another."""

    async def opinion(self, case: Case) -> Opinion:
        if b"Wrong" in case.rewritten:
            return Opinion(Verdict.DIFFERS, detail="html > body: expected <p>, found nothing")
        if b"Doubtful" in case.rewritten:
            return Opinion(Verdict.NO_OPINION, Doubt.SELECTOR, "h1:odd")
        return await super().opinion(case)


class Site:
    """An origin that counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def page(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.path == "/missing":
            return web.Response(status=404, text="no")
        return web.Response(body=PAGE, content_type="text/html", headers={"X-Layout-Id": "home"})


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made, application = Site(), web.Application()
    application.router.add_get("/{path:.*}", made.page)
    async with TestServer(application) as server:
        made.url = str(server.make_url("")).rstrip("/")
        yield made


@pytest.fixture
async def plane(
    database_url: str, redis_url: str, redis_environment: str, tmp_path: Path, site: Site
) -> AsyncIterator[Plane]:
    origins = {"shop.example": site.url, "gone.example": "http://127.0.0.1:1"}
    settings = settings_of(database_url, redis_url, redis_environment, tmp_path, origins=origins)
    async with running(settings, judge=Strict()) as instance:
        yield instance


def shop(text: str, **more: Any) -> dict[str, Any]:
    return headline(text, **{"site": "shop.example", "pageSlug": "/", "isActive": True, "status": "active", **more})


async def test_what_differs_is_refused_and_nothing_is_saved(plane: Plane) -> None:
    before = (await plane.ask("GET", "health")).json()["publication"]
    refused = await plane.ask("POST", "mutations", shop("Wrong", id="welcome"))
    problem = refused.json()
    assert (refused.status, problem["type"].rpartition(":")[2]) == (422, "rules")
    [error] = problem["errors"]
    assert error["path"] == "$.mutationPayload"
    assert error["problem"] == (
        "on https://shop.example/ a second parser sees something else changed, or not changed: "
        "html > body: expected <p>, found nothing"
    )
    assert (await plane.ask("GET", "mutations/welcome")).status == 404
    assert (await plane.ask("GET", "health")).json()["publication"] == before


async def test_what_is_agreed_with_goes_on_and_its_author_is_told(plane: Plane, site: Site) -> None:
    made = await plane.create(shop("New"))
    assert made["secondOpinion"] == f"{AGREES}/"
    assert made["publication"]["published"] is True
    assert site.asked == ["/"], "once: tried before the transaction, remembered inside it"


async def test_switching_on_and_rolling_back_and_changing_what_is_on(plane: Plane) -> None:
    await plane.create(shop("Wrong", id="a", isActive=False, status="draft"))
    refused = await plane.ask("POST", "mutations/a/activate", {"reason": "now"})
    assert (refused.status, refused.json()["errors"][0]["path"]) == (422, "$.mutationPayload")
    assert ((await plane.ask("GET", "mutations/a")).json())["isActive"] is False
    fixed = await plane.ask("PUT", "mutations/a", shop("New"))
    assert (fixed.status, fixed.json()["version"]) == (200, 2)
    for method, path, body in (
        ("PUT", "mutations/a", shop("Wrong again")),
        ("PATCH", "mutations/a", {"mutationPayload": shop("Wrong")["mutationPayload"]}),
    ):
        answer = await plane.ask(method, path, body)
        assert answer.status == 422, answer.body
    off = await plane.ask("POST", "mutations/a/deactivate", {"reason": "stop"})
    assert "secondOpinion" not in off.json(), "what is switched off is not tried"
    await plane.ask("PUT", "mutations/a", shop("Wrong", isActive=False))
    assert (await plane.ask("POST", "mutations/a/rollback", {"version": 2, "reason": "back"})).status == 200
    assert (await plane.ask("GET", "mutations/a")).json()["version"] == 5


async def test_a_rollback_to_what_differs_is_refused(plane: Plane) -> None:
    """The first version was saved when nobody knew of the page."""
    await plane.create(shop("Wrong", id="a", site="other.example"))
    await plane.ask("PUT", "mutations/a", shop("New"))
    moved = await plane.ask("PUT", "mutations/a", shop("New", site="shop.example"))
    assert moved.status == 200
    await plane.create(shop("Wrong", id="b", pageSlug="/x", layoutId="elsewhere"))
    assert (await plane.ask("POST", "mutations/a/rollback", {"version": 1, "reason": "back"})).status == 200
    assert (await plane.ask("PATCH", "mutations/b", {"layoutId": "home"})).status == 422


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"site": "gone.example"}, "not tried on https://gone.example/: the origin of gone.example can't be reached"),
        ({"pageSlug": "/", "layoutId": "list"}, "not tried on https://shop.example/: its layoutId is 'home'"),
        ({"pageSlug": "/missing"}, "not tried on https://shop.example/missing: the page is text/plain, not HTML"),
        ({"site": "other.example"}, ""),
        ({"pageSlug": "/offers/*"}, ""),
        ({"pageSlug": "/blog/**"}, f"{AGREES}/blog/"),
        ({"pageSlug": "*", "site": "*"}, "not tried on https://gone.example/"),
    ],
)
async def test_where_there_is_no_page_it_goes_on(plane: Plane, more: dict[str, str], told: str) -> None:
    made = await plane.create(shop("New", **more))
    said = made.get("secondOpinion", "")
    assert said.startswith(told)
    assert bool(said) is bool(told)


async def test_no_opinion_and_a_page_without_the_target_are_told(plane: Plane) -> None:
    made = await plane.create(shop("Doubtful"))
    assert made["secondOpinion"] == "no second opinion on https://shop.example/: selector h1:odd"
    nothing = {"mutationType": "remove", "mutationPayload": {"target": {"selector": "h6"}}}
    made = await plane.create({**shop(""), **nothing})
    assert made["secondOpinion"] == "https://shop.example/ stays as it is: nothing_matched"


async def test_every_variation_is_tried(plane: Plane) -> None:
    await plane.ask("POST", "experiments", {"id": "ab", "variations": [{"key": "control"}, {"key": "b"}, {"key": "c"}]})
    b, c = (headline(text)["mutationPayload"]["operations"] for text in ("New", "Wrong"))
    payload = {"experimentId": "ab", "variations": {"control": {}, "b": {"operations": b}, "c": {"operations": c}}}
    refused = await plane.ask("POST", "mutations", shop("", mutationType="variant", mutationPayload=payload))
    assert (refused.status, refused.json()["errors"][0]["path"]) == (422, "$.mutationPayload.variations.c")


async def test_every_case_is_tried_with_its_fallbacks(plane: Plane) -> None:
    fine, wrong = (headline(text)["mutationPayload"]["operations"] for text in ("{{emotion|New}}", "{{emotion|Wrong}}"))
    payload = {"attribute": "emotion", "cases": {"joy": {"operations": fine}}, "otherwise": {"operations": wrong}}
    refused = await plane.ask("POST", "mutations", shop("", mutationType="emotionMap", mutationPayload=payload))
    assert (refused.status, refused.json()["errors"][0]["path"]) == (422, "$.mutationPayload.otherwise"), refused.body
    payload["otherwise"] = {"operations": fine}
    made = await plane.create(shop("", mutationType="emotionMap", mutationPayload=payload))
    assert made["secondOpinion"] == f"{AGREES}/"


async def test_an_answer_that_is_repeated_stays_what_it_was(plane: Plane) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await plane.ask("POST", "mutations", shop("New", id="a"), headers=headers)
    again = await plane.ask("POST", "mutations", shop("New", id="a"), headers=headers)
    assert (first.status, again.status) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"


# -- the gate alone


def mutation(**fields: Any) -> LayoutMutation:
    return decode_mutation(msgspec.json.encode({"id": "m", **shop("New"), **fields}))


class Slow(OriginPages):
    """An origin that takes its time."""

    async def fetch(self, address: str) -> OriginPage:
        await asyncio.Event().wait()
        raise AssertionError


class Broken(OriginPages):
    """A bug of ours."""

    async def fetch(self, address: str) -> OriginPage:
        raise RuntimeError(address)


async def test_an_author_waits_no_longer_than_the_bound() -> None:
    gate = Gate(Slow({"shop.example": "http://x"}), Rewriter(), Judge(), patience_s=0.05)
    assert (await gate.finding(mutation(), RulesFile())).told == (
        "not tried on https://shop.example/: that took longer than 0.05 s"
    )


async def test_a_bug_of_the_check_keeps_nobody_from_publishing() -> None:
    gate = Gate(Broken({"shop.example": "http://x"}), Rewriter(), Judge())
    with capture_logs() as logs:
        assert "a fault of ours" in await gate.admit(mutation(), RulesFile())
    assert [line["event"] for line in logs] == ["gate_failed"]


async def test_what_is_not_switched_on_is_not_tried() -> None:
    gate = Gate(Broken({"shop.example": "http://x"}), Rewriter(), Judge())
    for fields in ({"isActive": False}, {"status": "draft"}, {"status": "archived"}, {"site": "*.other"}):
        assert await gate.finding(mutation(**fields), RulesFile()) == NOT_TRIED


async def test_a_redirect_changes_no_page_that_could_be_tried() -> None:
    gate = Gate(Broken({"shop.example": "http://x"}), Rewriter(), Judge())
    leads = mutation(mutationType="redirect", mutationPayload={"to": "/offers"})
    assert await gate.finding(leads, RulesFile()) == NOT_TRIED


@pytest.mark.parametrize(
    ("site", "page", "address"),
    [
        ("shop.example", "/offers", "https://shop.example/offers"),
        ("*.example", "/", "https://blog.example/"),
        ("*", "*", "https://blog.example/"),
        ("shop.example", "/a/*/b", None),
        ("elsewhere.test", "/a", "https://elsewhere.test/a"),
        ("*.test", "/a", None),
        ("bad site", "/a", None),
    ],
)
def test_sample_addresses(site: str, page: str, address: str | None) -> None:
    origins = {"shop.example": "http://x", "blog.example": "http://y", "*": "http://z"}
    assert sample_address(mutation(site=site, pageSlug=page), origins) == address
    assert sample_address(mutation(site=site, pageSlug=page), {}) is None


def test_the_site_without_a_name() -> None:
    assert sample_address(mutation(site="*", pageSlug="/a"), {"*": "http://z"}) == "/a"
