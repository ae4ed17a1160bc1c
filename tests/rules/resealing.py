"""Sealed tables that no signer of ours would make: for a signature that nobody checks, unless it says otherwise."""

from collections.abc import Callable
from hashlib import sha512
from typing import Any

import msgspec
import pytest

from rules import pieces
from rules.errors import TableError
from rules.sealing import seal, unseal
from rules.table import DecisionTable


def trusting(*_: object) -> bool:
    """Takes every signature."""
    return True


def reason(sealed: bytes) -> str:
    """Why bytes are refused as a table, whoever signed them."""
    with pytest.raises(TableError) as caught:
        unseal(sealed, verify=trusting)
    return caught.value.reason


def envelope_of(sealed: bytes) -> dict[str, Any]:
    """The envelope, its head decoded."""
    envelope = msgspec.msgpack.decode(sealed)
    return {**envelope, "head": msgspec.msgpack.decode(envelope["head"])}


def in_envelope(envelope: dict[str, Any]) -> bytes:
    """What `envelope_of` took apart."""
    return msgspec.msgpack.encode({**envelope, "head": msgspec.msgpack.encode(envelope["head"])})


def with_head(sealed: bytes, **changes: Any) -> bytes:
    """A head that says something else; None leaves a field out."""
    envelope = envelope_of(sealed)
    head = {name: value for name, value in {**envelope["head"], **changes}.items() if value is not None}
    return in_envelope({**envelope, "head": head})


def with_rules(sealed: bytes, rules: bytes) -> bytes:
    """Other rules of the same lengths, with their digests."""
    envelope = envelope_of(sealed)
    found = pieces.taken_apart(memoryview(rules), envelope["head"]["lengths"])
    return with_head(in_envelope({**envelope, "rules": rules}), digests=[*found.digests()])


def altered(sealed: bytes, old: bytes, new: bytes) -> bytes:
    """Bytes of the same length in the place of others in the rules, with their digests: a signer with a bug."""
    rules = envelope_of(sealed)["rules"]
    assert rules.count(old) == 1
    assert len(old) == len(new)
    return with_rules(sealed, rules.replace(old, new))


def signed(sealed: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """The same with a signature that is good."""
    envelope = envelope_of(sealed)
    head, domain = msgspec.msgpack.encode(envelope["head"]), b"layout-mutation decision table by its head\x00"
    return in_envelope({**envelope, "signature": sign(b"".join((domain, envelope["key_id"].encode(), b"\x00", head)))})


def body_of_format_4(table: DecisionTable) -> dict[str, Any]:
    """The body of a table as it was written before this format."""
    envelope = envelope_of(seal(table, key_id="key", sign=lambda _: b"signature"))
    digested = {name: value for name, value in envelope["head"].items() if name != "digests"}
    return {"format": 4, **digested, "rules": envelope["rules"]}


def in_format_4(body: dict[str, Any]) -> bytes:
    """Such a body in its envelope."""
    encoded = msgspec.msgpack.encode(body)
    return msgspec.msgpack.encode({"key_id": "key", "signature": b"s", "hashed": True, "body": encoded})


def message_of_format_4(body: dict[str, Any]) -> bytes:
    """What its signature was over."""
    domain = b"layout-mutation decision table by its SHA-512\x00"
    return domain + b"key\x00" + sha512(msgspec.msgpack.encode(body)).digest()
