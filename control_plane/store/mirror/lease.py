"""Who may write while the database is away: one of all instances.

Counterpart: `control_plane.writers_lease` holds it in Redis. Never: a database.
"""

from typing import Protocol


class Lease(Protocol):
    """The right to write provisionally."""

    async def hold(self) -> bool:
        """Take it, or make it last longer; False where another one has it or nobody can be asked."""

    @property
    def held(self) -> bool:
        """Whether it is still ours, by our own clock and on the safe side; no I/O."""

    async def release(self) -> None:
        """Let others have it; never raises."""

    async def elsewhere(self) -> bool:
        """Whether another instance has it, as far as can be found out; never raises."""

    async def holder(self) -> str:
        """Who has it, as the end of a sentence for people; never raises."""

    async def refusal(self) -> str:
        """Why it could not be had here now, as `holder` says it; empty where it could. Takes nothing, and never raises."""


class Alone:
    """There is no other instance: nobody has to be asked."""

    held = True

    async def hold(self) -> bool:
        """Always."""
        return True

    async def release(self) -> None:
        """Nobody waits for it."""

    async def elsewhere(self) -> bool:
        """Never."""
        return False

    async def holder(self) -> str:
        """This one."""
        return "this instance takes changes"

    async def refusal(self) -> str:
        """Nothing stands in the way."""
        return ""
