"""Tables to publish and ways to break them, for the tests of `sidecar.tables` and `sidecar.feed`."""

from datetime import UTC, datetime

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from redis.asyncio import Redis

from rules.compiler import compile_table
from rules.model import decode_rules
from rules.table import key_id, seal
from service.keys import Keys

MADE = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Publisher:
    """The control plane's part: signs tables and puts them where a sidecar looks."""

    def __init__(self, url: str, environment: str) -> None:
        self.keys = Keys(environment)
        self.redis: Redis = Redis.from_url(url)
        self._signing = Ed25519PrivateKey.generate()
        self.public_key = self._signing.public_key().public_bytes_raw()

    def sealed(self, version: int, mutations: int = 1) -> bytes:
        """A sealed table of this version."""
        table = compile_table(decode_rules(rules_json(mutations, version)), version=version, now=MADE)
        return seal(table, key_id=key_id(self.public_key), sign=self._signing.sign)

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
