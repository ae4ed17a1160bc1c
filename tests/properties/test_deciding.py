"""What holds for every rules file, every visit and every byte: only expected errors, one order, one answer."""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.bucketing import bucket_ranges, choose_variation, hash_unit
from rules.compiler import compile_table
from rules.conflicts import precedence
from rules.context import Context
from rules.decision import decide
from rules.errors import RulesError, TableError
from rules.model import RulesFile, decode_mutation, decode_operations, decode_rules
from rules.reasons import Reason
from rules.sealing import seal, unseal
from rules.table import DecisionTable
from rules.targeting import OPERATORS, compile_condition, evaluate
from tests.rules.resealing import body_of_format_4, in_format_4

bounded = settings(max_examples=200, deadline=None)

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
REASONS = {"malformed", "unknown_format", "bad_signature", "too_large", "invalid_rules"}
TEXTS = st.text(max_size=8) | st.sampled_from(["a", "DE", "*", "/", "/a/*", "1.2.3", "(", "^a", "\udc80", "__proto__"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
KEYS = TEXTS | st.sampled_from([*sorted(OPERATORS), "$and", "$or", "$nor", "$not", "$unknown", "a.b", "country"])
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


def _json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (UnicodeError, msgspec.MsgspecError):
        return b"{}"


def refusal(call: Callable[[], object]) -> RulesError | TableError | None:
    """The expected error of a call, if it has one; any other fails the test."""
    try:
        call()
    except (RulesError, TableError) as error:
        return error
    return None


# -- conditions


@bounded
@given(JSON, JSON, JSON)
def test_a_condition_is_evaluated_or_false(condition: Any, attributes: Any, groups: Any) -> None:
    groups = groups if isinstance(groups, Mapping) else {}
    assert evaluate(condition, attributes, groups) in (True, False)


@bounded
@given(st.dictionaries(KEYS, JSON, max_size=4), JSON)
def test_strict_and_lenient_agree_on_what_compiles(condition: dict[str, Any], attributes: Any) -> None:
    error = refusal(lambda: compile_condition(condition))
    if error is None:
        assert (compile_condition(condition).failing(attributes) is None) is evaluate(condition, attributes)
    else:
        assert isinstance(error, RulesError)
        assert error.path.startswith("$")
        assert "\n" not in error.problem


@bounded
@given(st.dictionaries(KEYS, JSON, max_size=4), st.dictionaries(KEYS, JSON, max_size=4))
def test_only_what_it_reads_matters(condition: dict[str, Any], attributes: dict[str, Any]) -> None:
    compiled = compile_condition(condition, strict=False)
    seen = {name: value for name, value in attributes.items() if name in compiled.reads}
    assert compiled.failing(seen) == compiled.failing(attributes)


def test_depth_has_an_end() -> None:
    deep: Any = {"a": 1}
    for _ in range(50_000):
        deep = {"$not": deep}
    assert evaluate(deep, {"a": 1}) in (True, False)


# -- bucketing


@given(st.text(), st.text(), st.sampled_from([1, 2]))
def test_a_unit_falls_between_0_and_1(seed: str, value: str, version: int) -> None:
    position = hash_unit(seed, value, version)
    assert position is not None
    assert 0 <= position < 1


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.9999))
def test_more_coverage_moves_nobody(weights: list[float], less: float, more: float, position: float) -> None:
    less, more = sorted((less, more))
    shares = [weight / sum(weights) for weight in weights]
    before = choose_variation(position, bucket_ranges(len(shares), less, shares))
    after = choose_variation(position, bucket_ranges(len(shares), more, shares))
    assert before in (-1, after)


# -- rules files


@given(st.binary(max_size=64) | JSON.map(_json))
def test_any_bytes_are_rules_or_one_line(data: bytes) -> None:
    for decode in (decode_rules, decode_mutation, decode_operations):
        error = refusal(partial(decode, data))
        assert error is None or isinstance(error, RulesError)
        assert error is None or error.path.startswith("$")
        assert "\n" not in str(error)


IDS = st.sampled_from([f"m{number}" for number in range(6)])
SELECTORS = st.sampled_from(["h1", "p", "main > *", "h1["])
OPERATION = st.fixed_dictionaries({"verb": st.just("remove"), "target": st.fixed_dictionaries({"selector": SELECTORS})})
VARIANT = st.fixed_dictionaries({"experimentId": st.sampled_from(["e1", "e2"])}).map(
    lambda payload: {
        **payload,
        "variations": {"control": {}, "new": {"operations": [{"verb": "remove", "target": {"selector": "h1"}}]}},
    }
)
TRIGGERS: list[dict[str, Any]] = [
    {"on": "pageLoad"},
    {"on": "segment", "segment": "germans"},
    {"on": "journey", "journey": "basket", "step": "cart", "progress": "notReached"},
    {"on": "quiz", "quiz": "taste", "question": "tea", "answers": ["green"]},
    {"on": "emotion", "emotions": ["joy"]},
    {"on": "schedule", "schedule": {"daysOfWeek": ["mon", "sun"], "timezone": "Europe/Berlin"}},
    {"on": "experiment", "experiment": "e1", "variations": ["new"]},
    {"on": "device", "devices": ["mobile", "tv"]},
    {"on": "region", "regions": ["DE", "AT-9"]},
    {"on": "locale", "locales": ["de"]},
    {"on": "referral", "referrers": ["*.news.example"], "sources": ["mail"]},
    {"on": "referral", "campaigns": ["spring"], "first": True},
]
OFTEN_PAGE_LOAD = st.sampled_from(TRIGGERS[:1])
READ = ["language", "mobile", "lm_uid", "basket", "taste", "emotion", "mood", "page", "device", "country", "region"]
READ += ["locale", "referrer", "campaign", "firstReferral"]
COMMON = {
    "id": IDS,
    "pageSlug": st.sampled_from(["*", "/", "/a", "/a/*", "/a/**", "/b"]),
    "site": st.sampled_from(["*", "shop.example", "*.example"]),
    "conditions": st.sampled_from(
        [{}, {"language": "de"}, {"mobile": True}, {"lm_uid": {"$exists": True}}, {"lm_uid": {"$inGroup": "known"}}]
    ),
    "trigger": OFTEN_PAGE_LOAD | st.sampled_from(TRIGGERS),
    "moduleId": st.sampled_from([None, None, None, None, "hero", "cta"]),
    "priority": st.integers(-2, 2),
    "version": st.integers(1, 3),
    "layer": st.sampled_from([None, "global", "page", "module", "micro"]),
    "isActive": st.booleans() | st.just(True),
}
IN_BROWSER = {"on": "client", "when": {"event": "idle"}}
MUTATIONS = st.fixed_dictionaries(
    COMMON
    | {"trigger": OFTEN_PAGE_LOAD | st.sampled_from([*TRIGGERS, IN_BROWSER])}
    | {
        "mutationType": st.just("set"),
        "mutationPayload": st.lists(OPERATION, min_size=1, max_size=2).map(lambda found: {"operations": found}),
    }
)
MUTATIONS |= st.fixed_dictionaries(COMMON | {"mutationType": st.just("variant"), "mutationPayload": VARIANT})
REDIRECT = st.fixed_dictionaries(
    {"to": st.sampled_from(["/a", "/b", "/a/", "https://shop.example/a?x", "//x"]), "keepQuery": st.booleans()}
)
MUTATIONS |= st.fixed_dictionaries(COMMON | {"mutationType": st.just("redirect"), "mutationPayload": REDIRECT})
EXPERIMENTS = [
    {"id": name, "variations": [{"key": "control"}, {"key": "new", "weight": 2}], **fields}
    for name, fields in (
        ("e1", {"holdout": {"id": "h", "share": 0.2}, "fallbackUnit": "language", "conditions": {"mobile": True}}),
        ("e2", {"coverage": 0.5, "prerequisites": [{"experimentId": "e1"}], "minBucketVersion": 1, "bucketVersion": 1}),
    )
]
ATTRIBUTES = [
    {"id": "basket", "kind": "journey", "steps": [{"id": "cart", "pageSlug": "/a"}, {"id": "paid", "pageSlug": "/b"}]},
    {"id": "taste", "kind": "quiz", "questions": [{"id": "tea", "answers": ["green", "black"]}]},
    {"id": "looks", "kind": "counter"},
    {
        "id": "emotion",
        "kind": "derived",
        "givenBy": "page.emotion",
        "cases": [{"value": "joy", "conditions": {"mood": 1}}],
    },
    {"id": "mood", "kind": "derived", "cases": [{"value": "up", "conditions": {"mobile": True}}], "otherwise": "down"},
]
GROUPS = [{"id": "known", "members": ["u1", 7, 1.5]}]
NAMED: list[dict[str, str]] = [
    {"pageSlug": "/**"},
    {"pageSlug": "/a/**", "site": "*.example"},
    {"layer": "global"},
    {"layer": "micro", "pageSlug": "/a"},
    {"moduleId": "hero"},
    {"mutationId": "m1"},
    {"mutationId": "m2", "site": "shop.example"},
    {"mutationId": "gone"},
    {"experimentId": "e1"},
    {"experimentId": "e1", "pageSlug": "/**"},
    {"experimentId": "e2", "layer": "global"},
]
TOGGLES = st.tuples(
    st.sampled_from(["t1", "t2", "t3", "t4"]), st.sampled_from(NAMED), st.sampled_from([True, True, False])
).map(lambda drawn: {"id": drawn[0], "isActive": drawn[2], **drawn[1]})
COMPANY = {
    "experiments": EXPERIMENTS,
    "attributes": ATTRIBUTES,
    "savedGroups": GROUPS,
    "segments": [{"id": "germans", "conditions": {"language": "de"}}],
    "modules": [{"id": "hero"}, {"id": "cta", "isActive": False}],
}
FILES = st.tuples(
    st.lists(MUTATIONS, max_size=6, unique_by=lambda mutation: mutation["id"]),
    st.lists(TOGGLES, max_size=3, unique_by=lambda toggle: toggle["id"]),
).map(lambda drawn: decode_rules(msgspec.json.encode({**COMPANY, "mutations": drawn[0], "toggles": drawn[1]})))
WORDS = ["hero", "*", "module:cta", "mutation:m1", "experiment:e1", "layer:micro", "page:/a/**", "z:1", "page:\udc80*"]
CONTEXTS = st.builds(
    Context,
    site=st.sampled_from(["shop.example", "other.test"]),
    path=st.sampled_from(["/", "/a", "/a/", "/a/x", "/a/x/y", "/b", "", "//", "/\udc80"]),
    now=st.datetimes(timezones=st.just(UTC)),
    assigned=st.dictionaries(st.sampled_from(["e1__0", "e2__0", "e2__1"]), st.sampled_from(["control", "new", "gone"])),
    attributes=st.dictionaries(st.sampled_from(READ), JSON)
    | st.just({"language": "de", "mobile": True, "lm_uid": "u1"}),
    forced=st.just({}) | st.dictionaries(st.sampled_from(["e1", "e2"]), st.sampled_from(["new", "gone"])),
    disabled=st.sampled_from([[]] * 8 + [[word] for word in WORDS]).map(frozenset),
    only=st.sampled_from([None] * 12 + [[word] for word in WORDS]).map(
        lambda one: None if one is None else frozenset(one)
    ),
)


def compiled(rules_file: RulesFile, version: int = 1) -> DecisionTable | None:
    try:
        return compile_table(rules_file, version=version, now=NOW)
    except RulesError:
        return None


def test_what_all_these_files_have_in_common_compiles() -> None:
    triggered = [
        {
            "id": f"m{number}",
            "trigger": trigger,
            "mutationType": "remove",
            "mutationPayload": {"target": {"selector": "p"}},
        }
        for number, trigger in enumerate([*TRIGGERS, IN_BROWSER])
    ]
    assert compiled(decode_rules(msgspec.json.encode({**COMPANY, "mutations": triggered}))) is not None


@bounded
@given(FILES, CONTEXTS, st.randoms())
def test_the_order_in_the_file_decides_nothing(rules_file: RulesFile, context: Context, chance: random.Random) -> None:
    table = compiled(rules_file)
    shuffled = {
        name: list(getattr(rules_file, name)) for name in rules_file.__struct_fields__ if name != "schema_version"
    }
    for entries in shuffled.values():
        chance.shuffle(entries)
    other = compiled(msgspec.structs.replace(rules_file, **shuffled))
    assert (table is None) == (other is None)
    if table is not None and other is not None:
        assert decide(table, context) == decide(other, context)


@bounded
@given(FILES, CONTEXTS, st.randoms())
def test_the_same_visit_is_decided_the_same(rules_file: RulesFile, context: Context, chance: random.Random) -> None:
    """Again, by another table of the same rules, and with what is known of the visit in another order."""
    first, second = compiled(rules_file), compiled(rules_file)
    if first is None or second is None:
        return
    known = list(context.attributes.items())
    chance.shuffle(known)
    turned = msgspec.structs.replace(context, attributes=dict(known), forced=dict(reversed([*context.forced.items()])))
    assert decide(first, context) == decide(first, context) == decide(second, turned)


@bounded
@given(FILES, CONTEXTS)
def test_what_is_off_changes_nothing_and_has_a_reason(rules_file: RulesFile, context: Context) -> None:
    table, bare = compiled(rules_file), compiled(msgspec.structs.replace(rules_file, toggles=[]))
    if table is None or bare is None:
        return
    decision, open_ = (
        decide(table, context),
        decide(bare, msgspec.structs.replace(context, disabled=frozenset(), only=None)),
    )
    off = [one for one in decision.outcomes if one.reason is Reason.SWITCHED_OFF]
    assert all(one.detail.startswith(("toggle t", "by request: ", "module ")) for one in off)
    assert not {one.mutation_id for one in off} & {group.mutation_id for group in decision.groups}
    assert decision.assignments.items() <= {**open_.assignments, **decision.assignments}.items()
    assert decision.reads <= open_.reads
    untouched = not rules_file.toggles and not context.disabled and context.only is None
    assert not untouched or decision == open_


@bounded
@given(st.lists(MUTATIONS, max_size=6, unique_by=lambda mutation: mutation["id"]), st.randoms())
def test_precedence_is_a_total_order(drawn: list[dict[str, Any]], chance: random.Random) -> None:
    mutations = [decode_mutation(msgspec.json.encode(one)) for one in drawn]
    keys = [precedence(one) for one in mutations]
    assert len(set(keys)) == len(keys)
    shuffled = list(mutations)
    chance.shuffle(shuffled)
    assert sorted(shuffled, key=precedence) == sorted(mutations, key=precedence)


@bounded
@given(FILES, CONTEXTS)
def test_a_table_survives_bytes(rules_file: RulesFile, context: Context) -> None:
    table = compiled(rules_file)
    if table is None:
        return
    again = unseal(seal(table, key_id="k", sign=lambda message: message[:8]), verify=lambda *_: True)
    assert again == table
    assert seal(again, key_id="k", sign=lambda message: message[:8]) == seal(
        table, key_id="k", sign=lambda message: message[:8]
    )
    assert again.rules == rules_file
    assert (again.version, again.digest, again.created_at) == (table.version, table.digest, table.created_at)
    assert decide(again, context) == decide(table, context)


@bounded
@given(st.binary(max_size=64))
def test_any_bytes_are_a_table_or_refused(data: bytes) -> None:
    error = refusal(partial(unseal, data, verify=lambda *_: True))
    assert isinstance(error, TableError)
    assert error.reason in REASONS


@bounded
@given(FILES, st.integers(0, 2_000), st.integers(0, 255))
def test_a_broken_table_is_refused_whole(rules_file: RulesFile, at: int, byte: int) -> None:
    table = compiled(rules_file)
    if table is None:
        return
    whole = seal(table, key_id="k", sign=lambda _: b"s")
    broken = bytearray(whole)
    broken[at % len(broken)] = byte
    for data in (bytes(broken), whole[: at % len(whole)], in_format_4(body_of_format_4(table))[: at + 1]):
        error = refusal(partial(unseal, data, verify=lambda *_: True))
        assert error is None or isinstance(error, TableError)
        assert error is None or error.reason in REASONS


@bounded
@given(FILES, CONTEXTS, st.sampled_from(["", "?a=1", "?x", "?x&a='"]))
def test_a_visit_that_follows_a_redirect_is_not_sent_there_again(
    rules_file: RulesFile, context: Context, query: str
) -> None:
    table = compiled(rules_file)
    url = f"https://{context.site}{context.path}{query}"
    context = msgspec.structs.replace(context, attributes={**context.attributes, "url": url})
    first = decide(table, context).redirect if table is not None else None
    if table is None or first is None:
        return
    there = urlsplit(urljoin(f"https://{context.site}/", first.location))
    again = msgspec.structs.replace(
        context, site=there.netloc, path=there.path, attributes={**context.attributes, "url": there.geturl()}
    )
    second = decide(table, again).redirect
    assert second is None or second.mutation_id != first.mutation_id
