"""Documents as one rules file: what travels, what stands beside, whose fault an error is."""

import msgspec
import pytest

from control_plane import codec
from control_plane.company import (
    MEMBERS,
    Known,
    among,
    beside,
    company,
    culprit,
    everything,
    from_document,
    from_mutation,
    needed,
)
from control_plane.schema import address
from control_plane.store import Kind, Stored
from control_plane.store.postgres import PostgresStore
from rules.errors import RulesError
from rules.model import (
    Counter,
    DeclaredAttribute,
    Derived,
    Experiment,
    Layer,
    Module,
    RulesFile,
    SavedGroup,
    Segment,
    Toggle,
    Variation,
    decode_mutation,
)
from tests.control_plane.plane import CHAIN, Plane

ARMS = [Variation(key="a"), Variation(key="b")]
MUTATION = decode_mutation(
    b'{"id":"m","moduleId":"hero","trigger":{"on":"segment","segment":"germans"},"mutationType":"hide",'
    b'"mutationPayload":{"target":{"moduleId":"footer"}}}'
)


def test_every_member_of_a_rules_file_has_its_kind() -> None:
    assert set(MEMBERS) == set(Kind)
    assert {*MEMBERS.values(), "schema_version"} == set(RulesFile.__struct_fields__)


def test_references_are_followed_through_each_other() -> None:
    modules = [Module(id="hero"), Module(id="footer"), Module(id="unused")]
    segments = [Segment(id="germans", conditions={"group": "inner"}), Segment(id="inner", conditions={})]
    experiments = [Experiment(id="unused-test", variations=ARMS)]
    found = needed(RulesFile(mutations=[MUTATION], modules=modules, segments=segments, experiments=experiments))
    assert found == RulesFile(mutations=[MUTATION], modules=modules[:2], segments=segments)


def test_groups_travel_where_something_that_travels_names_them() -> None:
    groups = [SavedGroup(id=name, members=[]) for name in ("hero", "north", "south", "staff")]
    segments = [
        Segment(id="germans", conditions={"city": {"$inGroup": "north"}}),
        Segment(id="unused", conditions={"city": {"$inGroup": "south"}}),
    ]
    attributes: list[DeclaredAttribute] = [Counter(id="views", conditions={"account": {"$notInGroup": "staff"}})]
    found = needed(RulesFile(mutations=[MUTATION], segments=segments, attributes=attributes, saved_groups=groups))
    assert [group.id for group in found.saved_groups] == ["north", "staff"]


def test_attributes_travel_always_and_toggles_while_they_are_on() -> None:
    attributes: list[DeclaredAttribute] = [Derived(id="mood", otherwise="calm")]
    toggles = [Toggle(id="on", layer=Layer.PAGE), Toggle(id="off", layer=Layer.PAGE, is_active=False)]
    found = needed(RulesFile(attributes=attributes, toggles=toggles))
    assert found == RulesFile(attributes=attributes, toggles=toggles[:1])


def test_what_is_given_stands_before_what_is_stored_and_in_its_place() -> None:
    given = RulesFile(modules=[Module(id="b", name="new")])
    stored = RulesFile(modules=[Module(id="a"), Module(id="b")], segments=[Segment(id="s", conditions={})])
    together = beside(given, stored)
    assert [(one.id, one.name) for one in together.modules] == [("b", "new"), ("a", "")]
    assert together.segments == stored.segments


@pytest.mark.parametrize(
    ("path", "expected", "problem"),
    [
        ("$.savedGroups[0].members", "$.members", "wrong"),
        ("$.savedGroups[0]", "$", "wrong"),
        ("$.savedGroups", "$", "wrong"),
        ("$.savedGroups[1].members", "$", "the saved group other: wrong"),
        ("$.segments[0].conditions", "$", "the segment s: wrong"),
        ("$", "$", "the active set: wrong"),
    ],
)
def test_an_error_is_put_where_its_author_looks(path: str, expected: str, problem: str) -> None:
    stored = RulesFile(saved_groups=[SavedGroup(id="other", members=[])], segments=[Segment(id="s", conditions={})])
    rules = among(Kind.SAVED_GROUP, SavedGroup(id="mine", members=[]), stored)
    error = from_document(RulesError("wrong", path), Kind.SAVED_GROUP, rules)
    assert (error.path, error.problem) == (expected, problem)


def test_an_error_of_a_mutation_stays_and_one_of_its_company_is_named() -> None:
    rules = RulesFile(segments=[Segment(id="s", conditions={})])
    own = RulesError("wrong", "$.conditions")
    assert from_mutation(own, rules) is own
    error = from_mutation(RulesError("wrong", "$.segments[0].conditions"), rules)
    assert (error.path, error.problem) == ("$", "the segment s: wrong")


def test_whose_fault_it_is() -> None:
    rules = RulesFile(mutations=[MUTATION], toggles=[Toggle(id="off", layer=Layer.PAGE)])
    assert culprit(rules, "$.mutations[0].conditions.a") == "the mutation m"
    assert culprit(rules, "$.toggles[0]") == "the toggle off"
    assert culprit(rules, "$.toggles[7]") == culprit(rules, "$.elsewhere[0]") == "the active set"


async def test_members_come_with_the_groups_that_somebody_names(plane: Plane) -> None:
    for name in ("north", "south", "west"):
        await plane.ask("POST", "saved-groups", {"id": name, "name": name.title(), "members": [1]})
    await plane.ask("POST", "segments", {"id": "s", "conditions": {"city": {"$inGroup": "north"}}})
    await plane.ask("DELETE", "saved-groups/west")
    store = PostgresStore(address.parse(plane.services.settings.database_url), connections_max=1, chain=CHAIN)
    await store.open()
    try:
        alone = await company(store)
        assert [(one.id, one.members) for one in alone.saved_groups] == [
            ("north", [1]),
            ("south", []),
        ]
        named = await company(store, Segment(id="t", conditions={"city": {"$notInGroup": "south"}}))
        assert [one.members for one in named.saved_groups] == [[1], [1]]
        assert [one.members for one in (await everything(store)).saved_groups] == [[1], [1]]
    finally:
        await store.close()


def test_only_what_changed_is_taken_apart_anew_and_nothing_but_the_stored_bytes_counts() -> None:
    def stored(id_: str, name: str) -> Stored:
        one = msgspec.structs.replace(MUTATION, id=id_, name=name)
        return Stored(id_, 1, codec.encode(one), change=1)

    known = Known()
    first = known.decoded([stored("a", "A"), stored("b", "B")])
    again = known.decoded([stored("b", "another database's"), stored("a", "A")])
    assert [one.name for one in again] == ["another database's", "A"]
    assert again[1] is first[0]
    assert {"hero", "another database's"} <= known.words()
    assert "B" not in known.words()
    assert known.decoded([]) == []
    assert known.words() == set()
