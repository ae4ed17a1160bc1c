"""Bytes and tables: content-addressed, signed, refused whole."""

from hashlib import sha512
from typing import Any, cast

import msgspec
import pytest

from rules import limits
from rules.compiler import compile_table
from rules.decision import Outcome, decide
from rules.errors import TableError
from rules.rows import Row
from rules.table import DecisionTable, engine_of, key_id, seal, unseal
from tests.rules.making import NOW, experiment, removing, rules_file, table, variant, visit

ENGINE = "this engine"


def trusting(*_: object) -> bool:
    return True


def reason(data: bytes) -> str:
    with pytest.raises(TableError) as caught:
        DecisionTable.from_bytes(data)
    return caught.value.reason


def candidates(found: DecisionTable, path: str) -> list[str]:
    rows = found.candidates("shop.example", path)
    return [row.mutation.id for row in rows if isinstance(row, Row)]


def body_of(found: DecisionTable) -> dict[str, Any]:
    """The body as it was up to format 3, its rules no bytes of their own."""
    body = msgspec.msgpack.decode(found.to_bytes())
    del body["lengths"]
    return {**body, "format": 3, "rules": msgspec.msgpack.decode(body["rules"])}


def in_envelope(body: dict[str, Any]) -> bytes:
    return msgspec.msgpack.encode({"key_id": "k", "signature": b"s", "body": msgspec.msgpack.encode(body)})


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
    assert signed[0].startswith(b"layout-mutation decision table by its SHA-512\x00key\x00")
    assert signed[0].endswith(sha512(table(removing("m")).to_bytes()).digest())


def test_what_was_signed_whole_is_checked_whole() -> None:
    """As tables were up to format 3; one kind of signature is never valid for the other."""
    body = msgspec.msgpack.encode(body_of(table(removing("m"))))
    seen: list[bytes] = []

    def verify(_: str, __: bytes, message: bytes) -> bool:
        seen.append(message)
        return True

    for hashed in ({}, {"hashed": True}):
        whole = msgspec.msgpack.encode({"key_id": "key", "signature": b"s", "body": body, **hashed})
        assert unseal(whole, verify=verify).size == 1
    assert seen[0] == b"layout-mutation decision table\x00key\x00" + body
    assert seen[1] == b"layout-mutation decision table by its SHA-512\x00key\x00" + sha512(body).digest()


def test_an_untrusted_signature_is_refused_before_the_body_is_read() -> None:
    sealed = msgspec.msgpack.encode({"key_id": "k", "signature": b"s", "body": b"not a table"})
    with pytest.raises(TableError) as caught:
        unseal(sealed, verify=lambda *_: False)
    assert caught.value.reason == "bad_signature"


def test_each_refusal_has_its_reason() -> None:
    body = body_of(table(removing("m")))
    assert reason(b"") == "malformed"
    assert reason(b"\xa1\x80") == "malformed"
    assert reason(msgspec.msgpack.encode({**body, "format": 5})) == "unknown_format"
    assert reason(msgspec.msgpack.encode({"format": 5, "of": "the future"})) == "unknown_format"
    assert reason(msgspec.msgpack.encode({**body, "surprise": 1})) == "malformed"
    assert reason(msgspec.msgpack.encode({**body, "format": 4})) == "malformed"
    assert reason(msgspec.msgpack.encode({**body, "format": 4, "rules": b"\x80", "lengths": [1]})) == "malformed"
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


def test_candidates_are_those_of_the_page_in_order() -> None:
    found = table(
        removing("blog", pageSlug="/blog/**"),
        removing("any", priority=1),
        removing("home", pageSlug="/"),
        removing("star", pageSlug="/*/x", priority=-1),
        removing("elsewhere", pageSlug="/", site="other.example"),
    )
    assert candidates(found, "/blog/x") == ["blog", "star", "any"]
    assert candidates(found, "/blog/a") == ["blog", "any"]
    assert candidates(found, "/") == ["home", "any"]
    assert candidates(found, "/other") == ["any"]


# ---- checked by this engine


def sealed(*mutations: dict[str, Any], engine: str = ENGINE, **others: Any) -> bytes:
    made = compile_table(rules_file(*mutations, **others), version=1, now=NOW, engine=engine)
    return seal(made, key_id="key", sign=lambda _: b"s")


def altered(whole: bytes, old: bytes, new: bytes) -> bytes:
    """Bytes of the same length in the place of others: for a signature that nobody checks."""
    assert whole.count(old) == 1
    assert len(old) == len(new)
    return whole.replace(old, new)


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
    found = unseal(
        data.replace(b"\xa4note\xa1#", b"\xa4n0te\xa1#"), verify=trusting, engine=ENGINE, left_out=told.append
    )
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


def test_what_a_page_reads_is_known_without_a_visit() -> None:
    made = table(
        removing("everywhere", conditions={"country": "DE", "query.from": "news"}),
        removing("later", pageSlug="/a", conditions={"language": "de"}, schedule={"startsAt": "2030-01-01T00:00:00Z"}),
        removing("off", pageSlug="/a", conditions={"mobile": True}, isActive=False),
        removing("elsewhere", pageSlug="/b", conditions={"referrer": "x"}),
        removing("switched", pageSlug="/a", moduleId="m", conditions={"userAgent": "x"}),
        modules=[{"id": "m", "isActive": False}],
    )
    assert made.reads("shop.example", "/a") == {"country", "query", "language"}
    assert made.reads("shop.example", "/c") == {"country", "query"}
    assert table().reads("shop.example", "/a") == frozenset()


def test_versions_of_some_mutations() -> None:
    whole = table(removing("a", version=4), removing("b", version=2))
    late = unseal(sealed(removing("a", version=4), removing("b", version=2)), verify=trusting, engine=ENGINE)
    assert whole.versions({"a", "gone"}) == late.versions({"a", "gone"}) == {"a": 4}
    assert late._rows == {}


@pytest.mark.parametrize("order", [[0], [0, 0], [0, 2], [0, 1, 2], [-1, 0]])
def test_an_order_that_does_not_fit_is_refused(order: list[int]) -> None:
    body = msgspec.msgpack.decode(table(removing("a"), removing("b")).to_bytes())
    data = in_envelope({**body, "engine": ENGINE, "order": order})
    with pytest.raises(TableError) as caught:
        unseal(data, verify=trusting, engine=ENGINE)
    assert caught.value.reason == "malformed"
    assert unseal(data, verify=trusting).size == 2


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


def test_tables_of_the_first_format_are_compiled_whole() -> None:
    now = body_of(table(removing("b"), removing("a")))
    first = {"format": 1, **{name: now[name] for name in ("version", "created_at", "rules")}}
    found = unseal(in_envelope(first), verify=trusting, engine=ENGINE)
    assert (found.engine, found.digest) == ("", table(removing("b"), removing("a")).digest)
    assert candidates(found, "/") == ["a", "b"]
    first["rules"]["mutations"][0]["pageSlug"] = "where"
    with pytest.raises(TableError, match=r"invalid_rules: \$.mutations\[0\].pageSlug"):
        unseal(in_envelope(first), verify=trusting, engine=ENGINE)


def test_tables_of_the_second_format_are_compiled_as_they_are_used() -> None:
    """As they were written before rules declared attributes, saved groups and toggles, and said their schema version."""
    known = ("mutations", "experiments", "modules", "segments")
    now = {**body_of(table(variant("v"), removing("a"), experiments=[experiment()])), "engine": ENGINE}
    second = {**now, "format": 2, "rules": {name: now["rules"][name] for name in known}}
    for engine in (ENGINE, "another"):
        found = unseal(in_envelope(second), verify=trusting, engine=engine)
        assert (found.engine, found.size) == (ENGINE, 2)
        assert found.rules == table(variant("v"), removing("a"), experiments=[experiment()]).rules
        assert candidates(found, "/") == ["a", "v"]


def test_tables_of_the_third_format_are_compiled_as_they_are_used() -> None:
    """As they were written before they said how long each mutation is; the next table takes over from them all the same."""
    present = compile_table(rules_file(removing("b"), removing("a")), version=1, now=NOW, engine=ENGINE)
    third = in_envelope(body_of(present))
    found = unseal(third, verify=trusting, engine=ENGINE)
    assert (found.engine, found.size, found.digest, found.rules) == (ENGINE, 2, present.digest, present.rules)
    assert candidates(found, "/") == ["a", "b"]
    data, looked = seal(present, key_id="k", sign=lambda _: b"s"), list[bytes]()
    following = unseal(data, verify=trusting, engine=ENGINE, look=looked.append, before=found)
    assert looked == []
    assert following.candidates("shop.example", "/")[0] is found.candidates("shop.example", "/")[0]


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


def test_who_has_checked_can_be_asked_before() -> None:
    assert engine_of(sealed(removing("m"))) == ENGINE
    assert engine_of(in_envelope({**body_of(table()), "format": 1})) == ""
    with pytest.raises(TableError, match="malformed"):
        engine_of(b"noise")


def test_a_key_is_named_by_its_hash() -> None:
    assert key_id(bytes(32)) == "66687aadf862bd77"


def test_rules_of_a_page_are_found_once_and_whatever_was_asked_between() -> None:
    made = table(removing("a", pageSlug="/a/*", conditions={"country": "DE"}), removing("b", pageSlug="/b"))
    first = made.candidates("shop.example", "/a/1")
    assert made.candidates("shop.example", "/a/2") is first
    assert candidates(made, "/b") == ["b"]
    assert made.candidates("other.example", "/a/1") is first
    own = table(removing("own", site="shop.example"), removing("other", site="other.example"))
    assert candidates(own, "/") == ["own"]
    assert [row.mutation.id for row in own.rows if row in own.candidates("other.example", "/")] == ["other"]
    assert candidates(made, "") == []
    assert candidates(table(removing("any")), "") == ["any"]


def test_what_must_be_known_of_a_visit_is_also_what_is_remembered() -> None:
    counter = {"kind": "counter", "id": "looks", "pageSlug": "/a", "conditions": {"device": "tv"}}
    made = table(removing("m", conditions={"looks": {"$gt": 1}, "language": "de"}), attributes=[counter])
    assert made.asks("shop.example", "/a") == {"looks", "language", "device"}
    assert made.asks("shop.example", "/b") == made.reads("shop.example", "/b") == {"looks", "language"}
    first = table(removing("m", conditions={"firstReferral.source": "news"}))
    assert first.asks("shop.example", "/") == {"firstReferral", "referrer", "campaign"}
