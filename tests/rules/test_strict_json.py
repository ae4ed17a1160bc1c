"""What parsers let pass: keys that are there twice, numbers that are none, files that are no UTF-8."""

import json
import tracemalloc

import pytest

from rules.strict_json import not_utf_8, odd_number, repeated_key


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b'{"a": 1, "a": 2}', "$"),
        (b'{"a": 1, "\\u0061": 2}', "$"),
        (b'[1, {"b": [{"c": 1, "d": 2, "c": 3}]}]', "$[1].b[0]"),
        (b'{"a": {"x": 1, "x": 1}, "b": {"y": 1, "y": 1}}', "$.a"),
        (b'{"": 1, "": 2}', "$"),
    ],
)
def test_a_key_that_is_there_twice(data: bytes, path: str) -> None:
    found = repeated_key(data)
    assert found is not None
    assert found.path == path
    assert "is there twice" in found.problem


@pytest.mark.parametrize("data", [b"{}", b'{"a": {"a": {"a": 1}}}', b'[{"a": 1}, {"a": 2}]', b"{", b"", b"[" * 100_000])
def test_no_key_is_there_twice(data: bytes) -> None:
    assert repeated_key(data) is None


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400", "-1e400", str(2**64), str(-(2**63) - 1), "9" * 9_999])
def test_a_number_that_no_rule_can_have(number: str) -> None:
    found = odd_number(f'{{"a": [0, {number}, NaN]}}'.encode())
    assert found is not None
    assert found.path == "$.a[1]"
    assert found.problem.startswith(number[:20])
    assert "allowed here: a whole number from -2^63 to 2^64-1" in found.problem


@pytest.mark.parametrize("number", ["0", "-0.0", "1e308", "-1.7e308", "1e-400", str(2**64 - 1), str(-(2**63))])
def test_a_number_that_is_fine(number: str) -> None:
    assert odd_number(f"[{number}]".encode()) is None


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "empty"),
        (b"\n \t", "empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ("{}".encode("utf-16"), "UTF-16"),
        (b"\xfe\xff\x00{\x00}", "UTF-16"),
        ("{}".encode("utf-32"), "UTF-32"),
        ("[]".encode("utf-16-be"), "UTF-16 or UTF-32"),
    ],
)
def test_what_a_file_is_instead_of_utf_8(data: bytes, part: str) -> None:
    assert part in not_utf_8(data)


def test_utf_8_is_what_it_should_be() -> None:
    assert not_utf_8('{"a": "ü"}'.encode()) == ""
    assert not_utf_8(b"{") == ""


def test_looking_for_keys_keeps_nothing() -> None:
    data = json.dumps([{"a": number} for number in range(20_000)]).encode()
    tracemalloc.start()
    assert repeated_key(data) is None
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100_000
