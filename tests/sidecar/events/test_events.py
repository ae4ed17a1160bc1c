"""What is told of pages and of experiments: all that somebody needs, and nothing of the person."""

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from rules.decision import NOTHING, Trial
from rules.reasons import Reason
from service.events import PATH_CHARACTERS_MAX, Execution, Exposure, encode
from sidecar.context.visit import Visit
from sidecar.events.events import EXPOSURE_S, Events, _Recent
from sidecar.events.executions import SIZE_MAX
from sidecar.events.pseudonyms import Pseudonyms
from sidecar.settings import SidecarSettings
from tests.sidecar.wire import (
    NOON,
    UNIT,
    Answer,
    Client,
    InlineRewriter,
    Sidecar,
    Told,
    answering,
    client,
    headline,
    html,
    origin,
    response,
    serving,
    table,
)

KEY = "a key of at least thirty-two letters"
PAGE = html(b"<!doctype html><h1>Old</h1>")
EXPERIMENT = {"id": "e", "variations": [{"key": "control"}, {"key": "new"}]}
TWO_HEADS = html(b"<!doctype html><h1>Old</h1><h1>Older</h1>")


def variant(identifier: str = "v", text: str = "New", **fields: Any) -> dict[str, Any]:
    """A headline for the variation `new`."""
    shown = {"operations": headline(text)["mutationPayload"]["operations"]}
    payload = {"experimentId": "e", "variations": {"control": {}, "new": shown}}
    return {"id": identifier, "mutationType": "variant", "mutationPayload": payload, **fields}


EXPERIMENTAL = table(variant(), experiments=[EXPERIMENT])


def executions(sidecar: Sidecar) -> list[Execution]:
    return [event for event in sidecar.told.events if isinstance(event, Execution)]


def exposures(sidecar: Sidecar) -> list[Exposure]:
    return [event for event in sidecar.told.events if isinstance(event, Exposure)]


async def of_unit(visitor: Client, unit: str, path: str = "/", *fields: str) -> Answer:
    return await visitor.get(path, f"Cookie: lm_uid={unit}", *fields)


UNITS = [f"visitor-{number}" for number in range(8)]


# ---- executions


async def test_an_execution_says_what_was_done_and_what_it_took() -> None:
    rules = table(
        headline(id="done"),
        headline("Other", id="behind", priority=-1),
        headline(id="elsewhere", conditions={"language": "xx"}),
        {
            "id": "astray",
            "mutationType": "remove",
            "mutationPayload": {"target": {"selector": "h6", "required": True}},
        },
    )
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=rules) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/tea/green?from=somebody", "Host: Shop.Example:8080")
        assert answer.verdict == b"applied; table=7; mutations=1"
        (told,) = executions(sidecar)
    assert told.decide_us > 0
    assert told.rewrite_us > 0
    assert msgspec.structs.replace(told, decide_us=0, rewrite_us=0, id="") == Execution(
        id="",
        at=NOON,
        site="shop.example",
        path="/tea/green",
        table=7,
        reason="applied",
        status=200,
        applied=("done",),
        failed={"astray": "target_not_found"},
        shadowed=("behind",),
    )


async def test_a_page_that_passes_says_why_and_what_it_lost() -> None:
    async with (
        origin(answering(PAGE, html(b"<p>", "Cache-Control: no-transform"), response(b"x"))) as site,
        serving(site.url, tables=table(headline(pageSlug="/a")), rewriter=InlineRewriter(broken=True)) as sidecar,
        client(sidecar.port) as visitor,
    ):
        with capture_logs():
            await visitor.get("/a")
        for path in ("/a", "/style.css"):
            await visitor.get(path)
        (told,) = executions(sidecar)
        assert (told.reason, told.applied, told.failed) == ("rewrite_failed", (), {"headline": "rewrite_failed"})
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=table(headline(pageSlug="/a")), rollout=0.0) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for path in ("/a", "/b"):
            await visitor.get(path)
        assert [(told.path, told.reason, told.failed) for told in executions(sidecar)] == [
            ("/a", "rollout", {}),
            ("/b", "no_rules", {}),
        ]


async def test_rules_that_are_only_tried_out_are_not_told_of() -> None:
    token = "X-Layout-Mutation-Token: an ops token of ours"
    settings: dict[str, Any] = {"shadow": True, "events_key": KEY, "ops_token": "an ops token of ours"}
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=EXPERIMENTAL, **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for unit in UNITS:
            await of_unit(visitor, unit)
        assert sidecar.told.events == []
        for unit in UNITS:
            await of_unit(visitor, unit, "/", token)
        assert {(told.reason, bool(told.applied or told.failed)) for told in executions(sidecar)} == {
            ("shadow", False),
            ("no_rules", False),
        }
        assert exposures(sidecar) == []


async def test_what_nobody_sees_is_not_told() -> None:
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=EXPERIMENTAL, events_key=KEY) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.get("/", "HX-Request: true", f"Cookie: lm_uid={UNITS[0]}")
        await visitor.get("/", f"Cookie: lm_uid={UNITS[0]}", method="HEAD")
        assert sidecar.told.events == []


async def test_a_redirect_is_an_execution() -> None:
    rules = table({"id": "r", "mutationType": "redirect", "mutationPayload": {"to": "/b"}}, headline())
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=rules) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.get("/a")
        (told,) = executions(sidecar)
        assert (told.status, told.reason, told.applied, told.shadowed) == (302, "applied", ("r",), ("headline",))


async def test_nothing_of_the_person_is_told() -> None:
    secrets = ["Agent/7", "10.9.8.7", "somebody", UNITS[3], "private-cookie", "b.example", "de-at"]
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=EXPERIMENTAL, events_key=KEY, trust_forwarded=True) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await of_unit(
            visitor,
            f"{UNITS[3]}; session=private-cookie",
            "/a?who=somebody",
            "User-Agent: Agent/7",
            "X-Forwarded-For: 10.9.8.7",
            "Referer: http://b.example/",
            "Accept-Language: de-at",
        )
        assert {type(event) for event in sidecar.told.events} == {Execution, Exposure}
        told = b"".join(encode(event) for event in sidecar.told.events).decode()
        assert [secret for secret in [*secrets, "127.0.0.1"] if secret in told] == []


async def test_a_share_of_executions_is_told_and_says_so_and_all_exposures() -> None:
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=EXPERIMENTAL, events_key=KEY, events_share=0.2) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for number in range(100):
            await of_unit(visitor, f"visitor-{number}")
        assert 5 < len(executions(sidecar)) < 40
        assert {told.share for told in executions(sidecar)} == {0.2}
        assert len(exposures(sidecar)) == 100


async def test_ids_are_of_a_run_and_count() -> None:
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=EXPERIMENTAL, events_key=KEY) as one,
        serving(site.url, tables=EXPERIMENTAL, events_key=KEY) as other,
    ):
        for sidecar in (one, other):
            async with client(sidecar.port) as visitor:
                for unit in UNITS:
                    await of_unit(visitor, unit)
        ids = [event.id for sidecar in (one, other) for event in sidecar.told.events]
        assert len(set(ids)) == len(ids) == 4 * len(UNITS)
        runs = Counter(name.partition("-")[0] for name in ids)
        assert set(runs.values()) == {2 * len(UNITS)}


# ---- exposures


async def test_every_unit_is_told_once_with_its_variation_by_a_pseudonym() -> None:
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=EXPERIMENTAL, events_key=KEY) as sidecar,
        client(sidecar.port) as visitor,
    ):
        seen = {}
        for _ in range(2):
            for unit in UNITS:
                seen[unit] = "new" if b"New" in (await of_unit(visitor, unit)).body else "control"
        assert set(seen.values()) == {"new", "control"}
        names = {Pseudonyms(KEY).of("lm_uid", unit): variation for unit, variation in seen.items()}
        assert [(told.unit, told.variation) for told in exposures(sidecar)] == list(names.items())
        assert {(told.experiment, told.attribute, told.table, told.shown) for told in exposures(sidecar)} == {
            ("e", "lm_uid", 7, True)
        }


async def test_a_variation_that_could_not_be_shown_says_so() -> None:
    async with (
        origin(answering(html(b"<!doctype html><p>no headline</p>"))) as site,
        serving(site.url, tables=EXPERIMENTAL, events_key=KEY) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for unit in UNITS:
            await of_unit(visitor, unit)
        assert {(told.variation, told.shown) for told in exposures(sidecar)} == {("new", False), ("control", True)}


async def test_one_mutation_of_an_experiment_that_is_shown_is_enough() -> None:
    rules = table(variant(), variant("w", mutationPayload={**variant()["mutationPayload"]}), experiments=[EXPERIMENT])
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=rules, events_key=KEY) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for unit in UNITS:
            await of_unit(visitor, unit)
        assert len(exposures(sidecar)) == len(UNITS)
        assert all(told.shown for told in exposures(sidecar))


async def test_a_new_visitor_is_told_with_the_unit_that_the_browser_gets() -> None:
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=EXPERIMENTAL, events_key=KEY) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/")
        assert UNIT in str(answer.get(b"Set-Cookie"))
        assert [told.unit for told in exposures(sidecar)] == [Pseudonyms(KEY).of("lm_uid", UNIT)]


async def test_a_unit_that_no_browser_gets_is_not_told() -> None:
    """A redirect gives no unit id: the next page would bucket another one."""
    trigger = {"on": "experiment", "experiment": "e", "variations": ["control", "new"]}
    lead = {"id": "r", "mutationType": "redirect", "mutationPayload": {"to": "/b"}, "pageSlug": "/a"}
    rules = table({**lead, "trigger": trigger}, experiments=[EXPERIMENT])
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=rules, events_key=KEY) as sidecar,
        client(sidecar.port) as visitor,
    ):
        assert (await visitor.get("/a")).status == 302
        assert exposures(sidecar) == []
        assert (await of_unit(visitor, UNITS[0], "/a")).status == 302
        assert len(exposures(sidecar)) == 1


@pytest.mark.parametrize(
    ("fields", "settings", "drops"),
    [
        (("X-Layout-Mutation-Token: an ops token of ours", "X-Layout-Mutation-Force: e=new"), {}, {}),
        (("X-Layout-Mutation-Token: an ops token of ours",), {}, {}),
        ((), {"rollout": 0.0}, {}),
        ((), {"events_key": ""}, {"no_key": 1}),
        ((), {"consent": "required", "consent_cookie": "ok"}, {}),  # nor is lm_uid read: there is no trial
    ],
    ids=["forced", "operator", "outside the rollout", "no key", "no consent"],
)
async def test_who_is_not_told_of(fields: tuple[str, ...], settings: dict[str, Any], drops: dict[str, int]) -> None:
    given = {"events_key": KEY, "ops_token": "an ops token of ours", **settings}
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=EXPERIMENTAL, **given) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await of_unit(visitor, UNITS[0], "/", *fields)
        assert (len(executions(sidecar)), exposures(sidecar), sidecar.told.dropped) == (1, [], drops)


async def test_without_consent_nothing_is_told_of_the_sites_own_units_either() -> None:
    rules = table(variant(), experiments=[{**EXPERIMENT, "unit": "account"}])
    settings: dict[str, Any] = {"events_key": KEY, "consent": "required", "consent_cookie": "ok"}
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=rules, units="account=header:X-User", **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.get("/", "X-User: 17")
        assert (exposures(sidecar), sidecar.told.dropped) == ([], {"no_consent": 1})
        await visitor.get("/", "X-User: 17", "Cookie: ok=1")
        assert [told.unit for told in exposures(sidecar)] == [Pseudonyms(KEY).of("account", "17")]


async def test_consent_is_enough() -> None:
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=EXPERIMENTAL, events_key=KEY, consent="required", consent_cookie="ok") as sidecar,
        client(sidecar.port) as visitor,
    ):
        await of_unit(visitor, f"{UNITS[0]}; ok=1")
        assert len(exposures(sidecar)) == 1


async def test_a_page_that_the_browser_has_already_is_told_too() -> None:
    page = html(b"<!doctype html><h1>Old</h1>", 'ETag: "1"')
    unchanged = b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'
    shown = {"on": "experiment", "experiment": "e", "variations": ["control", "new"]}
    rules = table(headline(trigger=shown), experiments=[EXPERIMENT])
    async with (
        origin(answering(page, unchanged)) as site,
        serving(site.url, tables=rules, events_key=KEY) as sidecar,
        client(sidecar.port) as visitor,
    ):
        etag = (await of_unit(visitor, UNITS[0])).get(b"ETag")
        assert etag is not None
        answer = await of_unit(visitor, UNITS[1], "/", f"If-None-Match: {etag.decode()}")
        assert answer.status == 304
        told = [(one.status, one.applied) for one in executions(sidecar)]
        assert told == [(200, ("headline",)), (304, ("headline",))]
        assert [one.shown for one in exposures(sidecar)] == [True, True]


# ---- what must not happen


async def test_a_bug_costs_an_event_and_no_page() -> None:
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=EXPERIMENTAL, told=Told(broken=True), events_key=KEY) as sidecar,
        client(sidecar.port) as visitor,
    ):
        with capture_logs() as logs:
            for unit in UNITS:
                assert (await of_unit(visitor, unit)).status == 200
        assert [entry["event"] for entry in logs] == ["event_failed"]
        assert sidecar.told.events == []
        assert sidecar.told.dropped == {"failed": 2 * len(UNITS)}


async def test_where_nobody_is_told_nothing_is_made() -> None:
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=EXPERIMENTAL, events=False) as sidecar,
        client(sidecar.port) as visitor,
    ):
        assert (await of_unit(visitor, UNITS[0])).status == 200
        assert sidecar.application.events.status() == {}
        names = [family.name for family in sidecar.application.telemetry.families()]
        assert [name for name in names if name.startswith("layout_mutation_events")] == []


async def test_long_paths_are_cut_and_told() -> None:
    async with (
        origin(answering(PAGE)) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.send(b"GET /%E9" + b"a" * 5000 + b" HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert (await visitor.answer()).status == 200
        (told,) = executions(sidecar)
        assert len(told.path) == PATH_CHARACTERS_MAX
        assert told.site == "shop.example"


def made(told: Told | None, **changes: Any) -> Events:
    settings = SidecarSettings(upstream="http://127.0.0.1:1", events_key=KEY)
    return Events(settings, told, now=lambda: NOON, entropy=random.Random(1), run="run", **changes)


def seen(**changes: Any) -> Any:
    """A page that has left, as far as it is told of."""
    known: dict[str, Any] = {
        "request": SimpleNamespace(method="GET", headers={}),
        "visit": Visit("http", "a", "/", {}, ""),  # type: ignore[arg-type]
        "authority": "a",
        "path": "/",
        "explanation": {},
        "table": None,
        "toggles": None,
        "sets_unit": False,
        "previewed": False,
        "decide_s": 0.0,
        "rewrite_s": 0.0,
        "decision": NOTHING,
    }
    return SimpleNamespace(**known | changes)


async def test_pages_that_nobody_has_room_for_are_counted() -> None:
    told = Told()
    events, page = made(told), seen()
    for _ in range(SIZE_MAX + 2):
        events.visited(page, "no_rules", 200)
    assert told.dropped == {"full": 2}


async def test_no_more_is_made_at_once_than_there_is_time_for() -> None:
    told = Told()
    events = made(told)
    for _ in range(3):
        events.visited(seen(), "no_rules", 200)
    assert [(events.tell(2), len(told._events)), (events.tell(2), len(told._events))] == [(True, 2), (False, 3)]


@pytest.mark.parametrize(("sink", "previewed"), [(False, False), (True, True)], ids=["nobody is told", "a preview"])
async def test_nothing_is_put_aside_that_is_not_to_be_told(*, sink: bool, previewed: bool) -> None:
    events = made(Told() if sink else None)
    assert events.on == sink
    for page in (seen(previewed=previewed), seen(decision=None)):
        events.visited(page, "no_rules", 200)
        assert not events.tell(0)


@pytest.mark.parametrize(
    ("outcome", "reason", "shown"),
    [
        (Reason.APPLIED, "applied", True),
        (Reason.DELIVERED, "applied", True),
        (Reason.APPLIED, "rewrite_failed", False),
        (Reason.NO_CHANGE, "nothing_matched", True),
        (Reason.TARGET_NOT_FOUND, "applied", False),
        (None, "applied", False),
    ],
)
async def test_a_variation_was_shown_where_the_page_went_out_as_it_wants(
    outcome: Reason | None, reason: str, *, shown: bool
) -> None:
    told = Told()
    trial = Trial("m", "e", "new", "account", "17", changes=True)
    outcomes = {} if outcome is None else {"m": outcome}
    page = seen(decision=msgspec.structs.replace(NOTHING, trials=(trial,)), explanation=outcomes)
    made(told).visited(page, reason, 200)
    assert [event.shown for event in told.events if isinstance(event, Exposure)] == [shown]


async def test_an_exposure_is_told_again_after_a_while() -> None:
    clock = [0.0]
    told = Told()
    events = made(told, clock=lambda: clock[0])
    trial = Trial("m", "e", "control", "account", "17", changes=False)
    exchange = seen(decision=msgspec.structs.replace(NOTHING, trials=(trial,)))

    def exposed() -> int:
        events.visited(exchange, "no_rules", 200)
        return len([event for event in told.events if isinstance(event, Exposure)])

    assert [exposed(), exposed()] == [1, 1]
    clock[0] = EXPOSURE_S - 1
    assert exposed() == 1
    clock[0] = EXPOSURE_S
    assert [exposed(), exposed()] == [2, 2]


def test_what_is_remembered_of_exposures_is_bounded_and_the_last_ones_stay() -> None:
    recent = _Recent(2, 10.0, lambda: 0.0)
    first, second, third = (("e", "new", unit, True) for unit in "abc")
    assert [recent.is_new(key) for key in (first, second, first, third)] == [True, True, False, True]
    assert [recent.is_new(key) for key in (first, third)] == [False, False], "who was seen last is remembered"
    assert recent.is_new(second)
