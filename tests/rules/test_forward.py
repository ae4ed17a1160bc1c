"""Files of earlier versions are brought forward step by step; what they decide stays, and what was changed is said."""

from typing import Any

import msgspec
import pytest

from rules import limits
from rules.compiler import compile_table
from rules.decision import decide
from rules.errors import RulesError
from rules.forward import FIRST_VERSION, SCHEMA_VERSION, STEPS, Change, brought_forward
from rules.model import decode_rules, decode_rules_file
from tests.rules.making import NOW, experiment, variant, visit

SAID = Change("$.schemaVersion", "is 2 now; the file was of version 1")


def forward(file: Any) -> tuple[Any, tuple[Change, ...]]:
    data, changes = brought_forward(msgspec.json.encode(file))
    return msgspec.json.decode(data), changes


def test_there_is_a_step_from_each_version_to_the_next() -> None:
    assert [*STEPS] == [*range(FIRST_VERSION, SCHEMA_VERSION)]


def test_a_file_of_this_version_is_left_alone_to_the_byte() -> None:
    data = b'{ "schemaVersion": 2, "experiments": [ {"id": "e", "variations": []} ] }'
    assert brought_forward(data) == (data, ())


@pytest.mark.parametrize("said", [{}, {"schemaVersion": 1}])
def test_a_file_that_says_1_or_nothing_says_2_afterwards(said: dict[str, int]) -> None:
    assert forward({**said, "mutations": []}) == ({"schemaVersion": 2, "mutations": []}, (SAID,))


def test_an_experiment_without_a_seed_is_given_the_one_it_had() -> None:
    given = [experiment("a"), experiment("b", seed="own"), experiment("c", seed="")]
    file, changes = forward({"experiments": given})
    assert [one["seed"] for one in file["experiments"]] == ["a", "own", "c"]
    assert changes == (
        SAID,
        Change("$.experiments[0].seed", "is `a`, the id, by which units were bucketed so far"),
        Change("$.experiments[2].seed", "is `c`, the id, by which units were bucketed so far"),
    )


def test_everybody_stays_where_the_file_had_them() -> None:
    file = {"mutations": [variant("v")], "experiments": [experiment()]}
    old, new = (
        compile_table(decode_rules(msgspec.json.encode({**file, **said})), version=1, now=NOW)
        for said in ({}, {"schemaVersion": 2})
    )
    assert (old.rules.experiments[0].seed, new.rules.experiments[0].seed) == ("e", "")
    visits = [visit(attributes={"lm_uid": f"u{number}"}) for number in range(200)]
    assert [decide(old, one).assignments for one in visits] == [decide(new, one).assignments for one in visits]
    renamed = decode_rules(msgspec.json.encode(file).replace(b'"e"', b'"f"')).experiments[0]
    assert renamed.seed == "f", "an id that changes before the seed is written down is another experiment"


@pytest.mark.parametrize(
    ("version", "part"),
    [
        (3, "the file says version 3; this program reads 1 to 2: use a newer version of it"),
        (10**30, "the file says version a number of many digits; this program reads 1 to 2"),
        (0, "the file says version 0; this program reads 1 to 2: leave it out"),
        (-1, "the file says version -1; this program reads 1 to 2: leave it out"),
    ],
)
def test_a_version_that_is_not_read_is_refused_in_one_line(version: int, part: str) -> None:
    with pytest.raises(RulesError) as caught:
        decode_rules(msgspec.json.encode({"schemaVersion": version, "unheardOf": 1}))
    assert caught.value.path == "$.schemaVersion"
    assert caught.value.problem.startswith(part)


@pytest.mark.parametrize("version", ["2", 2.0, True, None, [2], {}])
def test_a_version_that_is_no_number_is_refused_by_decoding(version: Any) -> None:
    with pytest.raises(RulesError, match="Expected `int`") as caught:
        decode_rules(msgspec.json.encode({"schemaVersion": version}))
    assert caught.value.path == "$.schemaVersion"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"schemaVersion": 1e400}',
        b'{"mutations": 1e400}',
        b"x" * (limits.RULES_FILE_BYTES_MAX + 1),
    ],
    ids=lambda data: str(data[:24]),
)
def test_what_is_no_rules_file_is_left_for_decoding_to_refuse(data: bytes) -> None:
    assert brought_forward(data) == (data, ())
    with pytest.raises(RulesError):
        decode_rules(data)


@pytest.mark.parametrize("experiments", [1, {}, None, [1], [{}], [{"id": 1}], [{"id": "e", "seed": 1}]])
def test_a_step_leaves_what_it_does_not_recognise(experiments: Any) -> None:
    assert forward({"experiments": experiments}) == ({"schemaVersion": 2, "experiments": experiments}, (SAID,))
    with pytest.raises(RulesError) as caught:
        decode_rules(msgspec.json.encode({"experiments": experiments}))
    assert caught.value.path.startswith("$.experiments")


def test_what_was_changed_comes_with_the_file() -> None:
    assert decode_rules_file(b'{"schemaVersion": 2}')[1] == ()
    assert decode_rules_file(b"{}")[1] == (SAID,)
