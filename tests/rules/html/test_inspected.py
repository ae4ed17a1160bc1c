"""Which attributes operations look at: named by selectors and verbs, or any, where that can't be told."""

from typing import get_args

import msgspec
import pytest

from rules import model
from rules.group import Group
from rules.html.inspected import ALWAYS_INSPECTED, attributes_inspected
from rules.operations import targets_of
from tests.rules.html.making import at


def inspected(*operations: model.Operation) -> set[str] | None:
    found = attributes_inspected([Group("m", operations)])
    return None if found is None else set(found - ALWAYS_INSPECTED)


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("main > h1:first-child + p ~ *", set()),
        (".sm\\:flex#a:not(.b)", set()),
        ('[data-module="hero"] a[HREF^="/x"]:is([lang|=de], :nth-child(2n + 1 of [title]))', {"data-module", "href", "lang", "title"}),
        ("[svg|viewBox], [ rel ~= next i ]", {"viewbox", "rel"}),
        ('[title="a]b"]', {"title"}),
    ],
)  # fmt: skip
def test_a_selector_names_attributes(selector: str, names: set[str]) -> None:
    assert inspected(model.Remove(target=at(selector))) == names


@pytest.mark.parametrize(
    "selector",
    [
        "p:lang(de)",
        "a:link",
        "[\\64 ata]",
        "[title='[']",
        "[xlink\\:href]",
        "[data-é]",
        "[*|title]",
        "p:contains(x)",
        "p::first-line",
    ],
)
def test_what_is_not_understood_may_look_at_everything(selector: str) -> None:
    assert inspected(model.Remove(target=at(selector))) is None


def test_a_verb_names_attributes() -> None:
    assert inspected(model.SetAttribute(target=at("p"), name="TITLE", value="x")) == {"title"}
    assert inspected(
        model.RemoveAttribute(target=at("p"), name="data-a"), model.AddClass(target=at("p"), names=["b"])
    ) == {"data-a"}
    assert inspected(model.SetStyle(target=at("p"), properties={"top": "0"})) == {"style"}
    assert inspected(model.SetParameters(target=at("a"), parameters={"b": "c"})) == {"href"}
    assert inspected(model.SetTokens(tokens={"--a": "b"})) == set()


def test_every_verb_is_known() -> None:
    named = {"setAttribute": {"name": "a", "value": ""}, "removeAttribute": {"name": "a"}}
    for verb in get_args(model.Operation):
        tag = verb.__struct_config__.tag
        written = {"verb": tag, "target": {"selector": "p"}, **_fields(verb), **named.get(tag, {})}
        operation = model.decode_operations(msgspec.json.encode([written]))[0]
        assert inspected(operation) is not None, f"say in rules/html/inspected.py what `{tag}` looks at"
        assert at("p") in [target for _, target in targets_of(operation)]


def _fields(verb: type) -> dict[str, object]:
    """Something for each field that a verb needs beside its target."""
    some: dict[str, object] = {
        "content": {"text": "x"},
        "names": ["a"],
        "anchor": {"selector": "q"},
        "order": [{"selector": "q"}],
        "properties": {"color": "red"},
        "tokens": {"--a": "b"},
        "parameters": {"a": "b"},
    }
    return {name: some[name] for name in verb.__struct_fields__ if name in some}  # type: ignore[attr-defined]


def test_all_targets_are_looked_at() -> None:
    assert inspected(model.MoveBefore(target=at("[a]"), anchor=at("[b]"))) == {"a", "b"}
    assert inspected(model.ReorderChildren(target=at("p"), order=[at("[a]")], leaving=[at("[b]")])) == {"a", "b"}
    assert inspected(model.MoveBefore(target=at("p"), anchor=at("p:lang(de)"))) is None
