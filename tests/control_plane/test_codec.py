"""Documents and bytes, and which others they name."""

import pytest

from control_plane import codec
from control_plane.store import Kind, StoreError
from rules.errors import RulesError
from rules.model import Derived, RulesFile, Segment, Toggle, decode_mutation

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


def test_a_union_of_kinds_is_one_kind_of_document() -> None:
    attribute = Derived(id="mood", otherwise="calm")
    assert codec.decode(Kind.ATTRIBUTE, codec.encode(attribute)) == attribute
    toggle = Toggle(id="off", module_id="hero")
    assert codec.decode(Kind.TOGGLE, codec.encode(toggle)) == toggle
    with pytest.raises(StoreError, match="a stored saved group can't be read"):
        codec.decode(Kind.SAVED_GROUP, b"{}")


def test_groups_are_those_that_conditions_name() -> None:
    conditions = {"$or": [{"account": {"$inGroup": "staff"}}, {"$not": {"city": {"$notInGroup": "south"}}}]}
    segment = Segment(id="s", name="west", conditions={**conditions, "group": "north"})
    assert codec.groups_of(segment) == {"staff", "south"}


def test_a_mutation_mentions_what_it_names_and_not_itself() -> None:
    assert codec.mentions(MUTATION, "footer")
    assert codec.mentions(MUTATION, "germans")
    assert not codec.mentions(MUTATION, "m")


def test_equal_rules_have_equal_digests() -> None:
    assert codec.digest(RulesFile(mutations=[MUTATION])) == codec.digest(RulesFile(mutations=[MUTATION]))
    assert codec.digest(RulesFile()) != codec.digest(RulesFile(mutations=[MUTATION]))
