"""The names in Redis, the only place where the two planes meet.

All names of one installation carry the same hash tag, so that they live on one node of a cluster.
Never: any traffic; both planes bring their own client.
"""

import zlib

import msgspec

EVENT_SHARDS = 4
"""Streams that events are spread over, so that several readers can share them. A change loses sight of what is in others."""


class Keys(msgspec.Struct, frozen=True):
    """Names for one environment, e.g. `Keys("production").table == "{lm:production}:table"`."""

    environment: str

    @property
    def table(self) -> str:
        """String: the sealed decision table (see `rules.sealing.seal`)."""
        return f"{{lm:{self.environment}}}:table"

    @property
    def table_version(self) -> str:
        """String: the version of `table`, a decimal integer; cheap to poll."""
        return f"{{lm:{self.environment}}}:table:version"

    @property
    def tables(self) -> str:
        """Channel: the version of each newly published table, a decimal integer."""
        return f"{{lm:{self.environment}}}:tables"

    @property
    def fleet(self) -> str:
        """Hash: sidecar instance -> JSON of what it runs, ACK or NACK with the reason."""
        return f"{{lm:{self.environment}}}:fleet"

    @property
    def writer(self) -> str:
        """String: the control plane that takes changes while the database is away; it expires by itself."""
        return f"{{lm:{self.environment}}}:writer"

    @property
    def events(self) -> tuple[str, ...]:
        """Streams: batches of what happened (see `service.events`), one for each shard."""
        return tuple(f"{{lm:{self.environment}}}:events:{shard}" for shard in range(EVENT_SHARDS))

    @property
    def events_aside(self) -> str:
        """Stream: entries of `events` that could not be read or stored, each with the reason."""
        return f"{{lm:{self.environment}}}:events:aside"

    def events_of(self, instance: str) -> str:
        """The stream that a sidecar's worker writes to: always the same, so that what it tells stays in order."""
        return self.events[zlib.crc32(instance.encode()) % EVENT_SHARDS]
