"""What an experiment may say, and the line for what it may not."""

from typing import Any

import pytest

from rules.errors import RulesError
from tests.rules.making import experiment, rules_file, table

STEP = {"at": "2026-03-01T00:00:00Z", "share": 0.5}
LATER = {"at": "2026-03-02T00:00:00Z", "share": 0.1}


def refusal(**fields: Any) -> RulesError:
    with pytest.raises(RulesError) as refused:
        table(experiments=[experiment(**fields)])
    return refused.value


@pytest.mark.parametrize(
    ("fields", "path", "part"),
    [
        ({"variations": [{"key": "a"}, {"key": "a"}]}, "$.experiments[0]", "keys must differ"),
        ({"variations": [{"key": "a", "weight": 0}, {"key": "b", "weight": 0}]}, "$.experiments[0]", "above 0"),
        ({"bandit": {"weights": {"old": 1}}}, "$.experiments[0]", "'old'; there are control, new"),
        ({"bandit": {"weights": {"new": 0}}}, "$.experiments[0]", "at least one weight above 0"),
        ({"bandit": {"weights": {"new": -1}}}, "$.experiments[0].bandit.weights.new", ">= 0"),
        ({"ramp": [LATER, STEP]}, "$.experiments[0]", "in the order of `at`"),
        ({"ramp": [STEP, LATER]}, "$.experiments[0]", "must not be lower"),
        ({"ramp": [{"at": "2026-03-01T00:00:00", "share": 1}]}, "$.experiments[0].ramp[0].at", "timezone"),
        ({"fallbackUnit": "lm_uid"}, "$.experiments[0]", "another attribute than `unit`"),
        ({"minBucketVersion": 1}, "$.experiments[0]", "not be higher than `bucketVersion`"),
        ({"bucketVersion": 100_000}, "$.experiments[0].bucketVersion", "<= 1000"),
        ({"holdout": {"id": "h", "share": 2}}, "$.experiments[0].holdout.share", "<= 1"),
        ({"namespace": {"id": "n", "from": 1, "to": 0}}, "$.experiments[0].namespace", "smaller than `to`"),
        (
            {"variations": [{"key": "a", "ranges": [[0, 0.2]]}, {"key": "b", "ranges": [[0.5, 1]]}]},
            "$.experiments[0].variations",
            "leave `ranges` out",
        ),
        (
            {"variations": [{"key": "a", "ranges": [[0, 2]]}, {"key": "b"}]},
            "$.experiments[0].variations[0].ranges[0]",
            "",
        ),
        ({"prerequisites": [{"experimentId": "x"}]}, "$.experiments[0].prerequisites[0].experimentId", "known: e"),
        ({"prerequisites": [{"experimentId": "e"}]}, "$.experiments[0].prerequisites", "e requires e"),
    ],
)
def test_one_line_with_the_place(fields: dict[str, Any], path: str, part: str) -> None:
    error = refusal(**fields)
    assert error.path.startswith(path)
    assert part in error.problem
    assert "\n" not in str(error)


def test_weights_are_shares_and_a_bandit_stands_in() -> None:
    arms = [{"key": "control"}, {"key": "new", "weight": 3}]
    plain, found = rules_file(
        experiments=[experiment(variations=arms), experiment("f", variations=arms, bandit={"weights": {"new": 7}})]
    ).experiments
    assert plain.weights == (0.25, 0.75)
    assert found.weights == (0, 1)
