"""What holds for every table: its index agrees with asking each rule, and a row compiled late decides as one compiled early."""

import random
from functools import partial

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.compiler import compile_table
from rules.context import Context
from rules.decision import decide
from rules.errors import RulesError, TableError
from rules.model import RulesFile
from rules.page_index import PageIndex
from rules.pages import compile_page, compile_site
from rules.reasons import Outcome
from rules.rows import company_of, compile_rows
from rules.sealing import seal, unseal
from rules.table import DecisionTable
from tests.properties.test_deciding import CONTEXTS, FILES, NOW, refusal
from tests.rules.resealing import envelope_of, with_rules

bounded = settings(max_examples=200, deadline=None)

PIECES = st.sampled_from(["", "a", "b", "ab", "*", "**", "a*", "*b", "a**", "***", "\u00e9", ".", "a\n"])
PATTERNS = st.lists(PIECES, min_size=1, max_size=4).map(lambda pieces: "/" + "/".join(pieces)) | st.just("*")
STEPS = st.sampled_from(["", "a", "b", "ab", "aab", "\u00e9", "\udc80", ".", "*", "**", "a\n", "\0"])
PATHS = st.lists(STEPS, max_size=6).map(lambda steps: "/" + "/".join(steps)) | st.text(max_size=4)
LABELS = st.sampled_from(["a", "b", "example", ""])
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
SITES = st.just("*") | HOSTS | HOSTS.map("*.{}".format) | HOSTS.map(str.upper)


def usable(address: tuple[str, str]) -> bool:
    """Whether a rule with this site and page compiles."""
    try:
        compile_site(address[0], "$")
        compile_page(address[1], "$")
    except RulesError:
        return False
    return True


ADDRESSES = st.lists(st.tuples(SITES, PATTERNS).filter(usable), max_size=12)


@settings(max_examples=1_000, deadline=None)
@given(ADDRESSES, HOSTS, PATHS)
@example([("*", "/a/**")], "a", "/a/\udc80")
@example([("*", "/**/a")], "a", "//a")
@example([("*.example", "*"), (".example", "*")], ".example", "")
def test_the_index_agrees_with_asking_every_rule(addresses: list[tuple[str, str]], host: str, path: str) -> None:
    asked = [
        number
        for number, (site, page) in enumerate(addresses)
        if compile_site(site, "$")(host) and compile_page(page, "$")(path)
    ]
    assert list(PageIndex(addresses).find(host, path)) == asked


def unexpected(outcome: Outcome) -> None:
    pytest.fail(f"left out: {outcome}")


def twice(rules_file: RulesFile) -> tuple[DecisionTable, DecisionTable]:
    """A table compiled whole, and the same compiled row by row."""
    table = compile_table(rules_file, version=3, now=NOW, engine="this engine")
    sealed = seal(table, key_id="k", sign=lambda message: message[:8])
    return table, unseal(sealed, verify=lambda *_: True, engine="this engine", left_out=unexpected)


def compiles(rules_file: RulesFile) -> bool:
    try:
        compile_rows(rules_file, company_of(rules_file))
    except RulesError:
        return False
    return True


GOOD_FILES = FILES.filter(compiles)


@bounded
@given(GOOD_FILES, st.lists(CONTEXTS, min_size=1, max_size=4))
def test_a_table_compiled_late_decides_as_one_compiled_early(rules_file: RulesFile, contexts: list[Context]) -> None:
    early, late = twice(rules_file)
    for context in [*contexts, *contexts]:
        decision = decide(late, context)
        assert decision == decide(early, context)
        assert decision.reads <= late.reads(context.site, context.path) == early.reads(context.site, context.path)
    assert (late, late.digest, late.rules, late.order) == (early, early.digest, early.rules, early.order)
    assert [row.mutation for row in late.rows] == [row.mutation for row in early.rows]


@bounded
@given(GOOD_FILES, CONTEXTS, st.randoms())
def test_the_order_in_the_file_decides_nothing_late_either(
    rules_file: RulesFile, context: Context, chance: random.Random
) -> None:
    lists = [name for name in rules_file.__struct_fields__ if name != "schema_version"]
    shuffled = {name: list(getattr(rules_file, name)) for name in lists}
    for entries in shuffled.values():
        chance.shuffle(entries)
    other = msgspec.structs.replace(rules_file, **shuffled)
    (early, late), (early_too, late_too) = twice(rules_file), twice(other)
    assert decide(late, context) == decide(early, context) == decide(late_too, context) == decide(early_too, context)
    assert [row.mutation for row in late.rows] == [row.mutation for row in late_too.rows]
    assert (early.digest == early_too.digest) is (rules_file == other)


@settings(max_examples=60, deadline=None)
@given(GOOD_FILES, GOOD_FILES, st.lists(CONTEXTS, min_size=1, max_size=3), st.randoms())
def test_a_table_that_takes_over_decides_as_one_that_does_not(
    first: RulesFile, other: RulesFile, contexts: list[Context], chance: random.Random
) -> None:
    kept = [mutation for mutation in first.mutations if chance.random() < 0.7]
    new = [mutation for mutation in other.mutations if mutation.id not in {one.id for one in kept}]
    second = msgspec.structs.replace(first, mutations=chance.sample(kept + new, len(kept + new)))
    if not compiles(second):
        second = other
    _, before = twice(first)
    decided = [decide(before, context) for context in contexts]
    early, _ = twice(second)
    sealed = seal(early, key_id="k", sign=lambda message: message[:8])
    late = unseal(sealed, verify=lambda *_: True, engine="this engine", left_out=unexpected, before=before)
    for context in contexts:
        assert decide(late, context) == decide(early, context)
        assert late.asks(context.site, context.path) == early.asks(context.site, context.path)
    assert (late.digest, late.rules, late.versions()) == (early.digest, early.rules, early.versions())
    assert [row.mutation for row in late.rows] == [row.mutation for row in early.rows]
    assert [decide(before, context) for context in contexts] == decided


@bounded
@given(GOOD_FILES, st.integers(0, 4_000), st.integers(0, 255), CONTEXTS)
def test_bytes_that_break_after_the_checks_cost_no_visit(
    rules_file: RulesFile, at: int, byte: int, context: Context
) -> None:
    """A signer with a bug, or memory that fails: what is loaded decides, what is not is refused with a reason."""
    table, _ = twice(rules_file)
    whole = seal(table, key_id="k", sign=lambda _: b"s")
    rules = bytearray(envelope_of(whole)["rules"])
    rules[at % len(rules)] = byte
    try:
        broken = with_rules(whole, bytes(rules))
    except ValueError:  # where the first mutation begins can't be found any more
        return
    loaded: list[DecisionTable] = []
    load = partial(unseal, broken, verify=lambda *_: True, engine="this engine")
    error = refusal(lambda: loaded.append(load()))
    assert error is None or isinstance(error, TableError)
    for late in loaded:
        assert len(decide(late, context).outcomes) <= late.size
