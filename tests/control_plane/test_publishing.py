"""What is switched on reaches Redis, in order, whatever is away in between."""

import asyncio
import base64
import secrets
from pathlib import Path

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from control_plane.publishing import check_size
from control_plane.settings import ControlPlaneSettings
from control_plane.signing import Signer
from control_plane.store.chain import derived_key
from layout_mutation.embedded.valkey import EmbeddedValkey
from rules.compiler import compile_table
from rules.errors import RulesError
from rules.limits import TABLE_BYTES_MAX
from rules.model import RulesFile
from rules.table import DecisionTable
from service.clock import now
from service.engine import engine
from service.keys import Keys
from tests.control_plane.plane import Plane, headline, running, settings_of, until


async def table_in(redis: Redis, keys: Keys, settings: ControlPlaneSettings) -> DecisionTable:
    """The table as a sidecar that knows the key reads it."""
    sealed = await redis.get(keys.table)
    assert isinstance(sealed, bytes)
    return Signer(settings.signing_key).unseal(sealed)


async def version_in(redis: Redis, keys: Keys) -> int:
    return int(await redis.get(keys.table_version) or 0)


async def test_a_change_is_in_redis_when_it_is_answered(
    plane: Plane, redis: Redis, keys: Keys, settings: ControlPlaneSettings
) -> None:
    async with redis.pubsub() as channel:
        await channel.subscribe(keys.tables)
        assert await channel.get_message(timeout=5)
        made = await plane.create(id="welcome")
        message = await channel.get_message(ignore_subscribe_messages=True, timeout=5)
    assert message is not None
    assert message["data"] == b"2"
    table = await table_in(redis, keys, settings)
    assert [one.id for one in table.rules.mutations] == ["welcome"]
    assert table.version == made["publication"]["tableVersion"] == await version_in(redis, keys)
    await plane.ask("POST", "mutations/welcome/deactivate")
    assert (await table_in(redis, keys, settings)).rules.mutations == []


async def test_what_visitors_do_not_see_makes_no_new_table(plane: Plane, redis: Redis, keys: Keys) -> None:
    made = await plane.create(id="draft", isActive=False)
    assert made["publication"] == {"published": True, "tableVersion": 1, "reason": "unchanged"}
    await plane.ask("POST", "segments", {"id": "nobody", "conditions": {"locale": "xx"}})
    assert await version_in(redis, keys) == 1


async def test_only_what_served_mutations_refer_to_is_in_the_table(
    plane: Plane, redis: Redis, keys: Keys, settings: ControlPlaneSettings
) -> None:
    for name in ("used", "unused"):
        await plane.ask("POST", "segments", {"id": name, "conditions": {"locale": "de"}})
        await plane.ask("POST", "modules", {"id": f"{name}-module", "selector": "h1"})
    await plane.create(id="m", trigger={"on": "segment", "segment": "used"}, moduleId="used-module")
    rules = (await table_in(redis, keys, settings)).rules
    assert [one.id for one in rules.segments] == ["used"]
    assert [one.id for one in rules.modules] == ["used-module"]


def test_a_table_that_sidecars_would_refuse_is_not_made() -> None:
    check_size(bytes(TABLE_BYTES_MAX))
    with pytest.raises(RulesError, match="67,108,865 bytes, and sidecars take 67,108,864"):
        check_size(bytes(TABLE_BYTES_MAX + 1))


async def test_a_table_of_a_format_that_is_not_read_any_more_is_none(plane: Plane) -> None:
    """Of an installation whose rules no longer compile: who wants to mend them needs the admin pages, which ask for it."""
    await plane.create(id="welcome")
    publishing = plane.services.publishing
    assert await publishing.current() is not None
    latest = await publishing._newest()
    assert latest is not None
    publishing._latest = msgspec.structs.replace(latest, sealed=msgspec.msgpack.encode({"format": 3}))
    publishing._decoded = None
    assert await publishing.current() is None


async def test_an_editor_may_write_but_not_publish(plane: Plane) -> None:
    refused = await plane.ask("POST", "mutations", headline(id="a"), role="editor")
    assert (refused.status, refused.json()["type"].rpartition(":")[2]) == (403, "may_not_publish")
    assert (await plane.ask("GET", "mutations/a")).status == 404
    drafted = await plane.ask("POST", "mutations", headline(id="a", isActive=False), role="editor")
    assert drafted.status == 201
    assert (await plane.ask("POST", "mutations/a/activate", role="publisher")).status == 200
    assert (await plane.ask("PATCH", "mutations/a", {"priority": 3}, role="editor")).status == 403


async def test_writers_at_the_same_time_on_two_instances_publish_in_order(
    settings: ControlPlaneSettings, redis: Redis, keys: Keys
) -> None:
    seen: list[int] = []
    async with running(settings) as one, running(settings) as two, redis.pubsub() as channel:
        await channel.subscribe(keys.tables)
        await asyncio.gather(
            *(instance.create(id=f"m{n}-{k}") for n in range(10) for k, instance in enumerate((one, two)))
        )
        while (message := await channel.get_message(timeout=0.2)) is not None:
            if message["type"] == "message":
                seen.append(int(message["data"]))
    table = await table_in(redis, keys, settings)
    assert len(table.rules.mutations) == 20
    assert seen == sorted(set(seen))
    assert table.version == 21 == await version_in(redis, keys)


async def test_redis_that_comes_back_empty_gets_the_table_again(plane: Plane, redis: Redis, keys: Keys) -> None:
    await plane.create(id="welcome")
    sealed = await redis.get(keys.table)
    await redis.delete(keys.table, keys.table_version)

    async def is_back() -> bool:
        return bool(await redis.get(keys.table) == sealed)

    await until(is_back, 10)
    assert await version_in(redis, keys) == 2


@pytest.mark.parametrize("version", [b"1", b"nonsense", b"999999999999"])
async def test_an_older_or_forged_table_in_redis_is_replaced(
    plane: Plane, redis: Redis, keys: Keys, version: bytes
) -> None:
    await plane.create(id="welcome")
    sealed = await redis.get(keys.table)
    await redis.set(keys.table, b"forged")
    await redis.set(keys.table_version, version)

    async def is_back() -> bool:
        return await redis.get(keys.table) == sealed and await redis.get(keys.table_version) == b"2"

    await until(is_back, 10)


async def test_without_redis_a_change_stands_and_is_published_when_redis_comes(
    database_url: str, server_folder: Path, tmp_path: Path
) -> None:
    valkey = EmbeddedValkey(server_folder / "valkey", password="pw", durable=False).start()
    port = valkey.port
    settings = settings_of(database_url, valkey.url, "test", tmp_path)
    try:
        async with running(settings) as plane:
            await asyncio.to_thread(valkey.stop)
            made = await plane.create(id="welcome")
            assert made["publication"]["published"] is False
            assert made["publication"]["reason"].startswith("redis_unreachable")
            ready = await plane.ask("GET", "/readyz", role=None)
            assert (ready.status, ready.json()["parts"]["redis"]) == (200, False)
            assert (await plane.ask("GET", "fleet")).status == 503
            valkey = EmbeddedValkey(server_folder / "valkey", port, password="pw", durable=False)
            await asyncio.to_thread(valkey.start)
            async with Redis.from_url(valkey.url) as redis:

                async def is_published() -> bool:
                    return await version_in(redis, Keys("test")) == 2

                await until(is_published)
    finally:
        valkey.stop()


async def test_without_the_database_redis_still_gets_its_table_back(
    plane: Plane, settings: ControlPlaneSettings, redis: Redis, keys: Keys
) -> None:
    await plane.create(id="welcome")
    sealed = await redis.get(keys.table)
    gone = msgspec.structs.replace(settings, database_url="postgresql://u:p@127.0.0.1:1/gone")
    # The instance that knows the database must not be the one that helps.
    async with running(gone, wait=False) as other:
        copied = Path(settings.data_dir) / "table"
        assert copied.read_bytes() == sealed
        assert (await other.services.publishing.deliver()).published

        async def mirror_answers() -> bool:
            answer = await other.ask("GET", "mutations")
            return answer.status == 200 and answer.headers.get("x-layout-mutation-provisional") == "1"

        await until(mirror_answers)
        # Another instance publishes while the database is away: that is no loss, and what comes after is numbered above it.
        newer = Signer(settings.signing_key).seal(compile_table(RulesFile(), version=9, now=now(), engine=engine()))
        await redis.set(keys.table, newer)
        await redis.set(keys.table_version, 9)
        state = await other.services.publishing.deliver()
        assert (state.published, state.table_version) == (True, 9)
        assert "database_lost_history" not in {alert.id for alert in other.services.alerts.open()}
        made = (await other.ask("POST", "mutations/welcome/deactivate")).json()
        assert made["publication"] == {"published": True, "tableVersion": 10, "reason": ""}


async def test_an_emptied_database_whose_mirrors_are_gone_does_not_empty_the_site(
    settings: ControlPlaneSettings, database_url: str, redis: Redis, keys: Keys, tmp_path: Path
) -> None:
    async with running(settings) as plane:
        for text in ("One", "Two", "Three"):
            await plane.create(headline(text))
    version = await version_in(redis, keys)
    mutations = len((await table_in(redis, keys, settings)).rules.mutations)
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA layout_mutation CASCADE")
    await connection.close()
    async with running(msgspec.structs.replace(settings, data_dir=str(tmp_path / "fresh"))) as fresh:
        state = await fresh.services.publishing.deliver()
        assert (state.published, state.table_version) == (True, version + 1)
        assert "restored_from_backup" in {alert.id for alert in fresh.services.alerts.open()}
        table = await table_in(redis, keys, settings)
        assert len(table.rules.mutations) == mutations, "what visitors got, out of Redis's own table"
        made = await fresh.create(id="anew")
        assert made["publication"]["published"] is True


async def test_what_another_engine_has_checked_is_published_anew_at_the_start(
    settings: ControlPlaneSettings, redis: Redis, keys: Keys
) -> None:
    async with running(settings) as plane:
        assert (await table_in(redis, keys, settings)).engine == engine()
        plane.services.publishing._engine = "an older engine"
        await plane.create(id="welcome")
        older = await table_in(redis, keys, settings)
    async with running(settings) as plane:
        table = await table_in(redis, keys, settings)
        assert (older.version, table.version, older.digest) == (2, 3, table.digest)
        assert (older.engine, table.engine) == ("an older engine", engine())
        plane.services.publishing._engine = "a third"
        made = await plane.create(id="draft", isActive=False)
        assert made["publication"]["reason"] == "unchanged"
    async with running(settings):
        assert await version_in(redis, keys) == 3


async def test_another_signing_key_publishes_anew(settings: ControlPlaneSettings, redis: Redis, keys: Keys) -> None:
    audit_key = base64.b64encode(secrets.token_bytes(32)).decode()
    settings = msgspec.structs.replace(settings, audit_keys=audit_key)
    async with running(settings) as plane:
        await plane.create(id="welcome")
    changed = msgspec.structs.replace(settings, signing_key=base64.b64encode(secrets.token_bytes(32)).decode())
    async with running(changed):
        table = await table_in(redis, keys, changed)
    assert table.version == 3
    assert [one.id for one in table.rules.mutations] == ["welcome"]


async def test_a_signing_key_that_was_changed_with_the_audit_keys_unset_is_told_before_anything_is_written(
    settings: ControlPlaneSettings,
) -> None:
    async with running(settings):
        pass
    another = base64.b64encode(secrets.token_bytes(32)).decode()
    changed = msgspec.structs.replace(settings, signing_key=another)
    async with running(changed, wait=False) as plane:

        async def told() -> bool:
            return "CONTROL_PLANE_AUDIT_KEYS" in (await plane.ask("GET", "health")).json()["database"]["detail"]

        await until(told)
        answer = await plane.ask("POST", "mutations", headline())
        assert answer.status == 503
        assert "CONTROL_PLANE_AUDIT_KEYS" in answer.json()["detail"]
    named = base64.b64encode(derived_key(base64.b64decode(settings.signing_key))).decode()
    async with running(msgspec.structs.replace(changed, audit_keys=f"{another},{named}")):
        pass


async def test_what_takes_too_long_is_not_put_down_to_redis(
    settings: ControlPlaneSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that stands still holds delivery up as well."""
    async with running(settings) as plane:
        publishing = plane.services.publishing
        async with publishing._delivering:
            monkeypatch.setattr("control_plane.publishing.DELIVERY_TIMEOUT_S", 0.01)
            state = await publishing.deliver()
            monkeypatch.undo()
    assert state.reason.startswith("delivery_timeout")
