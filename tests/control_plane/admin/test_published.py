"""The strip above the list: what is published, and what the sidecars say about it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio import Redis

from control_plane.admin.addresses import PREFIX
from control_plane.admin.published import counted
from control_plane.services import Services
from tests.control_plane.admin.person import Person
from tests.control_plane.admin.writing import write

SWITCH = "details.turn form"


async def test_the_strip_counts_the_sidecars(
    admin: Person, services: Services, redis_url: str, redis_environment: str
) -> None:
    saved = await write(admin)
    await admin.submit(saved.page, SWITCH)
    version = services.publishing.state().table_version
    now = datetime.now(UTC).isoformat()
    async with Redis.from_url(redis_url) as redis:
        fleet = f"{{lm:{redis_environment}}}:fleet"
        await redis.hset(fleet, "a", f'{{"instance": "a", "version": {version}, "state": "ACK", "seenAt": "{now}"}}')
        nack = f'{{"instance": "b", "version": 1, "state": "NACK", "reason": "bad_<b>signature", "seenAt": "{now}"}}'
        await redis.hset(fleet, "b", nack)
        await redis.hset(fleet, "c", "not json")
    page = await admin.open()
    assert "1 run it" in page.words(".strip")
    assert "1 refused it" in page.words(".strip")
    assert "b: bad_<b>signature" in page.words("[role=alert]")


def test_only_what_was_heard_of_lately_counts() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    recent, old = now.isoformat(), (now - timedelta(hours=1)).isoformat()
    reports: list[dict[str, Any]] = [
        {"version": 5, "state": "ACK", "seenAt": recent},
        {"version": 4, "state": "ACK", "seenAt": recent},
        {"version": 5, "state": "ACK", "seenAt": old},
        {"version": 5, "state": "ACK", "seenAt": "yesterday"},
        {"version": 5, "state": "ACK"},
        {"instance": "x", "state": "NACK", "reason": "r" * 1_000, "seenAt": recent},
    ]
    accepted, behind, refusals = counted(reports, 5, now)
    assert (accepted, behind, len(refusals)) == (1, 1, 1)
    assert len(refusals[0][1]) == 200


async def test_redis_away_is_said_and_the_list_still_there(admin: Person, services: Services) -> None:
    await write(admin)
    await services.exchange.close()
    async with asyncio.timeout(60):
        page = await admin.open()
    assert page.status == 200
    assert page.all_words("a.title") == ["Summer headline"]


async def test_a_mutation_that_sidecars_skip_is_marked_in_the_list_and_explained_on_its_page(
    admin: Person, services: Services, redis_url: str, redis_environment: str
) -> None:
    saved = await write(admin)
    assert "held" not in (await admin.open()).words("tbody")
    version = (await services.mutations.get(saved.id)).version
    now = datetime.now(UTC)
    until = (now + timedelta(minutes=10)).isoformat()
    async with Redis.from_url(redis_url) as redis:
        for instance, why in (("one/:80/0", "hung"), ("one/:80/1", "hung"), ("two/:80/0", "<b>")):
            held = {saved.id: {"version": version, "why": why, "until": until}}
            report = {"instance": instance, "version": 1, "state": "ACK", "seenAt": now.isoformat(), "held": held}
            report |= {"switchedOff": ["file"] if instance == "two/:80/0" else []}
            await redis.hset(f"{{lm:{redis_environment}}}:fleet", instance, json.dumps(report))
    page = await admin.open()
    assert "held at 2 sidecars" in page.words("tbody")
    assert "Everything is switched off at 1 sidecar" in page.words("[role=alert]")
    assert "two/:80: by its file" in page.words("[role=alert]")
    page = await admin.open(f"{PREFIX}/mutations/{saved.id}")
    said = page.words("[role=alert]")
    assert "the page rewriter did not come back from it" in said
    assert page.all_words("[role=alert] li") == ["one/:80", "two/:80"]
    # A new version is another one.
    page = await admin.submit(page, SWITCH)
    assert "Everything is switched off at 1 sidecar" in page.words("[role=alert]")
    assert "held" not in (await admin.open()).words("tbody")
