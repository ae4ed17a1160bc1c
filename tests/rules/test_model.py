"""The schema decodes what the contract says, fills in what it leaves out, and writes it back the same."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from rules import limits, model
from rules.errors import RulesError
from tests.rules.making import experiment, removing, rules_file, variant


def test_a_mutation_says_little_and_means_much() -> None:
    mutation = model.decode_mutation(msgspec.json.encode(removing("m")))
    assert (mutation.site, mutation.layout_id, mutation.page_slug) == ("*", "*", "*")
    assert mutation.trigger == model.PageLoad()
    assert mutation.status is model.Status.ACTIVE
    assert (mutation.priority, mutation.version, mutation.is_active) == (0, 1, True)


def test_a_rules_file_survives_json() -> None:
    schedule = {"timezone": "Europe/Berlin", "hours": {"from": "22:00", "to": "02:00"}, "daysOfWeek": ["fri"]}
    whole = rules_file(
        removing("a", schedule=schedule, trigger={"on": "segment", "segment": "s"}),
        variant("b"),
        experiments=[experiment(namespace={"id": "n", "from": 0, "to": 0.5})],
        modules=[{"id": "hero"}],
        segments=[{"id": "s", "conditions": {"language": "de"}}],
    )
    assert model.decode_rules(msgspec.json.encode(whole)) == whole


@pytest.mark.parametrize("kind", ["hide", "insert", "remove", "replace"])
def test_each_type_has_its_payload(kind: str) -> None:
    payload = {"target": {"selector": "p"}}
    if kind in ("insert", "replace"):
        payload["content"] = {"text": "x"}
    if kind == "insert":
        payload |= {"position": "after"}  # type: ignore[dict-item]
    data = msgspec.json.encode({"id": "m", "mutationType": kind, "mutationPayload": payload})
    assert type(model.decode_mutation(data)).__name__ == f"{kind.capitalize()}Mutation"


def test_operations_alone() -> None:
    found = model.decode_operations(b'[{"verb": "addClass", "target": {"moduleId": "hero"}, "names": ["a"]}]')
    assert found == (model.AddClass(target=model.Target(module_id="hero"), names=["a"]),)


def test_a_file_has_a_size() -> None:
    with pytest.raises(RulesError, match="at most"):
        model.decode_rules(b" " * (limits.RULES_FILE_BYTES_MAX + 1))


def test_everything_in_a_rules_file_has_a_bound() -> None:
    """Texts, lists, mappings and whole numbers; conditions, in which anything may stand, are bounded as they compile."""
    assert sorted(unbounded(inspect.type_info(model.RulesFile), "$", set())) == []


def unbounded(place: Any, path: str, seen: set[type]) -> Iterator[str]:
    if isinstance(place, inspect.Metadata):
        yield from unbounded(place.type, path, seen)
    elif isinstance(place, inspect.UnionType):
        for member in place.types:
            yield from unbounded(member, path, seen)
    elif isinstance(place, inspect.StructType) and place.cls not in seen:
        seen.add(place.cls)
        for field in place.fields:
            if field.name != "conditions":
                yield from unbounded(field.type, f"{place.cls.__name__}.{field.encode_name}", seen)
    elif isinstance(place, inspect.ListType | inspect.DictType | inspect.StrType):
        if place.max_length is None and getattr(place, "pattern", None) is None:
            yield path
        for inner in ("item_type", "key_type", "value_type"):
            if hasattr(place, inner):
                yield from unbounded(getattr(place, inner), f"{path}[]", seen)
    elif isinstance(place, inspect.IntType) and None in (place.ge, place.le):
        yield path
