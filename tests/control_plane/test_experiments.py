"""What is particular about experiments: once live, no edit puts people elsewhere but those who must move."""

from typing import Any

import msgspec
import pytest

from control_plane.experiments import carried_over, check_fixed
from rules.assignment import Assignments, compile_experiments
from rules.context import Context
from rules.errors import RulesError
from rules.model import Bandit, Experiment, Holdout, NamespaceRange, Variation
from tests.control_plane.plane import Plane

ARMS = [{"key": "control"}, {"key": "b"}]


async def test_the_seed_is_fixed_when_the_experiment_is_created(plane: Plane) -> None:
    made = (await plane.ask("POST", "experiments", {"id": "ab", "variations": ARMS, "version": 9})).json()
    assert (made["seed"], made["version"]) == ("ab", 1)
    changed = (await plane.ask("PUT", "experiments/ab", {"variations": ARMS, "coverage": 0.5})).json()
    assert (changed["seed"], changed["version"], changed["coverage"]) == ("ab", 2, 0.5)
    chosen = (await plane.ask("PATCH", "experiments/ab", {"seed": "another"})).json()
    assert chosen["seed"] == "another"


VARIANT = {
    "mutationType": "variant",
    "mutationPayload": {
        "experimentId": "ab",
        "variations": {"control": {}, "b": {"operations": [{"verb": "remove", "target": {"selector": "h1"}}]}},
    },
}


async def went_live(plane: Plane, **fields: Any) -> None:
    """The experiment `ab`, live for a moment and switched off again: people have seen it."""
    assert (await plane.ask("POST", "experiments", {"id": "ab", "variations": ARMS, **fields})).status == 201
    mutation = (await plane.create(VARIANT))["id"]
    assert (await plane.ask("POST", f"mutations/{mutation}/deactivate", {"reason": "over"})).status == 200


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        ({"seed": "another"}, "seed"),
        ({"hashVersion": 1}, "hashVersion"),
        ({"unit": "account"}, "unit"),
        ({"fallbackUnit": "account"}, "fallbackUnit"),
        ({"namespace": {"id": "n", "from": 0, "to": 0.5}}, "namespace.id"),
        ({"holdout": {"id": "h", "share": 0.1}}, "holdout.id"),
        ({"variations": [{"key": "b"}, {"key": "control", "ranges": [[0.5, 1]]}]}, "variations"),
    ],
)
async def test_what_decides_positions_is_fixed_once_it_was_live(plane: Plane, edit: dict[str, Any], field: str) -> None:
    await went_live(plane)
    answer = await plane.ask("PATCH", "experiments/ab", edit)
    assert answer.status == 422
    (error,) = answer.json()["errors"]
    assert error["path"] == f"$.{field}"
    assert "because this experiment has been live" in error["problem"]
    assert (await plane.ask("GET", "experiments/ab")).json()["version"] == 1
    file = {"experiments": [{"id": "ab", "variations": ARMS, **edit}]}
    imported = await plane.ask("POST", "import", file)
    assert imported.json()["errors"][0]["path"] == f"$.experiments[0].{field}"


async def test_before_it_was_live_everything_may_be_edited(plane: Plane) -> None:
    await plane.ask("POST", "experiments", {"id": "ab", "variations": ARMS})
    await plane.create(VARIANT | {"status": "draft", "isActive": False})
    edit = {"seed": "s", "unit": "account", "variations": [{"key": "control"}, {"key": "b", "weight": 3}]}
    changed = (await plane.ask("PATCH", "experiments/ab", edit)).json()
    assert (changed["seed"], changed["unit"]) == ("s", "account")
    assert all(arm["ranges"] == [] for arm in changed["variations"])


async def test_a_new_experiment_under_an_old_id_is_an_edit(plane: Plane) -> None:
    await went_live(plane)
    mutation = (await plane.ask("GET", "mutations")).json()["items"][0]["id"]
    await plane.ask("DELETE", f"mutations/{mutation}")
    assert (await plane.ask("DELETE", "experiments/ab")).status == 200
    answer = await plane.ask("POST", "experiments", {"id": "ab", "variations": ARMS, "seed": "new"})
    assert answer.json()["errors"][0]["path"] == "$.seed"


async def test_edited_weights_carry_over_who_is_where(plane: Plane) -> None:
    await went_live(plane)
    more = [*ARMS, {"key": "c"}]
    changed = (await plane.ask("PATCH", "experiments/ab", {"variations": more})).json()
    assert [arm["ranges"] for arm in changed["variations"]] == [
        [[0, 0.3334]],
        [[0.5, 0.8333]],
        [[0.3334, 0.5], [0.8333, 1]],
    ]
    again = (await plane.ask("PUT", "experiments/ab", {"variations": changed["variations"], "coverage": 0.5})).json()
    assert again["variations"] == changed["variations"]
    without = (await plane.ask("PUT", "experiments/ab", {"variations": more})).json()
    assert without["variations"] == changed["variations"], "leaving the ranges out does not lay everybody out anew"
    heavier = [{**arm, "weight": weight} for arm, weight in zip(changed["variations"], (2, 1, 1), strict=True)]
    back = (await plane.ask("PUT", "experiments/ab", {"variations": heavier})).json()
    assert back["variations"][1]["ranges"] == [[0.5, 0.75]]
    file = (await plane.ask("GET", "export")).json()
    imported = (await plane.ask("POST", "import", file)).json()
    assert imported["experiments"] == {"changed": 0, "unchanged": 1}


async def test_an_experiment_is_checked_among_those_it_requires(plane: Plane) -> None:
    await plane.ask("POST", "experiments", {"id": "first", "variations": ARMS})
    needs = {"id": "second", "variations": ARMS, "prerequisites": [{"experimentId": "first"}]}
    assert (await plane.ask("POST", "experiments", needs)).status == 201
    circle = await plane.ask("PATCH", "experiments/first", {"prerequisites": [{"experimentId": "second"}]})
    assert circle.json()["errors"][0]["path"] == "$.prerequisites"
    assert "first requires second requires first" in circle.json()["detail"]
    missing = await plane.ask("PATCH", "experiments/first", {"prerequisites": [{"experimentId": "third"}]})
    assert missing.json()["errors"][0]["path"] == "$.prerequisites[0].experimentId"
    refused = await plane.ask("DELETE", "experiments/first")
    assert (refused.status, refused.json()["type"].rpartition(":")[2]) == (409, "in_use")


async def test_what_a_live_experiment_requires_is_live_too(plane: Plane) -> None:
    await plane.ask("POST", "experiments", {"id": "first", "variations": ARMS})
    await went_live(plane, prerequisites=[{"experimentId": "first"}])
    assert (await plane.ask("PATCH", "experiments/first", {"seed": "x"})).status == 422


def made(*weights: float, **fields: Any) -> Experiment:
    variations = [Variation(key=f"v{number}", weight=weight) for number, weight in enumerate(weights)]
    return Experiment(id="e", variations=variations, **fields)


def variations_of(experiment: Experiment) -> list[str]:
    compiled = compile_experiments([experiment])["e"]
    visits = (Context(site="", path="/", attributes={"lm_uid": f"u{number}"}) for number in range(2_000))
    return [Assignments(context).of(compiled).key for context in visits]


def test_another_order_of_variations_moves_nobody() -> None:
    before = made(1, 2, 0)
    after = carried_over(before, Experiment(id="e", variations=list(reversed(before.variations))))
    assert variations_of(after) == variations_of(before)
    above = made(0, 0, 0, 41, 81, 100, 36, 3)
    kept = carried_over(above, Experiment(id="e", variations=list(reversed(above.variations))))
    assert msgspec.json.decode(msgspec.json.encode(kept), type=Experiment) == kept


def test_a_bandits_new_weights_move_only_those_who_must() -> None:
    first = carried_over(made(1, 1, 1), made(1, 1, 1, bandit=Bandit(weights={"v0": 0.2, "v1": 0.5, "v2": 0.3})))
    second = carried_over(first, made(1, 1, 1, bandit=Bandit(weights={"v0": 0.1, "v1": 0.6, "v2": 0.3})))
    pairs = list(zip(variations_of(first), variations_of(second), strict=True))
    assert {pair for pair in pairs if pair[0] != pair[1]} == {("v0", "v1")}
    assert sum(one != other for one, other in pairs) == pytest.approx(200, abs=50)


def test_a_holdout_may_end_but_not_begin() -> None:
    held = made(1, 1, holdout=Holdout(id="h", share=0.1))
    check_fixed(held, made(1, 1))
    check_fixed(held, made(1, 1, holdout=Holdout(id="h", share=0.05)))
    with pytest.raises(RulesError, match="Leave it at nothing"):
        check_fixed(made(1, 1), held)


def test_the_share_of_a_namespace_may_grow() -> None:
    half = made(1, 1, namespace=NamespaceRange(id="n", since=0, until=0.5))
    check_fixed(half, made(1, 1, namespace=NamespaceRange(id="n", since=0, until=0.7)))
    with pytest.raises(RulesError, match=r"`namespace\.id` is fixed"):
        check_fixed(half, made(1, 1))
