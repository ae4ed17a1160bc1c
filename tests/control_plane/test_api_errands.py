"""Long work over the API: at once where it is short, else 202 and a place to ask."""

import asyncio
from importlib import import_module
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from control_plane.api import errands, openapi
from control_plane.api.errands import WAIT_S, WAIT_S_MAX, Preferences, preferences
from control_plane.api.routes import ROUTES
from control_plane.auditing import AuditReport
from control_plane.errands import ASKED_MAX
from tests.control_plane.plane import API, Answer, Plane

LATER = {"Prefer": "respond-async"}
PATIENT = {"Prefer": "wait=30"}


def place(answer: Answer) -> str:
    assert answer.status == 202, answer.body
    assert answer.headers["retry-after"]
    location = answer.headers["location"]
    assert location == f"{API}/errands/{answer.json()['id']}"
    return location


def check(value: Any, path: str, method: str, status: str) -> None:
    """Whether an answer is as described."""
    jsonschema: Any = import_module("jsonschema")
    description = openapi.document(ROUTES)
    schema = description["paths"][f"{API}/{path}"][method]["responses"][status]["content"]["application/json"]["schema"]
    jsonschema.validate(value, {**schema, "components": description["components"]})


async def test_who_does_not_wait_is_told_where_to_ask_and_finds_the_result_there(plane: Plane) -> None:
    async with plane.services.backups._busy:  # another one is being made
        begun = await plane.ask("POST", "backups", headers=LATER)
        assert begun.headers["preference-applied"] == "respond-async"
        check(begun.json(), "backups", "post", "202")
        where = place(begun)
        running = await plane.ask("GET", where)
        assert (running.status, running.json()["state"], running.headers["retry-after"]) == (200, "running", "2")
        assert (await plane.ask("GET", where, headers={"Prefer": "wait=0"})).json()["state"] == "running"
    done = await plane.ask("GET", where, headers=PATIENT)
    check(done.json(), "errands/{id}", "get", "200")
    assert done.headers["preference-applied"] == "wait=30"
    found = done.json()
    assert (found["state"], found["what"], found["actor"], found["problem"]) == ("done", "backup", "the admin", None)
    (kept,) = (await plane.ask("GET", "backups")).json()["items"]
    assert found["result"]["name"] == kept["name"]
    assert found["instance"] == plane.services.alerts.instance
    assert (await plane.ask("GET", where, role="publisher")).status == 403


async def test_short_work_is_answered_at_once_as_ever(plane: Plane) -> None:
    made = await plane.ask("POST", "backups")
    assert (made.status, made.json()["occasion"]) == (201, "by_hand")
    assert "location" not in made.headers
    regular = (await plane.ask("POST", "backups?occasion=scheduled&reason=nightly")).json()
    assert (regular["occasion"], regular["apart"]) == ("scheduled", False)
    assert (await plane.ask("POST", "backups?occasion=weekly")).status == 400
    audit = await plane.ask("GET", "audit/verify", headers={"Prefer": "wait=20, respond-async"})
    assert (audit.status, audit.json()["sound"], audit.headers["preference-applied"]) == (200, True, "wait=20")


async def test_what_went_wrong_is_the_problem_that_would_have_been_answered(plane: Plane) -> None:
    at_once = await plane.ask("POST", "backups/none/verify")
    assert at_once.status == 503
    where = place(await plane.ask("POST", "backups/none/verify", headers=LATER))
    found = (await plane.ask("GET", where, headers=PATIENT)).json()
    assert (found["state"], found["subject"], found["result"]) == ("failed", "none", None)
    assert found["problem"] == at_once.json()
    check(found, "errands/{id}", "get", "200")


async def test_each_backup_that_is_asked_for_is_made_and_all_of_it_is_bounded(plane: Plane) -> None:
    async with plane.services.backups._busy:
        places = {place(await plane.ask("POST", "backups", headers=LATER)) for _ in range(ASKED_MAX)}
        assert len(places) == ASKED_MAX, "a backup that was begun before does not have what was changed since"
        refused = await plane.ask("POST", "backups", headers=LATER)
        assert (refused.status, refused.json()["type"].rpartition(":")[2]) == (503, "busy")
        assert refused.headers["retry-after"] == "2"
    for one in places:
        assert (await plane.ask("GET", one, headers=PATIENT)).json()["state"] == "done"


async def test_who_asks_whether_the_audit_is_sound_joins_who_is_looking(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit, go_on = plane.services.audit, asyncio.Event()
    look = audit.verify

    async def unhurried() -> AuditReport:
        await go_on.wait()
        return await look()

    monkeypatch.setattr(audit, "verify", unhurried)
    where = place(await plane.ask("GET", "audit/verify", headers=LATER))
    assert place(await plane.ask("GET", "audit/verify", headers={"Prefer": "wait=0"})) == where
    go_on.set()
    assert (await plane.ask("GET", where, headers=PATIENT)).json()["result"]["sound"] is True


async def test_what_nobody_knows_here_is_not_found(plane: Plane) -> None:
    missing = await plane.ask("GET", "errands/none")
    assert (missing.status, "another one may" in missing.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    ("fields", "expected", "seconds"),
    [
        ([], Preferences(), WAIT_S),
        (["wait=3"], Preferences(3.0), 3.0),
        (['WAIT = "3"; foo=bar'], Preferences(3.0), 3.0),
        (["wait=100000"], Preferences(100_000.0), WAIT_S_MAX),
        (["respond-async"], Preferences(None, asynchronous=True), 0.0),
        (["respond-async, wait=10"], Preferences(10.0, asynchronous=True), 10.0),
        (["return=minimal", "Respond-Async"], Preferences(None, asynchronous=True), 0.0),
        (["wait=1, wait=9"], Preferences(1.0), 1.0),
        (["wait=soon", "wait=-1"], Preferences(), WAIT_S),
        (["wait=٣"], Preferences(), WAIT_S),
        ([",,;=,"], Preferences(), WAIT_S),
        (["x" * 100_000 + ",wait=1"], Preferences(), WAIT_S),
    ],
)
def test_preferences_are_read_as_rfc_7240_has_them(fields: list[str], expected: Preferences, seconds: float) -> None:
    headers = CIMultiDict([("Prefer", field) for field in fields])
    found = preferences(make_mocked_request("POST", "/", headers=headers))
    assert (found, found.seconds) == (expected, seconds)


def test_it_waits_less_than_balancers_do() -> None:
    assert errands.WAIT_S <= errands.WAIT_S_MAX < 60
