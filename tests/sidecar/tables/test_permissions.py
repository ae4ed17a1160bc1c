"""What a sidecar may do in Redis is what SECURITY.md tells operators to let it do."""

import random
import re
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError
from structlog.testing import capture_logs

from sidecar.events.outbox import Outbox
from sidecar.tables.tables import Tables
from tests.sidecar.publisher import Publisher
from tests.sidecar.waiting import until


async def test_a_user_of_redis_who_may_do_what_the_documents_say_is_enough(
    publisher: Publisher, redis_url: str, tmp_path: Path
) -> None:
    line = re.search(r"^user sidecar (.+)$", Path("SECURITY.md").read_text(), re.MULTILINE)
    assert line is not None
    name, password = publisher.keys.environment, "secret"
    rules = line[1].replace("production", name).replace("PASSWORD", password).split()
    address = urlsplit(redis_url)._replace(netloc=f"{name}:{password}@{urlsplit(redis_url).netloc.rpartition('@')[2]}")
    tables = Tables(
        redis_url=address.geturl(),
        keys=publisher.keys,
        public_keys=[publisher.public_key],
        snapshot_dir=tmp_path,
        instance="sidecar-1",
        poll_s=60,
    )
    outbox = Outbox(
        address.geturl(),
        publisher.keys.events_of("sidecar-1"),
        stream_entries_max=10,
        spool=None,
        entropy=random.Random(1),
        flush_s=0.02,
    )
    await publisher.redis.execute_command("ACL", "SETUSER", name, "reset", *rules)  # type: ignore[no-untyped-call]
    try:
        async with AsyncExitStack() as closing:
            lines = closing.enter_context(capture_logs())
            closing.push_async_callback(tables.close)
            closing.push_async_callback(outbox.close)
            await tables.start()
            outbox.start()
            await until(lambda: tables.status()["redis"] == "connected")
            outbox.put(b"{}")
            await publisher.publish(1)
            await until(lambda: tables.current is not None)
            await until(lambda: outbox.status()["sent"] == 1)
            assert await publisher.redis.hexists(publisher.keys.fleet, "sidecar-1")
            await closing.aclose()
        assert not await publisher.redis.hexists(publisher.keys.fleet, "sidecar-1")
        assert [line["event"] for line in lines if line["log_level"] != "info"] == []
        async with Redis.from_url(address.geturl()) as theirs:
            with pytest.raises(NoPermissionError):
                await theirs.set(publisher.keys.table, b"theirs")
            with pytest.raises(NoPermissionError):
                await theirs.getrange("{lm:another}:table", 0, 1)
    finally:
        await publisher.redis.execute_command("ACL", "DELUSER", name)  # type: ignore[no-untyped-call]
