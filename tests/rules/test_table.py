"""Bytes and tables: content-addressed, signed, refused whole."""

import msgspec
import pytest

from rules import limits
from rules.errors import TableError
from rules.table import DecisionTable, key_id, seal, unseal
from tests.rules.making import removing, table


def trusting(*_: object) -> bool:
    return True


def reason(data: bytes) -> str:
    with pytest.raises(TableError) as caught:
        DecisionTable.from_bytes(data)
    return caught.value.reason


def test_equal_rules_have_equal_digests() -> None:
    first, second = table(removing("m")), table(removing("m"), version=2)
    assert first.digest == second.digest != table(removing("n")).digest
    assert len(first.digest) == 64
    assert first != second
    assert hash(first) == hash(second)
    assert "version=1" in repr(first)


def test_the_signature_covers_key_and_body() -> None:
    seen: list[tuple[str, bytes, bytes]] = []

    def verify(name: str, signature: bytes, message: bytes) -> bool:
        seen.append((name, signature, message))
        return True

    signed: list[bytes] = []

    def sign(message: bytes) -> bytes:
        signed.append(message)
        return b"signature"

    sealed = seal(table(removing("m")), key_id="key", sign=sign)
    assert unseal(sealed, verify=verify) == table(removing("m"))
    assert seen == [("key", b"signature", signed[0])]
    assert signed[0].startswith(b"layout-mutation decision table\x00key\x00")
    assert signed[0].endswith(table(removing("m")).to_bytes())


def test_an_untrusted_signature_is_refused_before_the_body_is_read() -> None:
    sealed = msgspec.msgpack.encode({"key_id": "k", "signature": b"s", "body": b"not a table"})
    with pytest.raises(TableError) as caught:
        unseal(sealed, verify=lambda *_: False)
    assert caught.value.reason == "bad_signature"


def test_each_refusal_has_its_reason() -> None:
    body = msgspec.msgpack.decode(table(removing("m")).to_bytes())
    assert reason(b"") == "malformed"
    assert reason(b"\xa1\x80") == "malformed"
    assert reason(msgspec.msgpack.encode({**body, "format": 2})) == "unknown_format"
    assert reason(msgspec.msgpack.encode({**body, "surprise": 1})) == "malformed"
    body["rules"]["mutations"][0]["mutationPayload"]["operations"][0]["target"]["selector"] = "h1["
    assert reason(msgspec.msgpack.encode(body)) == "invalid_rules"


def test_a_table_has_a_size() -> None:
    huge = bytes(limits.TABLE_BYTES_MAX + 1)
    assert reason(huge) == "too_large"
    with pytest.raises(TableError) as caught:
        unseal(huge, verify=trusting)
    assert caught.value.reason == "too_large"


def test_broken_text_in_an_envelope_is_malformed() -> None:
    sealed = seal(table(removing("m")), key_id="key", sign=lambda _: b"s").replace(b"\xa3key", b"\xa3k\x80y")
    with pytest.raises(TableError) as caught:
        unseal(sealed, verify=trusting)
    assert caught.value.reason == "malformed"


def test_candidates_are_few_and_in_order() -> None:
    found = table(
        removing("blog", pageSlug="/blog/**"),
        removing("any", priority=1),
        removing("home", pageSlug="/"),
        removing("star", pageSlug="/*/x", priority=-1),
    )
    assert [row.mutation.id for row in found.candidates("/blog/a")] == ["blog", "star", "any"]
    assert [row.mutation.id for row in found.candidates("/")] == ["home", "star", "any"]
    assert [row.mutation.id for row in found.candidates("/other")] == ["star", "any"]


def test_a_key_is_named_by_its_hash() -> None:
    assert key_id(bytes(32)) == "66687aadf862bd77"
