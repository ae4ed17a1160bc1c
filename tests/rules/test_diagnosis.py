"""One line for an author: path, offence, what is allowed. The table of offences is in test_bad_rules.py."""

import time
from typing import Annotated

import msgspec
import pytest

from rules.diagnosis import decode
from rules.errors import RulesError


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    size: int


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    named: dict[str, Inner] = {}
    listed: list[Inner] = []


def refused(data: bytes) -> RulesError:
    with pytest.raises(RulesError) as caught:
        decode(data, Outer)
    return caught.value


def test_what_fits_is_decoded() -> None:
    assert decode(b'{"named": {"a": {"size": 1}}}', Outer) == Outer(named={"a": Inner(1)})


def test_the_key_of_a_mapping_is_named() -> None:
    error = refused(b'{"named": {"good": {"size": 1}, "bad": {"size": "1"}, "fine": {"size": 2}}}')
    assert error.path == "$.named.bad.size"


def test_an_index_of_a_list_is_named() -> None:
    assert refused(b'{"listed": [{"size": 1}, {"siz": 2}]}').path == "$.listed[1]"


def test_a_near_name_is_suggested() -> None:
    assert "did you mean `size`?" in refused(b'{"listed": [{"siz": 2}]}').problem


def test_a_name_that_would_break_the_line_is_escaped() -> None:
    error = refused(b'{"listed": [{"si\\nze": 2}]}')
    assert "unknown field `si\\u000aze`" in error.problem
    assert str(error).isprintable()


def test_an_error_before_trailing_garbage_is_still_one_line() -> None:
    assert "not JSON" in refused(b"1 \x00").problem


class Group(msgspec.Struct, forbid_unknown_fields=True):
    named: Annotated[dict[str, Inner], msgspec.Meta(max_length=200)] = {}
    groups: dict[str, "Group"] = {}


class Large(msgspec.Struct, forbid_unknown_fields=True):
    groups: list[Group] = []


def test_a_key_is_named_in_mappings_inside_mappings() -> None:
    inner = {"groups": {"good": {}, "bad": {"named": {"a": {"size": 1}, "b": {"size": "1"}}}}}
    with pytest.raises(RulesError) as caught:
        decode(msgspec.json.encode({"groups": [{}, {"groups": {"x": {}, "y": inner}}]}), Large)
    assert caught.value.path == "$.groups[1].groups.y.groups.bad.named.b.size"


def test_a_key_among_many_in_a_large_file_is_found_soon() -> None:
    """Only the struct around it is tried again for each key, not the file."""
    many = {f"k{number}": {"size": number} for number in range(200)}
    bad = {**many, "k199": {"size": "1"}}
    data = msgspec.json.encode({"groups": [{"named": many}] * 1_000 + [{"named": bad}]})
    begun = time.thread_time()
    with pytest.raises(RulesError) as caught:
        decode(data, Large)
    assert caught.value.path == "$.groups[1000].named.k199.size"
    assert time.thread_time() - begun < 2


def test_a_mapping_with_too_much_in_it_is_refused_for_that() -> None:
    with pytest.raises(RulesError, match="length <= 200") as caught:
        decode(msgspec.json.encode({"groups": [{"named": {f"k{number}": {} for number in range(201)}}]}), Large)
    assert caught.value.path == "$.groups[0].named"


def test_where_the_text_breaks_is_said_by_line() -> None:
    assert refused(b'{\n  "listed": [,]\n}').problem.endswith("(line 2, byte 14)")
    assert refused(b'{\n"\xfc": 1}').problem == "this is not JSON: byte 0xfc is not UTF-8 (line 2, byte 2)"


def test_a_name_that_looks_like_a_path_is_none() -> None:
    error = refused(b'{"x - at `$.listed": 1}')
    assert error.path == "$"
    assert "unknown field `x - at `$.listed`" in error.problem


def test_a_long_name_is_shown_in_part() -> None:
    error = refused(b'{"' + b"y" * 100_000 + b'": 1}')
    assert error.problem.endswith("allowed here: named, listed")
    assert len(error.problem) < 500
