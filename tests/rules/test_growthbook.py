"""Conditions and bucketing give what GrowthBook's SDKs give, for every published case in `../shared`."""

from typing import Any

import msgspec
import pytest

from rules.bucketing import bucket_ranges, choose_variation, equal_weights, hash_unit, in_namespace
from rules.targeting import evaluate
from tests.shared_folder import reads_shared_folder, shared_files

pytestmark = reads_shared_folder


def cases(kind: str) -> list[Any]:
    files = shared_files("conformance/growthbook", "cases.json")
    found: list[Any] = [case for path in files for case in msgspec.json.decode(path.read_bytes())[kind]]
    assert found or not files
    return found


def test_conditions() -> None:
    wrong = [
        name
        for name, condition, visit, want, *groups in cases("evalCondition")
        if evaluate(condition, visit, *groups) is not want
    ]
    assert wrong == []


def test_hashes() -> None:
    for seed, value, version, want in cases("hash"):
        assert hash_unit(seed, value, version) == want, (seed, value, version)


def test_bucket_ranges() -> None:
    for name, arguments, want in cases("getBucketRange"):
        got = [end for pair in bucket_ranges(*arguments) for end in pair]
        assert got == pytest.approx([end for pair in want for end in pair]), name


def test_namespaces() -> None:
    for name, unit, namespace, want in cases("inNamespace"):
        assert in_namespace(unit, namespace) is want, name


def test_equal_weights() -> None:
    for count, want in cases("getEqualWeights"):
        assert equal_weights(count) == pytest.approx(want)


def test_chosen_variations() -> None:
    for name, position, ranges, want in cases("chooseVariation"):
        assert choose_variation(position, ranges) == want, name
