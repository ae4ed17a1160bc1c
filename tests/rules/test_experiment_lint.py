"""What an author of experiments is warned about."""

from typing import Any

import pytest

from rules.lint import lint
from rules.sample_size import Traffic
from tests.rules.making import experiment, removing, table, variant

STEP = {"at": "2026-03-01T00:00:00Z", "share": 0.5}


def messages(*experiments: dict[str, Any], traffic: Traffic | None = None) -> list[tuple[str, str]]:
    """Findings about experiments that a mutation uses, each."""
    variants = [variant(f"v{one['id']}", one["id"], moduleId=one["id"]) for one in experiments]
    found = lint(table(*variants, experiments=experiments), traffic=traffic)
    return [(finding.path, finding.message) for finding in found]


@pytest.mark.parametrize(
    ("fields", "path", "part"),
    [
        ({"variations": [{"key": "control", "weight": 0}, {"key": "new"}]}, "variations", "`control` has no weight"),
        ({"bandit": {"weights": {"new": 1}}}, "bandit.weights", "`control` has no weight"),
        ({"ramp": [STEP]}, "ramp", "ends at 50 %"),
    ],
)
def test_a_warning(fields: dict[str, Any], path: str, part: str) -> None:
    ((where, message),) = messages(experiment(**fields))
    assert where == f"$.experiments[0].{path}"
    assert part in message


def test_units_of_experiments_are_known() -> None:
    assert messages(experiment(unit="account", fallbackUnit="member")) == []


def test_a_prerequisite_is_used() -> None:
    found = lint(table(variant("v"), experiments=[experiment(prerequisites=[{"experimentId": "f"}]), experiment("f")]))
    assert found == ()


@pytest.mark.parametrize(
    ("variations", "position"), [([], None), (["new", "lazy"], None), (["control", "new"], 2), (["lazy"], 1)]
)
def test_an_experiment_that_triggers_name_is_used(variations: list[str], position: int | None) -> None:
    three = experiment(variations=[{"key": "control"}, {"key": "new"}, {"key": "lazy"}])
    trigger = {"on": "experiment", "experiment": "e", "variations": variations}
    found = lint(table(removing("m", trigger=trigger), experiments=[three]))
    assert [finding.path for finding in found] == (
        [] if position is None else [f"$.experiments[0].variations[{position}]"]
    )


def test_one_holdout_has_one_share() -> None:
    shares = [experiment(name, holdout={"id": "h", "share": share}) for name, share in (("e", 0.1), ("f", 0.2))]
    assert messages(*shares) == [
        (
            "$.experiments[1].holdout.share",
            "holdout `h` has another share in e: some units are held out of one of them only",
        )
    ]
    assert messages(experiment("e", holdout={"id": "h", "share": 0.1}), experiment("f")) == []


def test_experiments_that_meet_in_their_namespace() -> None:
    spaces = {"e": (0.4, 1), "f": (0, 0.5), "g": (0, 0.1)}
    given = [experiment(k, namespace={"id": "n", "from": a, "to": b}) for k, (a, b) in spaces.items()]
    assert messages(*given) == [
        ("$.experiments[1].namespace", "meets g in namespace `n`: their shares overlap from 0.0 to 0.1"),
        ("$.experiments[0].namespace", "meets f in namespace `n`: their shares overlap from 0.4 to 0.5"),
    ]
    assert messages(given[0], given[1] | {"isActive": False}) == []


def test_an_experiment_that_cannot_end() -> None:
    assert messages(experiment(), traffic=Traffic(daily_visits=2_000)) == []
    ((path, message),) = messages(experiment(), traffic=Traffic(daily_visits=1_000))
    assert path == "$.experiments[0]"
    assert "to see 5 % change by 10 % it needs 62,4" in message
    assert "62 days at 1,000 a day; at most 56" in message
    for fields in (
        {"coverage": 0.5},
        {"ramp": [STEP]},
        {"namespace": {"id": "n", "from": 0, "to": 0.5}},
        {"holdout": {"id": "h", "share": 0.5}},
        {"variations": [{"key": "control", "weight": 9}, {"key": "new"}]},
        {"prerequisites": [{"experimentId": "f", "variations": ["new"]}]},
    ):
        given = experiment(**fields)
        found = lint(table(variant("v"), experiments=[given, experiment("f")]), traffic=Traffic(daily_visits=2_000))
        assert any("can't reach a useful sample" in one.message for one in found), fields
    assert "enrols nobody" in messages(experiment(coverage=0), traffic=Traffic(daily_visits=10))[0][1]
    assert messages(experiment(isActive=False), traffic=Traffic(daily_visits=1)) == []
