"""The table in force, on a real Valkey and a real disk; what becomes of one that is offered by hand: `test_offers.py`."""

import asyncio
import os
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import msgspec
import pytest
from structlog.testing import capture_logs

from layout_mutation.embedded.valkey import EmbeddedValkey
from rules import limits
from rules.table import DecisionTable
from sidecar.tables.refusals import PAUSE_S_MIN
from sidecar.tables.tables import Tables
from tests.sidecar.publisher import MADE, Follow, Publisher, following, version
from tests.sidecar.waiting import until


async def subscribed(publisher: Publisher, count: int = 1) -> None:
    async with asyncio.timeout(30):
        while (await publisher.redis.pubsub_numsub(publisher.keys.tables))[0][1] < count:
            await asyncio.sleep(0.005)


# ---- Redis


async def test_a_published_table_is_heard_of_at_once(follow: Follow, publisher: Publisher) -> None:
    heard: list[DecisionTable] = []
    tables = await following(follow(on_change=heard.append))
    await subscribed(publisher)
    await publisher.publish(1)
    assert await until(lambda: version(tables) == 1) < 1.0
    await publisher.publish(2)
    assert await until(lambda: version(tables) == 2) < 1.0
    await until(lambda: tables.status()["snapshot"] == "written")
    assert [table.version for table in heard] == [1, 2]
    status = tables.status()
    assert (status["state"], status["source"], status["reason"]) == ("ACK", "redis", "")


async def test_a_table_whose_message_was_lost_is_found_by_the_poll(follow: Follow, publisher: Publisher) -> None:
    tables = await following(follow(poll_s=0.3))
    await subscribed(publisher)
    await publisher.publish(1, announce=False)
    assert await until(lambda: version(tables) == 1) < 1.0


async def test_a_table_that_was_there_before_is_taken_at_the_start(follow: Follow, publisher: Publisher) -> None:
    await publisher.publish(7)
    tables = await following(follow())
    assert await until(lambda: version(tables) == 7) < 1.0


async def test_a_lower_version_and_an_emptied_redis_change_nothing(follow: Follow, publisher: Publisher) -> None:
    await publisher.publish(5)
    tables = await following(follow(poll_s=0.05, entropy=None))  # as whoever follows without a word on chance
    await until(lambda: version(tables) == 5)
    await publisher.publish(4)
    await looked(tables)
    assert version(tables) == 5
    await publisher.redis.delete(publisher.keys.table, publisher.keys.table_version)
    await publisher.redis.publish(publisher.keys.tables, 3)
    await looked(tables)
    assert version(tables) == 5
    assert tables.status()["state"] == "ACK"


async def test_a_lower_table_under_a_higher_announcement_is_refused(follow: Follow, publisher: Publisher) -> None:
    await publisher.publish(5)
    tables = await following(follow())
    await until(lambda: version(tables) == 5)
    await publisher.publish(9, publisher.sealed(4))
    await until(lambda: tables.status()["state"] == "NACK")
    assert version(tables) == 5
    assert "version 4" in str(tables.status()["detail"])


async def looked(tables: Tables) -> None:
    """Two whole looks at Redis from now on."""
    assert tables._feed is not None
    for _ in range(2):
        before = tables._feed.heard_at
        await until(lambda before=before: tables._feed.heard_at != before)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda sealed: sealed[:-20], "malformed"),
        (lambda sealed: sealed[:-20] + bytes(20), "bad_signature"),
        (lambda _: b"", "malformed"),
        (lambda _: b"\xc1" * 100, "malformed"),
    ],
    ids=["truncated", "changed", "empty", "noise"],
)
async def test_a_damaged_table_is_refused_and_the_last_good_one_stays(
    follow: Follow, publisher: Publisher, damage: Callable[[bytes], bytes], reason: str
) -> None:
    await publisher.publish(1)
    tables = await following(follow(poll_s=0.05))
    await until(lambda: version(tables) == 1)
    with capture_logs() as lines:
        await publisher.publish(2, damage(publisher.sealed(2)))
        await until(lambda: tables.status()["state"] == "NACK")
        await looked(tables)
        await publisher.redis.publish(publisher.keys.tables, "again, please")
        await looked(tables)
    assert version(tables) == 1
    assert tables.status()["reason"] == reason
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["table_refused"]
    await publisher.publish(3)
    await until(lambda: version(tables) == 3)
    assert tables.status()["state"] == "ACK"


async def test_a_table_of_another_key_is_refused(follow: Follow, publisher: Publisher, redis_url: str) -> None:
    stranger = Publisher(redis_url, publisher.keys.environment)
    tables = await following(follow())
    await stranger.publish(1)
    await until(lambda: tables.status()["reason"] == "bad_signature")
    assert tables.current is None
    await stranger.close()


async def test_several_keys_are_trusted_for_rotation(follow: Follow, publisher: Publisher, redis_url: str) -> None:
    successor = Publisher(redis_url, publisher.keys.environment)
    tables = await following(follow(public_keys=[publisher.public_key, successor.public_key]))
    await publisher.publish(1)
    await until(lambda: version(tables) == 1)
    await successor.publish(2)
    await until(lambda: version(tables) == 2)
    await successor.close()


@pytest.mark.parametrize("poisoned", ["table", "table_version", "fleet"])
async def test_a_value_of_another_type_does_not_stop_the_following(
    follow: Follow, publisher: Publisher, poisoned: str
) -> None:
    tables = await following(follow(poll_s=0.05))
    await publisher.publish(1)
    await until(lambda: version(tables) == 1)
    key = getattr(publisher.keys, poisoned)
    # Both at once: an instance that tells of itself between the two would make it a hash again.
    async with publisher.redis.pipeline(transaction=True) as both:
        _ = both.delete(key)
        _ = both.lpush(key, "poison")
        await both.execute()
    if poisoned == "table":
        await publisher.redis.set(publisher.keys.table_version, 2)
    if poisoned != "fleet":
        await until(lambda: tables.status()["state"] == "NACK")
        assert tables.status()["reason"] in ("malformed", "unreadable")
    assert version(tables) == 1
    await publisher.redis.delete(key)
    await publisher.publish(3)
    await until(lambda: version(tables) == 3)
    assert tables.status()["state"] == "ACK"


async def test_an_announcement_that_is_no_number_is_looked_into(follow: Follow, publisher: Publisher) -> None:
    await publisher.publish(1)
    await publisher.redis.set(publisher.keys.table_version, "9" * 5000)
    tables = await following(follow(poll_s=0.05))
    await until(lambda: version(tables) == 1)


async def test_a_table_that_is_too_large_is_not_read(
    follow: Follow, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TABLE_BYTES_MAX", 100)
    tables = await following(follow())
    await publisher.publish(1)
    await until(lambda: tables.status()["reason"] == "too_large")
    assert tables.current is None


async def test_a_withdrawn_offence_is_forgotten(follow: Follow, publisher: Publisher) -> None:
    await publisher.publish(1)
    tables = await following(follow(poll_s=0.05))
    await until(lambda: version(tables) == 1)
    await publisher.publish(2, b"noise")
    await until(lambda: tables.status()["state"] == "NACK")
    await publisher.publish(1)
    await until(lambda: tables.status()["state"] == "ACK")


async def test_a_refused_table_that_is_offered_again_is_a_refusal_although_it_is_not_read(
    follow: Follow, publisher: Publisher
) -> None:
    await publisher.publish(1)
    tables = await following(follow(poll_s=0.05))
    await until(lambda: version(tables) == 1)
    for announced in (2, 3):
        await publisher.publish(announced, b"noise")
        assert await until(lambda: tables.status()["state"] == "NACK") < PAUSE_S_MIN / 2
        assert tables.status()["reason"] == "malformed"
        await publisher.publish(1)
        await until(lambda: tables.status()["state"] == "ACK")


# ---- Redis comes and goes


async def test_redis_killed_and_back(follow: Follow, server_folder: Path, tmp_path: Path) -> None:
    with EmbeddedValkey(server_folder / "valkey", password="test", durable=False) as server:
        publisher = Publisher(server.url, "local")
        await publisher.publish(1)
        tables = await following(
            follow(redis_url=server.url, keys=publisher.keys, public_keys=[publisher.public_key], poll_s=0.2)
        )
        await until(lambda: version(tables) == 1)
        with capture_logs() as lines:
            assert server.child.pid is not None
            os.kill(server.child.pid, signal.SIGKILL)
            await until(lambda: tables.status()["redis"] == "lost")
            assert version(tables) == 1
            port = server.port
            server.stop()
            again = EmbeddedValkey(server_folder / "valkey", port, password="test", durable=False)
            again.start()
            try:
                assert await until(lambda: tables.status()["redis"] == "connected", 10) < 5
                assert (version(tables), tables.status()["state"]) == (1, "ACK")
                await publisher.reconnect()
                await subscribed(publisher)
                await publisher.publish(2)
                assert await until(lambda: version(tables) == 2) < 1
                await tables.close()
                await publisher.close()
            finally:
                again.stop()
        assert [line["event"] for line in lines if line["event"].startswith("redis_")] == [
            "redis_lost",
            "redis_connected",
        ]


async def test_a_redis_that_hangs_delays_nothing_and_is_found_again(follow: Follow, server_folder: Path) -> None:
    with EmbeddedValkey(server_folder / "valkey", password="test", durable=False) as server:
        publisher = Publisher(server.url, "local")
        await publisher.publish(1)
        assert server.child.pid is not None
        os.kill(server.child.pid, signal.SIGSTOP)
        tables = follow(redis_url=server.url, keys=publisher.keys, public_keys=[publisher.public_key])
        try:
            async with asyncio.timeout(0.5):
                await tables.start()
            await until(lambda: tables._feed is not None and tables._feed.connected is False)
        finally:
            os.kill(server.child.pid, signal.SIGCONT)
        await until(lambda: version(tables) == 1, 10)
        await tables.close()
        await publisher.close()


async def test_without_redis_and_without_snapshot_there_is_no_table(follow: Follow) -> None:
    with capture_logs() as lines:
        tables = follow(redis_url="redis://127.0.0.1:1/0")
        await tables.start()
        await until(lambda: any(line["event"] == "redis_lost" for line in lines))
    assert tables.current is None
    status = tables.status()
    assert (status["state"], status["source"], status["redis"], status["snapshot"]) == ("none", None, "lost", "missing")


# ---- the disk


async def test_the_snapshot_is_in_force_at_once_without_redis(follow: Follow, publisher: Publisher) -> None:
    first = await following(follow())
    await publisher.publish(3)
    await until(lambda: first.status()["snapshot"] == "written")
    tables = follow(redis_url="redis://127.0.0.1:1/0", clock=lambda: MADE.timestamp() + 60)
    await tables.start()
    assert version(tables) == 3
    status = tables.status()
    assert (status["state"], status["source"], status["snapshot"]) == ("ACK", "snapshot", "loaded")
    assert status["age_seconds"] == pytest.approx(60)


async def test_redis_confirms_what_the_snapshot_said(follow: Follow, publisher: Publisher) -> None:
    first = await following(follow())
    await publisher.publish(3)
    await until(lambda: first.status()["snapshot"] == "written")
    heard: list[DecisionTable] = []
    tables = await following(follow(on_change=heard.append))
    await until(lambda: tables.status()["source"] == "redis")
    assert len(heard) == 1


async def test_an_older_redis_does_not_undo_the_snapshot(follow: Follow, publisher: Publisher) -> None:
    first = await following(follow())
    await publisher.publish(3)
    await until(lambda: first.status()["snapshot"] == "written")
    await publisher.publish(2)
    tables = await following(follow(poll_s=0.05))
    await looked(tables)
    status = tables.status()
    assert (version(tables), status["source"], status["state"]) == (3, "snapshot", "ACK")
    assert 0 <= cast(float, status["heard_seconds"]) < 60


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda sealed: sealed[: len(sealed) // 2], "malformed"),
        (lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]), "bad_signature"),
        (lambda _: b"", "malformed"),
    ],
    ids=["truncated", "corrupted", "empty"],
)
async def test_a_damaged_snapshot_is_refused_with_one_line(
    follow: Follow, publisher: Publisher, tmp_path: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "table").write_bytes(damage(publisher.sealed(3)))
    with capture_logs() as lines:
        tables = await following(follow())
    assert tables.current is None
    assert (tables.status()["state"], tables.status()["reason"]) == ("NACK", reason)
    assert [line["event"] for line in lines if line["log_level"] in ("warning", "error")] == ["snapshot_refused"]
    await publisher.publish(1)
    await until(lambda: tables.status()["state"] == "ACK")
    await until(lambda: tables.status()["snapshot"] == "written")


async def test_a_snapshot_of_another_key_is_refused(follow: Follow, publisher: Publisher, tmp_path: Path) -> None:
    stranger = Publisher("redis://127.0.0.1:1/0", "local")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "table").write_bytes(stranger.sealed(3))
    tables = follow(redis_url=None)
    await tables.start()
    assert tables.current is None
    assert (tables.status()["reason"], tables.status()["redis"]) == ("bad_signature", "none")


async def test_a_missing_snapshot_is_a_quiet_matter(follow: Follow) -> None:
    with capture_logs() as lines:
        await follow(redis_url=None).start()
    assert [(line["event"], line["log_level"]) for line in lines] == [("no_snapshot", "info")]


async def test_a_folder_that_can_not_be_written_is_told_once_and_survived(
    follow: Follow, publisher: Publisher, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with capture_logs() as lines:
        tables = await following(follow(snapshot_dir=tmp_path / "file" / "snapshot"))
        for number in (1, 2):
            await publisher.publish(number)
            await until(lambda number=number: version(tables) == number)  # type: ignore[misc]
        await until(lambda: tables.status()["snapshot"] == "write_failed")
    assert tables.status()["state"] == "ACK"
    assert [line["event"] for line in lines].count("snapshot_not_written") == 1


async def test_two_instances_share_a_folder(follow: Follow, publisher: Publisher, tmp_path: Path) -> None:
    pair = [await following(follow()), await following(follow())]
    await subscribed(publisher, 2)
    for number in range(1, 6):
        await publisher.publish(number)
        await until(lambda number=number: all(version(tables) == number for tables in pair))  # type: ignore[misc]
    for tables in pair:
        await tables.close()
    alone = follow(redis_url=None)
    await alone.start()
    assert version(alone) == 5
    assert [file.name for file in (tmp_path / "snapshot").iterdir()] == ["table"]


async def test_a_table_that_has_come_into_force_is_on_disk_after_the_end(
    follow: Follow, publisher: Publisher, tmp_path: Path
) -> None:
    """Also where the end comes while it is written: on one thread, behind something else."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=1))
    tables = follow(redis_url=None)
    await tables.start()
    release = threading.Event()
    busy: asyncio.Future[bool] | None = None

    def in_the_way(_: DecisionTable) -> None:
        nonlocal busy
        busy = asyncio.ensure_future(asyncio.to_thread(release.wait, 5.0))

    tables._on_change = in_the_way
    offered = asyncio.create_task(tables.offer(publisher.sealed(1), "1"))
    await until(lambda: busy is not None)
    await asyncio.sleep(0)
    offered.cancel()
    closing = asyncio.create_task(tables.close())
    await asyncio.sleep(0)
    assert not (tmp_path / "snapshot" / "table").exists()
    release.set()
    await closing
    assert (tmp_path / "snapshot" / "table").read_bytes() == publisher.sealed(1)


async def test_without_a_folder_nothing_is_kept(follow: Follow, publisher: Publisher, tmp_path: Path) -> None:
    tables = await following(follow(snapshot_dir=None))
    await publisher.publish(1)
    await until(lambda: version(tables) == 1)
    assert tables.status()["snapshot"] == "off"
    assert not list(tmp_path.iterdir())


async def test_a_snapshot_that_was_deleted_comes_back_with_the_next_table(
    follow: Follow, publisher: Publisher, tmp_path: Path
) -> None:
    tables = await following(follow())
    await publisher.publish(1)
    await until((tmp_path / "snapshot" / "table").exists)
    shutil.rmtree(tmp_path / "snapshot")
    await publisher.publish(2)
    await until((tmp_path / "snapshot" / "table").exists)
    assert version(tables) == 2


# ---- the fleet


async def test_the_fleet_hears_of_acceptance_and_refusal_and_of_leaving(follow: Follow, publisher: Publisher) -> None:
    held: dict[str, tuple[int, str, float]] = {}
    tables = await following(follow(workers=2, clock=MADE.timestamp, poll_s=0.05, held=lambda _: held))

    async def entry() -> dict[str, object]:
        found = await publisher.redis.hget(publisher.keys.fleet, "sidecar-0")
        return {} if found is None else msgspec.json.decode(found)

    async def reported(**expected: object) -> None:
        async with asyncio.timeout(30):
            while not expected.items() <= (await entry()).items():
                await asyncio.sleep(0.005)

    await reported(state="none", version=None, workers=2, seenAt="2026-03-01T12:00:00.000Z")
    await publisher.publish(1)
    await reported(state="ACK", version=1, reason="")
    assert (await entry())["digest"] == tables.status()["digest"]
    held["m-1"] = (3, "slow", 600.0)
    there = {"version": 3, "why": "slow", "until": "2026-03-01T12:10:00.000Z"}
    await reported(state="ACK", held={"m-1": there})
    held.update({"m-1": (3, "slow", 601.0), "m-2": (1, "killed", 60.0)})
    until = "2026-03-01T12:01:00.000Z"
    await reported(state="ACK", held={"m-1": there, "m-2": {"version": 1, "why": "killed", "until": until}})
    tables.switched_off = lambda: ["file"]
    await reported(state="ACK", switchedOff=["file"])
    await publisher.publish(2, b"noise")
    await reported(state="NACK", version=1, reason="malformed")
    await tables.close()
    assert await entry() == {}


async def test_a_listener_that_fails_does_not_stop_the_table(follow: Follow, publisher: Publisher) -> None:
    def fail(_: DecisionTable) -> None:
        raise RuntimeError("a bug")

    with capture_logs() as lines:
        tables = await following(follow(on_change=fail))
        for number in (1, 2):
            await publisher.publish(number)
            await until(lambda number=number: version(tables) == number)  # type: ignore[misc]
        await until(lambda: tables.status()["snapshot"] == "written")
    failures = [line["event"] for line in lines if line["log_level"] == "error"]
    assert failures == ["table_listener_failed"] * 2, "and neither the disk nor the feed hears of it"
