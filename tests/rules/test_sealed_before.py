"""Tables of the format before: read as they were written, and by no other rule of a signature."""

from typing import Any

import msgspec
import pytest

from rules.compiler import compile_table
from rules.errors import TableError
from rules.rows import Row
from rules.sealed_before import _HASHED_BYTES, opened
from rules.sealing import engine_of, seal, unseal
from tests.rules.making import NOW, removing, rules_file
from tests.rules.resealing import body_of_format_4, in_format_4, message_of_format_4, reason, trusting

ENGINE = "this engine"


def before_this_one(*mutations: dict[str, Any], engine: str = ENGINE) -> dict[str, Any]:
    return body_of_format_4(compile_table(rules_file(*mutations), version=1, now=NOW, engine=engine))


def test_tables_of_the_format_before_are_compiled_as_they_are_used() -> None:
    present = compile_table(rules_file(removing("b"), removing("a")), version=1, now=NOW, engine=ENGINE)
    found = unseal(in_format_4(body_of_format_4(present)), verify=trusting, engine=ENGINE)
    assert (found.engine, found.size, found.digest, found.rules) == (ENGINE, 2, present.digest, present.rules)
    rows = found.candidates("shop.example", "/")
    assert [row.mutation.id for row in rows if isinstance(row, Row)] == ["a", "b"]
    data, looked = seal(present, key_id="k", sign=lambda _: b"s"), list[bytes]()
    following = unseal(data, verify=trusting, engine=ENGINE, look=looked.append, before=found)
    assert looked == []
    assert following.candidates("shop.example", "/")[0] is found.candidates("shop.example", "/")[0]


def test_the_signature_of_the_format_before_is_over_the_digest_of_all() -> None:
    body, seen = before_this_one(removing("m")), list[bytes]()

    def verify(_: str, __: bytes, message: bytes) -> bool:
        seen.append(message)
        return True

    assert unseal(in_format_4(body), verify=verify).size == 1
    assert seen == [message_of_format_4(body)]


@pytest.mark.parametrize(
    "change",
    [{"format": 5}, {"surprise": 1}, {"rules": b"\x80"}, {"lengths": [1]}, {"digests": [b""]}, {"order": "all"}],
)
def test_what_is_no_table_of_the_format_before_is_malformed(change: dict[str, Any]) -> None:
    assert reason(in_format_4({**before_this_one(removing("m")), **change})) == "malformed"


def test_a_signature_over_something_else_than_its_digest_is_none_of_the_format_before() -> None:
    encoded = msgspec.msgpack.encode(before_this_one(removing("m")))
    for hashed in ({}, {"hashed": False}):
        assert (
            reason(msgspec.msgpack.encode({"key_id": "k", "signature": b"s", "body": encoded, **hashed})) == "malformed"
        )


def test_a_signature_that_nobody_trusts_is_refused_before_the_body_is_read() -> None:
    for data in (in_format_4(before_this_one(removing("m"))), in_format_4({"no": "body"})):
        with pytest.raises(
            TableError, match=r"bad_signature: no trusted key signed this table .it names key 'key'."
        ) as caught:
            unseal(data, verify=lambda *_: False, engine=ENGINE)
        assert caught.value.reason == "bad_signature"


def test_nothing_comes_behind_a_table_of_the_format_before() -> None:
    assert reason(in_format_4(before_this_one(removing("m"))) + b"\xc0") == "malformed"


def test_a_body_is_digested_in_pieces_with_a_pause_before_each() -> None:
    paused, asked = list[str](), list[bytes]()

    def verify(_: str, __: bytes, message: bytes) -> bool:
        asked.append(message)
        paused.append("verified")
        return True

    body = before_this_one(*(removing(f"m-{number:04}", note="n" * 1_000) for number in range(450)))
    assert 2 * _HASHED_BYTES < len(in_format_4(body)) < 3 * _HASHED_BYTES
    opened(in_format_4(body), verify, lambda: paused.append("paused"))
    assert asked == [message_of_format_4(body)]
    assert paused == ["paused"] * 3 + ["verified", "paused"]


def test_who_has_checked_can_be_asked_before() -> None:
    assert engine_of(in_format_4(before_this_one(removing("m"), engine="another"))) == "another"
