"""Good rules files with one thing made wrong: the message names exactly that place."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.errors import RulesError
from rules.model import decode_rules

CLONE = Path(__file__).resolve().parent.parent.parent
GOOD = [
    json.loads(path.read_bytes())
    for path in sorted([*CLONE.glob("examples/*.json"), *CLONE.glob("tests/corpus/*/rules.json")])
]
GOOD = [file for file in GOOD if isinstance(file, dict) and "mutations" in file]
GOOD += [
    {
        "schemaVersion": 2,
        "attributes": [
            {"id": "basket", "kind": "journey", "steps": [{"id": "cart", "pageSlug": "/cart", "conditions": {"a": 1}}]},
            {"id": "taste", "kind": "quiz", "questions": [{"id": "tea", "answers": ["green", "black"]}]},
            {"id": "visits", "kind": "counter", "within": "session", "max": 9},
            {"id": "mood", "kind": "derived", "cases": [{"value": "up", "conditions": {}}], "otherwise": "down"},
        ],
        "savedGroups": [{"id": "known", "name": "Known", "members": ["u1", 7, 1.5]}],
        "toggles": [{"id": "t", "layer": "micro", "pageSlug": "/a", "note": "why", "isActive": False}],
        "segments": [{"id": "s", "conditions": {"lm_uid": {"$inGroup": "known"}}}],
    }
]
FREE = {"conditions", "props"}
"""Objects in which anything may stand."""
MAPPINGS = {"variations", "cases", "tokens", "properties", "attributes", "parameters", "tracking", "regions", "weights"}
"""Objects whose keys are names that authors choose."""
REQUIRED = {"id", "mutationType", "mutationPayload", "verb", "key", "kind", "event", "on", "members"}

Step = str | int
generated = settings(max_examples=200, deadline=None)


def places(value: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Every place of a file that the schema says something about."""
    yield path
    if path and path[-1] in FREE:
        return
    steps: Any = ()
    if isinstance(value, dict):
        steps = value
    elif isinstance(value, list):
        steps = range(len(value))
    for step in steps:
        yield from places(value[step], (*path, step))


def at(file: Any, path: tuple[Step, ...]) -> Any:
    for step in path:
        file = file[step]
    return file


def is_struct(file: Any, path: tuple[Step, ...]) -> bool:
    return isinstance(at(file, path), dict) and not (path and path[-1] in FREE | MAPPINGS)


def shown(path: tuple[Step, ...]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def refused(file: Any) -> RulesError:
    with pytest.raises(RulesError) as caught:
        decode_rules(json.dumps(file).encode())
    assert str(caught.value).isprintable()
    return caught.value


@st.composite
def good(draw: st.DrawFn) -> Any:
    """A good file, of one's own to break."""
    return json.loads(json.dumps(draw(st.sampled_from(GOOD))))


def test_the_good_files_are_good() -> None:
    for file in GOOD:
        decode_rules(json.dumps(file).encode())
    assert len(GOOD) > 100


@generated
@given(good(), st.data())
def test_a_value_of_another_type_is_named(file: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([path for path in places(file) if path]))
    at(file, path[:-1])[path[-1]] = {"a": {}} if isinstance(at(file, path), list) else [[]]
    error = refused(file)
    assert error.path == shown(path)
    assert error.problem.startswith("Expected ")


@generated
@given(good(), st.data())
def test_an_unknown_field_is_named(file: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([path for path in places(file) if is_struct(file, path)]))
    at(file, path)["unheardOf"] = 1
    error = refused(file)
    assert error.path == shown(path)
    assert error.problem.startswith("Object contains unknown field `unheardOf`; allowed here: ")


@generated
@given(good(), st.data())
def test_a_missing_field_is_named(file: Any, data: st.DataObject) -> None:
    fields = [path for path in places(file) if path and path[-1] in REQUIRED and is_struct(file, path[:-1])]
    path = data.draw(st.sampled_from(fields))
    del at(file, path[:-1])[path[-1]]
    error = refused(file)
    assert error.path == shown(path[:-1])
    assert error.problem.startswith(f"Object missing required field `{path[-1]}`")


@generated
@given(good(), st.data())
def test_a_key_that_is_there_twice_is_named(file: Any, data: st.DataObject) -> None:
    objects = [path for path in places(file) if isinstance(at(file, path), dict) and at(file, path)]
    path = data.draw(st.sampled_from(objects))
    holder = at(file, path)
    key = data.draw(st.sampled_from(sorted(holder)))
    twin = f"{key} once more"
    holder[twin] = holder[key]
    text = json.dumps(file).replace(json.dumps(twin), json.dumps(key))
    with pytest.raises(RulesError, match=f"the key `{key.replace('$', '.')}` is there twice") as caught:
        decode_rules(text.encode())
    assert caught.value.path == shown(path)
