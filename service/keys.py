"""The names in Redis, the only place where the two planes meet.

All names of one installation carry the same hash tag, so that they live on one node of a cluster.
Never: any traffic; both planes bring their own client.
"""

import msgspec


class Keys(msgspec.Struct, frozen=True):
    """Names for one environment, e.g. `Keys("production").table == "{lm:production}:table"`."""

    environment: str

    @property
    def table(self) -> str:
        """String: the sealed decision table (see `rules.table.seal`)."""
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
