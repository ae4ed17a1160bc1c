"""What is particular about experiments: the seed that never moves a visitor, and the version."""

from tests.control_plane.plane import Plane

ARMS = [{"key": "control"}, {"key": "b"}]


async def test_the_seed_is_fixed_when_the_experiment_is_created(plane: Plane) -> None:
    made = (await plane.ask("POST", "experiments", {"id": "ab", "variations": ARMS, "version": 9})).json()
    assert (made["seed"], made["version"]) == ("ab", 1)
    changed = (await plane.ask("PUT", "experiments/ab", {"variations": ARMS, "coverage": 0.5})).json()
    assert (changed["seed"], changed["version"], changed["coverage"]) == ("ab", 2, 0.5)
    chosen = (await plane.ask("PATCH", "experiments/ab", {"seed": "another"})).json()
    assert chosen["seed"] == "another"
