"""Documents and bytes; what a set of mutations refers to."""

import pytest

from control_plane import codec
from control_plane.store import Kind, StoreError
from rules.errors import RulesError
from rules.model import Experiment, Module, RulesFile, Segment, Variation, decode_mutation

ARMS = [Variation(key="a"), Variation(key="b")]
MUTATION = decode_mutation(
    b'{"id":"m","moduleId":"hero","trigger":{"on":"segment","segment":"germans"},"mutationType":"hide",'
    b'"mutationPayload":{"target":{"moduleId":"footer"}}}'
)


def test_documents_come_back() -> None:
    assert codec.decode(Kind.MUTATION, codec.encode(MUTATION)) == MUTATION


def test_what_nobody_wrote_is_a_store_error() -> None:
    with pytest.raises(StoreError, match="a stored module can't be read"):
        codec.decode(Kind.MODULE, b'{"id":"a","colour":1}')


def test_text_and_numbers_that_can_not_be_kept_are_refused_at_their_place() -> None:
    with pytest.raises(RulesError) as caught:
        codec.encode(Segment(id="s", conditions={"a": ["x", {"$in": ["y", "\x00"]}]}))
    assert caught.value.path == "$.conditions.a[1].$in[1]"
    with pytest.raises(RulesError, match="U\\+0000"):
        codec.encode(Segment(id="s", conditions={"\x00": 1}))
    with pytest.raises(RulesError, match="64 bits"):
        codec.encode(Segment(id="s", conditions={"a": 2**70}))
    assert codec.encode(Segment(id="s", conditions={"a": "a backslash: \\u0000"}))


def test_references_are_followed_through_each_other() -> None:
    modules = [Module(id="hero"), Module(id="footer"), Module(id="unused")]
    segments = [Segment(id="germans", conditions={"group": "inner"}), Segment(id="inner", conditions={})]
    experiments = [Experiment(id="unused-test", variations=ARMS)]
    found = codec.referenced([MUTATION], experiments, modules, segments)
    assert found == RulesFile(mutations=[MUTATION], modules=modules[:2], segments=segments)


def test_a_mutation_mentions_what_it_names_and_not_itself() -> None:
    assert codec.mentions(MUTATION, "footer")
    assert codec.mentions(MUTATION, "germans")
    assert not codec.mentions(MUTATION, "m")


def test_equal_rules_have_equal_digests() -> None:
    assert codec.digest(RulesFile(mutations=[MUTATION])) == codec.digest(RulesFile(mutations=[MUTATION]))
    assert codec.digest(RulesFile()) != codec.digest(RulesFile(mutations=[MUTATION]))
