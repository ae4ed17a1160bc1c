"""How a database and its mirror stand to each other, for health, metrics and answers.

Counterpart: `control_plane.store.mirrored` says so. Never: I/O.
"""

from enum import StrEnum

from msgspec import Struct


class State(StrEnum):
    """Who answers."""

    STARTING = "starting"
    """Nobody yet."""
    PRIMARY = "primary"
    MIRROR = "mirror"


class Standing(Struct, frozen=True, rename="camel"):
    """How the two stand to each other, for health and metrics."""

    state: State
    outbox: int
    """Changesets that the database has not got yet."""
    catching_up: bool
    """The mirror does not have everything yet."""
    mirror_age_s: float
    """Seconds since the mirror was last known to be level with the database."""
    problem: str = ""


LEVEL = Standing(State.PRIMARY, 0, catching_up=False, mirror_age_s=0.0)
"""How a store stands that has no mirror and needs none, while it is there."""
