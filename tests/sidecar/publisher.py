"""Tables to publish and ways to break them, for the tests of `sidecar.tables.tables` and `sidecar.tables.feed`."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from redis.asyncio import Redis

from rules.compiler import compile_table
from rules.model import decode_rules
from rules.sealing import key_id, seal
from rules.table import UNCHECKED, DecisionTable
from service.keys import Keys
from sidecar.tables.tables import Tables
from tests.rules.resealing import envelope_of, signed, with_rules
from tests.sidecar.waiting import until

MADE = datetime(2026, 3, 1, 12, tzinfo=UTC)


Follow = Callable[..., Tables]
"""`follow(**changes)`: a Tables of this test's Redis and folder, closed afterwards."""


class Publisher:
    """The control plane's part: signs tables and puts them where a sidecar looks."""

    def __init__(self, url: str, environment: str) -> None:
        self.keys = Keys(environment)
        self.redis: Redis = Redis.from_url(url)
        self._signing = Ed25519PrivateKey.generate()
        self.public_key = self._signing.public_key().public_bytes_raw()

    def sealed(self, version: int, mutations: int = 1, *, engine: str = UNCHECKED) -> bytes:
        """A sealed table of this version, checked by that engine."""
        return self.seal(
            compile_table(decode_rules(rules_json(mutations, version)), version=version, now=MADE, engine=engine)
        )

    def seal(self, table: DecisionTable) -> bytes:
        """The same with this publisher's signature."""
        return seal(table, key_id=key_id(self.public_key), sign=self._signing.sign)

    def damaged(self, sealed: bytes, old: bytes, new: bytes) -> bytes:
        """A table of ours whose rules have other bytes of the same length: its signer had a bug."""
        return signed(with_rules(sealed, envelope_of(sealed)["rules"].replace(old, new)), self._signing.sign)

    async def publish(self, version: int, sealed: bytes | None = None, *, announce: bool = True) -> None:
        """Put a table there; without `announce` its message is lost."""
        async with self.redis.pipeline(transaction=True) as both:
            _ = both.set(self.keys.table, self.sealed(version) if sealed is None else sealed)
            _ = both.set(self.keys.table_version, version)
            await both.execute()
        if announce:
            await self.redis.publish(self.keys.tables, version)

    async def reconnect(self) -> None:
        """Forget connections to a server that was killed."""
        await self.redis.connection_pool.disconnect()

    async def close(self) -> None:
        await self.redis.aclose()


def rules_json(mutations: int, version: int = 1) -> bytes:
    """A rules file with so many headlines."""
    return msgspec.json.encode({"mutations": [mutation(number, version) for number in range(mutations)]})


def mutation(number: int, version: int = 1) -> dict[str, object]:
    """A mutation that sets the headline."""
    return {
        "id": f"m-{number}",
        "site": "*",
        "layoutId": "*",
        "pageSlug": f"/page-{number}",
        "mutationType": "set",
        "mutationPayload": {
            "operations": [
                {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": f"Headline {version}"}}
            ]
        },
        "version": version,
        "createdBy": "test",
        "timestamp": "2026-03-01T12:00:00Z",
        "isActive": True,
        "status": "active",
    }


def version(tables: Tables) -> int:
    """Of the table in force, 0 without one."""
    return 0 if tables.current is None else tables.current.version


async def following(tables: Tables) -> Tables:
    """Started, connected, and subscribed."""
    await tables.start()
    await until(lambda: tables.status()["redis"] == "connected")
    return tables
