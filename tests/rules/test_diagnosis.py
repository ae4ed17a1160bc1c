"""One line for an author: path, offence, what is allowed. The table of offences is in test_bad_rules.py."""

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
