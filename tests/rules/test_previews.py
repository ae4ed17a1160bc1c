"""Preview tokens: what they hold, when they count, and a page's rules with a draft among them."""

import base64
import zlib
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from rules import limits, previews
from rules.compiler import compile_table
from rules.context import Context
from rules.decision import decide
from rules.errors import RulesError
from rules.model import decode_rules
from rules.previews import Preview, Refusal, opened, seal, taken, with_draft
from rules.sealing import key_id, unseal
from rules.sealing import seal as seal_table
from rules.table import DecisionTable

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
NAME = key_id(KEY.public_key().public_bytes_raw())


def verify(name: str, signature: bytes, message: bytes) -> bool:
    try:
        KEY.public_key().verify(signature, message)
    except InvalidSignature:
        return False
    return name == NAME


def token(preview: Preview) -> str:
    return seal(preview, key_id=NAME, sign=KEY.sign)


def at(text: str, now_s: float = 0) -> Preview | Refusal:
    return opened(text, verify=verify, now_s=now_s)


# ---- tokens


@given(
    st.builds(
        Preview,
        expires_at=st.integers(1, 2**40),
        forced=st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5),
        rules=st.binary(max_size=500),
    )
)
def test_what_is_sealed_is_opened_until_it_expires(preview: Preview) -> None:
    text = token(preview)
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    assert at(text, preview.expires_at - 1) == preview
    assert at(text, preview.expires_at) is Refusal.EXPIRED


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_token_with_another_byte_counts_for_nothing(place: int, change: int) -> None:
    text = token(Preview(100, {"e": "b"}, b"x" * 50))
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[place % len(raw)] ^= change
    assert at(base64.urlsafe_b64encode(raw).decode().rstrip("=")) in {Refusal.BAD_SIGNATURE, Refusal.MALFORMED}


@given(st.text(max_size=200))
def test_anything_else_is_malformed(text: str) -> None:
    assert at(text) is Refusal.MALFORMED


def test_another_keys_token_and_a_signature_for_a_table_are_refused() -> None:
    other = Ed25519PrivateKey.generate()
    assert at(seal(Preview(100), key_id=NAME, sign=other.sign)) is Refusal.BAD_SIGNATURE
    body = zlib.compress(msgspec.msgpack.encode(Preview(100)))
    for_table = KEY.sign(b"layout-mutation decision table\x00" + NAME.encode() + b"\x00" + body)
    assert at(seal(Preview(100), key_id=NAME, sign=lambda _: for_table)) is Refusal.BAD_SIGNATURE


def test_what_would_not_fit_an_address_is_refused_with_the_numbers() -> None:
    assert len(token(Preview(100, rules=b"x" * 60_000))) < limits.PREVIEW_TOKEN_CHARACTERS_MAX
    incompressible = b"".join(sha256(bytes([number])).digest() for number in range(200))
    with pytest.raises(ValueError, match="of which addresses may have 6,000"):
        token(Preview(100, rules=incompressible))
    with pytest.raises(ValueError, match="at most 65,536"):
        token(Preview(100, rules=b"x" * limits.PREVIEW_BYTES_MAX))
    assert at("A" * (limits.PREVIEW_TOKEN_CHARACTERS_MAX + 4)) is Refusal.MALFORMED


def test_no_more_is_decompressed_than_the_bound() -> None:
    body = zlib.compress(msgspec.msgpack.encode(Preview(100, rules=b"x" * (4 * limits.PREVIEW_BYTES_MAX))), 9)
    sealed = previews._Sealed(NAME, KEY.sign(previews._signed(NAME, body)), body)
    assert at(base64.urlsafe_b64encode(msgspec.msgpack.encode(sealed)).decode()) is Refusal.MALFORMED


# ---- addresses


@pytest.mark.parametrize(
    ("target", "left", "found"),
    [
        ("/a", "/a", None),
        ("/a?layout-mutation-preview=T", "/a", "T"),
        ("/a?b=%7E&layout-mutation-preview=T&&c", "/a?b=%7E&&c", "T"),
        ("/a?layout-mutation-preview=T&layout-mutation-preview=U&b", "/a?b", "T"),
        ("/a?layout-mutation-preview", "/a", ""),
        ("/layout-mutation-preview=T", "/layout-mutation-preview=T", None),
        ("/a?xlayout-mutation-preview=T", "/a?xlayout-mutation-preview=T", None),
        ("/a?b=layout-mutation-preview", "/a?b=layout-mutation-preview", None),
    ],
)
def test_the_parameter_is_taken_and_the_rest_stays(target: str, left: str, found: str | None) -> None:
    assert taken(target) == (left, found)


# ---- drafts


def headline(identifier: str, text: str, **more: Any) -> dict[str, Any]:
    operation = {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": text}}
    payload = {"operations": [operation]}
    return {"id": identifier, "mutationType": "set", "mutationPayload": payload, **more}


def rules(*mutations: dict[str, Any], **more: Any) -> bytes:
    return msgspec.json.encode({"mutations": mutations, **more})


def table(*mutations: dict[str, Any], **more: Any) -> DecisionTable:
    return compile_table(decode_rules(rules(*mutations, **more)), version=7, now=NOW)


def shown(found: DecisionTable, **attributes: Any) -> dict[str, str]:
    context = Context(site="shop.example", path="/a", now=NOW, attributes=attributes)
    return {outcome.mutation_id: outcome.reason.value for outcome in decide(found, context).outcomes}


def drafted(found: DecisionTable | None, draft: bytes) -> DecisionTable:
    return with_draft(found, draft, "shop.example", "/a")


def test_a_draft_takes_the_place_of_its_published_version_under_a_name_of_its_own() -> None:
    published = table(headline("hero", "Old"), headline("other", "x"), headline("elsewhere", "x", pageSlug="/b"))
    made = drafted(published, rules(headline("hero", "Draft")))
    assert shown(made) == {"other": "applied", "preview:hero": "applied"}
    assert (made.version, made.size) == (7, 2)


def test_a_table_from_bytes_is_as_good() -> None:
    made = compile_table(decode_rules(rules(headline("hero", "Old"))), version=7, now=NOW, engine="one")
    sealed = seal_table(made, key_id=NAME, sign=KEY.sign)
    loaded = unseal(sealed, verify=verify, engine="one")
    assert shown(drafted(loaded, rules(headline("hero", "Draft")))) == {"preview:hero": "applied"}
    assert loaded.others == made.others


def test_without_a_table_there_is_the_draft_alone() -> None:
    made = drafted(None, rules(headline("hero", "Draft", conditions={"mobile": True})))
    assert shown(made, mobile=True) == {"preview:hero": "applied"}
    assert shown(made, mobile=False) == {"preview:hero": "conditions"}


def test_what_a_draft_refers_to_comes_along_or_is_the_tables() -> None:
    module = {"id": "cta", "selector": "h1"}
    draft = headline("hero", "Draft", moduleId="cta")
    draft["mutationPayload"]["operations"][0]["target"] = {"moduleId": "cta"}
    assert shown(drafted(None, rules(draft, modules=[module]))) == {"preview:hero": "applied"}
    toggle = {"id": "t", "moduleId": "cta"}
    assert shown(drafted(table(modules=[module], toggles=[toggle]), rules(draft))) == {"preview:hero": "switched_off"}


def test_an_experiment_that_neither_has_is_an_error() -> None:
    variations = {"new": {"operations": headline("x", "Draft")["mutationPayload"]["operations"]}}
    payload = {"experimentId": "e", "variations": {"control": {"operations": []}, **variations}}
    draft = rules({"id": "v", "mutationType": "variant", "mutationPayload": payload})
    with pytest.raises(RulesError, match="experiment"):
        drafted(table(), draft)
    experiment = {"id": "e", "variations": [{"key": "control", "weight": 0.0}, {"key": "new", "weight": 1.0}]}
    assert list(shown(drafted(table(experiments=[experiment]), draft))) == ["preview:v"]


def test_an_id_has_room_for_the_name() -> None:
    assert shown(drafted(None, rules(headline("x" * 64, "Draft")))) == {"preview:" + "x" * 56: "applied"}


REDIRECT = {"id": "r", "mutationType": "redirect", "mutationPayload": {"to": "https://evil.example/", "status": 302}}


@pytest.mark.parametrize(
    ("draft", "problem"),
    [
        (rules(REDIRECT), "no redirect"),
        (rules(), "one mutation"),
        (rules(headline("a", "x"), headline("b", "x")), "one mutation"),
        (rules(headline("a", "x", conditions={"a": {"$regex": "("}})), "regular expression"),
        (b"{", "JSON"),
    ],
)
def test_a_draft_that_can_not_be_used_is_refused(draft: bytes, problem: str) -> None:
    with pytest.raises(RulesError, match=problem):
        drafted(table(), draft)
