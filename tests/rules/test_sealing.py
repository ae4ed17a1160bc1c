"""Bytes and tables: signed, digested, refused whole."""

from hashlib import sha256
from typing import Any, cast

import msgspec
import pytest

from rules import limits
from rules.compiler import compile_table
from rules.decision import decide
from rules.errors import TableError
from rules.pieces import STRETCH
from rules.reasons import Outcome
from rules.rows import Row
from rules.sealing import engine_of, key_id, seal, unseal
from rules.table import DecisionTable
from tests.rules.making import NOW, removing, rules_file, table, visit
from tests.rules.resealing import (
    altered,
    envelope_of,
    in_envelope,
    reason,
    trusting,
    with_head,
    with_rules,
)

ENGINE = "this engine"


def candidates(found: DecisionTable, path: str) -> list[str]:
    rows = found.candidates("shop.example", path)
    return [row.mutation.id for row in rows if isinstance(row, Row)]


def sealed(*mutations: dict[str, Any], engine: str = ENGINE, **others: Any) -> bytes:
    made = compile_table(rules_file(*mutations, **others), version=1, now=NOW, engine=engine)
    return seal(made, key_id="key", sign=lambda _: b"s")


def test_a_table_has_a_size() -> None:
    huge = bytes(limits.TABLE_BYTES_MAX + 1)
    with pytest.raises(TableError) as caught:
        unseal(huge, verify=trusting)
    assert caught.value.reason == "too_large"


def test_a_table_and_its_head_may_be_as_large_as_their_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    data = sealed(removing("m"))
    head = len(msgspec.msgpack.decode(data)["head"])
    for name, size in (("TABLE_BYTES_MAX", len(data)), ("TABLE_HEAD_BYTES_MAX", head)):
        monkeypatch.setattr(limits, name, size)
        assert unseal(data, verify=trusting).size == 1
        monkeypatch.setattr(limits, name, size - 1)
        assert reason(data) == "too_large"
        monkeypatch.setattr(limits, name, size)


def test_broken_text_in_an_envelope_is_malformed() -> None:
    sealed = seal(table(removing("m")), key_id="key", sign=lambda _: b"s").replace(b"\xa3key", b"\xa3k\x80y")
    with pytest.raises(TableError) as caught:
        unseal(sealed, verify=trusting)
    assert caught.value.reason == "malformed"


def test_rules_that_are_nested_without_end_are_malformed() -> None:
    """A trusted key may have signed them all the same."""
    envelope = envelope_of(sealed(removing("m", conditions={"a": "shallow"})))
    old, new = msgspec.msgpack.encode("shallow"), b"\x91" * 2_000 + b"\x90"
    envelope["head"]["lengths"][1] += len(new) - len(old)
    data = with_rules(in_envelope(envelope), envelope["rules"].replace(old, new))
    for engine in (ENGINE, "another"):
        with pytest.raises(TableError, match=r"malformed: .*recursion"):
            unseal(data, verify=trusting, engine=engine)


# ---- the signature


def test_the_signature_covers_key_and_head() -> None:
    seen: list[tuple[str, bytes, bytes]] = []

    def verify(name: str, signature: bytes, message: bytes) -> bool:
        seen.append((name, signature, message))
        return True

    signed: list[bytes] = []

    def sign(message: bytes) -> bytes:
        signed.append(message)
        return b"signature"

    made = seal(table(removing("m")), key_id="key", sign=sign)
    assert unseal(made, verify=verify) == table(removing("m"))
    assert seen == [("key", b"signature", signed[0])]
    assert signed[0] == b"layout-mutation decision table by its head\x00key\x00" + msgspec.msgpack.decode(made)["head"]


@pytest.mark.parametrize("place", [0, 1, STRETCH - 1, STRETCH, 2 * STRETCH, 2 * STRETCH + 2])
def test_what_was_signed_is_what_is_loaded(place: int) -> None:
    """One byte of any rule, or of what rules refer to, and nothing is taken; also where the table before has all the others."""
    many = [removing(f"m-{number:03}", note=f"n-{number:03}") for number in range(2 * STRETCH + 3)]
    data = sealed(*many, modules=[{"id": "hero", "selector": "h1"}])
    before = unseal(data, verify=trusting, engine=ENGINE)
    envelope = envelope_of(data)
    for old, new in ((f"n-{place:03}", "another"[:5]), ("hero", "heri")):
        rules = envelope["rules"].replace(old.encode(), new.encode())
        assert rules != envelope["rules"]
        for engine in (ENGINE, "another"):
            with pytest.raises(TableError, match="bad_signature: its rules are not those") as caught:
                unseal(in_envelope({**envelope, "rules": rules}), verify=trusting, engine=engine, before=before)
            assert caught.value.reason == "bad_signature"


def test_a_digest_that_is_missing_or_too_much_is_no_signature_of_these_rules() -> None:
    data = sealed(removing("a"), removing("b"))
    digests = envelope_of(data)["head"]["digests"]
    assert len(digests) == 2
    for wrong in (digests[:1], [*digests, digests[1]], digests[::-1], [digests[0], digests[1][:31]]):
        assert reason(with_head(data, digests=wrong)) == "bad_signature"
    assert reason(with_head(data, digests=[])) == "malformed"


def test_what_the_table_before_says_of_its_bytes_counts_for_those_bytes_only() -> None:
    """Fewer, more and other mutations than before: what is known of a stretch is not taken for a part of it."""
    many = [removing(f"m-{number:03}") for number in range(2 * STRETCH + 3)]
    tables = [many, many[: STRETCH + 50], many[:STRETCH], many[:1], [], many, many[1:], many[:-1], many]
    before: DecisionTable | None = None
    for mutations in tables:
        data = sealed(*mutations)
        found = unseal(data, verify=trusting, engine=ENGINE, before=before)
        alone = unseal(data, verify=trusting, engine=ENGINE)
        assert (found, found.digest, found.versions()) == (alone, alone.digest, alone.versions())
        assert found.written is not None
        assert alone.written is not None
        assert found.written.roster.places == alone.written.roster.places
        assert found.written.roster.entries == alone.written.roster.entries
        before = found


def test_a_table_is_digested_but_for_what_the_table_before_has(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [removing(f"m-{number:03}") for number in range(2 * STRETCH)]
    data, changed = sealed(*many), sealed(*many[:-1], removing("another"))
    before, digested = unseal(data, verify=trusting, engine=ENGINE), list[bytes]()

    def noting(content: bytes) -> Any:
        digested.append(content)
        return sha256(content)

    monkeypatch.setattr("rules.pieces.sha256", noting)
    unseal(changed, verify=trusting, engine=ENGINE, before=before)
    assert [b"m-000" in one for one in digested] == [False, False], "what is beside the mutations, and the last stretch"


def test_an_untrusted_signature_is_refused_before_the_head_is_read() -> None:
    envelope = msgspec.msgpack.decode(sealed(removing("m")))
    data = msgspec.msgpack.encode({**envelope, "head": b"not a head", "rules": b"no rules"})
    for refused in (data, msgspec.msgpack.encode({"key_id": "k", "signature": b"s", "hashed": True, "body": b"none"})):
        with pytest.raises(TableError) as caught:
            unseal(refused, verify=lambda *_: False)
        assert caught.value.reason == "bad_signature"


def test_each_refusal_has_its_reason() -> None:
    data = sealed(removing("m", "h1 > b"))
    envelope = envelope_of(data)
    assert reason(b"") == "malformed"
    assert reason(b"\xa1\x80") == "malformed"
    assert reason(in_envelope({**envelope, "format": 6})) == "unknown_format"
    assert reason(msgspec.msgpack.encode({"format": 6, "of": "the future"})) == "unknown_format"
    assert reason(msgspec.msgpack.encode({"format": 3, "of": "the past"})) == "unknown_format"
    assert reason(msgspec.msgpack.encode({"format": "5"})) == "malformed"
    assert reason(in_envelope({**envelope, "surprise": 1})) == "malformed"
    assert reason(data + b"\xc0") == "malformed"
    with pytest.raises(TableError, match="format 6; this version reads 4 and 5"):
        unseal(msgspec.msgpack.encode({"format": 6}), verify=trusting)
    assert reason(with_head(data, surprise=1)) == "malformed"
    assert reason(with_head(data, lengths=[1])) == "malformed"
    assert reason(with_head(data, order=None)) == "malformed"
    assert reason(altered(data, b"h1 > b", b"h1 > [")) == "invalid_rules"


# ---- checked by this engine


def test_what_this_engine_has_checked_is_compiled_at_its_first_use() -> None:
    data = sealed(removing("b"), removing("a", pageSlug="/a"), removing("c", pageSlug="/c"))
    lazy, whole = unseal(data, verify=trusting, engine=ENGINE), unseal(data, verify=trusting)
    assert (lazy.version, lazy.created_at, lazy.engine, lazy.size) == (1, NOW, ENGINE, 3)
    assert lazy._rows == {}
    assert candidates(lazy, "/a") == ["a", "b"]
    assert sorted(cast(dict[int, Row], lazy._rows)) == [0, 1]
    assert lazy.candidates("shop.example", "/a")[0] is lazy.candidates("shop.example", "/a")[0]
    assert (lazy.digest, lazy.rules, lazy) == (whole.digest, whole.rules, whole)
    assert [row.mutation.id for row in lazy.rows] == [row.mutation.id for row in whole.rows] == ["a", "c", "b"]


@pytest.mark.parametrize(("says", "asks"), [(ENGINE, "another"), (ENGINE, ""), ("", ""), ("another", ENGINE)])
def test_what_another_engine_has_checked_is_compiled_whole(says: str, asks: str) -> None:
    broken = altered(sealed(removing("m", "h1 > b"), engine=says), b"h1 > b", b"h1 > [")
    with pytest.raises(
        TableError, match=r"\$.mutations\[0\].mutationPayload.operations\[0\].target.selector"
    ) as caught:
        unseal(broken, verify=trusting, engine=asks)
    assert caught.value.reason == "invalid_rules"


def test_a_rule_that_fails_after_all_is_left_out_and_said_once() -> None:
    told: list[Outcome] = []
    data = sealed(removing("bad", "h1 > b", priority=1), removing("good"), removing("worse", pageSlug="/w", note="#"))
    data = altered(altered(data, b"h1 > b", b"h1 > ["), b"pageSlug\xa2/w", b"pageSlug\xa2/v")
    data = altered(data, b"\xa4note\xa1#", b"\xa4n0te\xa1#")
    found = unseal(data, verify=trusting, engine=ENGINE, left_out=told.append)
    for _ in range(2):
        decision = decide(found, visit("/v"))
        assert [group.mutation_id for group in decision.groups] == ["good"]
        assert [(outcome.mutation_id, outcome.reason.value) for outcome in decision.outcomes] == [
            ("worse", "unusable"),
            ("bad", "unusable"),
            ("good", "applied"),
        ]
    assert [outcome.mutation_id for outcome in told] == ["worse", "bad"]
    assert told[0].detail.startswith("Object contains unknown field `n0te`")
    assert told[1].detail.startswith("$.mutations[0].mutationPayload.operations[0].target.selector")
    assert [row.mutation.id for row in found.rows] == ["good"]


def test_versions_of_some_mutations() -> None:
    whole = table(removing("a", version=4), removing("b", version=2))
    late = unseal(sealed(removing("a", version=4), removing("b", version=2)), verify=trusting, engine=ENGINE)
    assert whole.versions({"a", "gone"}) == late.versions({"a", "gone"}) == {"a": 4}
    assert late._rows == {}


@pytest.mark.parametrize("order", [[0], [0, 0], [0, 2], [0, 1, 2], [-1, 0]])
def test_an_order_that_does_not_fit_is_refused(order: list[int]) -> None:
    data = with_head(sealed(removing("a"), removing("b")), order=order)
    with pytest.raises(TableError) as caught:
        unseal(data, verify=trusting, engine=ENGINE)
    assert caught.value.reason == "malformed"
    assert unseal(data, verify=trusting).size == 2


@pytest.mark.parametrize("said", [{"version": 0}, {"version": 10**18}, {"created_at": "0001-01-01T00:00:00"}])
def test_a_version_or_time_that_nothing_could_follow_is_refused(said: dict[str, Any]) -> None:
    """A signer with a bug: sidecars read versions of 18 digits, and a time without a zone is anybody's."""
    assert reason(with_head(sealed(removing("m")), **said)) == "malformed"


def test_what_mutations_refer_to_is_checked_when_it_is_loaded() -> None:
    modules = [{"id": "hero", "selector": "h1 > b"}]
    broken = altered(sealed(removing("m"), modules=modules), b"h1 > b", b"h1 > [")
    with pytest.raises(TableError, match=r"\$.modules\[0\].selector"):
        unseal(broken, verify=trusting, engine=ENGINE)


def test_a_page_that_is_none_is_refused_when_it_is_loaded() -> None:
    broken = altered(sealed(removing("m", pageSlug="/here")), b"/here", b"where")
    with pytest.raises(TableError, match="a page is a path pattern") as caught:
        unseal(broken, verify=trusting, engine=ENGINE)
    assert caught.value.reason == "invalid_rules"


def test_what_is_taken_over_is_of_the_same_engine() -> None:
    before = unseal(sealed(removing("a"), engine="another"), verify=trusting, engine="another")
    row = before.candidates("shop.example", "/")[0]
    looked: list[bytes] = []
    data = sealed(removing("a"))
    for engine in (ENGINE, "another"):
        found = unseal(data, verify=trusting, engine=engine, look=looked.append, before=before)
        assert found.candidates("shop.example", "/")[0] is not row
    assert sum(b"a" in one for one in looked) >= 2


def test_precedence_is_the_new_tables_own() -> None:
    """A new version comes before others of its priority, and all the others stay what they were."""
    before = unseal(sealed(removing("a"), removing("b"), removing("c")), verify=trusting, engine=ENGINE)
    assert candidates(before, "/") == ["a", "b", "c"]
    now = unseal(
        sealed(removing("a"), removing("b"), removing("c", version=2)), verify=trusting, engine=ENGINE, before=before
    )
    assert candidates(now, "/") == ["c", "a", "b"]
    assert candidates(before, "/") == ["a", "b", "c"]
    assert now.versions() == {"a": 1, "b": 1, "c": 2}


def test_whoever_looks_is_shown_all_rules_of_a_table_that_is_compiled_whole() -> None:
    looked, data = list[bytes](), sealed(removing("a"), removing("b"), modules=[{"id": "hero", "selector": "h1"}])
    unseal(data, verify=trusting, engine="another", look=looked.append)
    others, mutations = looked
    assert b"hero" in others
    assert others.count(b"mutationType") == 0
    assert mutations.count(b"mutationType") == 2


def test_it_pauses_after_the_signature_and_after_the_digests() -> None:
    done = list[str]()

    def verify(*_: object) -> bool:
        done.append("verified")
        return True

    unseal(sealed(), verify=verify, engine="another", pause=lambda: done.append("paused"))
    assert done == ["verified", "paused", "paused"]
    done.clear()
    unseal(sealed(removing("m")), verify=verify, engine="another", pause=lambda: done.append("paused"))
    assert done == ["verified", "paused", "paused", "paused"]


def test_who_has_checked_can_be_asked_before() -> None:
    assert engine_of(sealed(removing("m"))) == ENGINE
    with pytest.raises(TableError, match="malformed"):
        engine_of(b"noise")


def test_a_key_is_named_by_its_hash() -> None:
    assert key_id(bytes(32)) == "66687aadf862bd77"
