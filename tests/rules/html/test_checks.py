"""What is wrong with an operation on any page. The table of refusals is in tests/rules/test_bad_rules.py."""

import pytest

from rules import limits, model
from rules.errors import RulesError
from rules.html.checks import check_anywhere, check_moves, check_operation, check_selector
from tests.rules.html.making import at, html, text


@pytest.mark.parametrize(
    "operation",
    [
        model.Append(target=at("main > h1:not(.a), [data-x='é']"), content=html("<a href='/x?a=javascript:'>y</a>")),
        model.Append(target=at("p"), content=html("<td>x</td>")),
        model.Append(target=at("p"), content=text("{{}} { x } <script>")),
        model.SetAttribute(target=at("a"), name="href", value="https://example.org/"),
        model.SetAttribute(target=at("p"), name="title", value="javascript: a language"),
        model.HideByStyle(target=at("[data-module='é']")),
        model.SetStyle(target=at("p"), properties={"background": "url(/a.png)", "--a": "'é'", "top": "0 !important"}),
        model.SetTokens(tokens={"--a": "1px"}),
        model.SetTokens(target=at(".a > b"), tokens={"--a": "var(--b, 'c')"}),
    ],
)
def test_sound_operations_pass(operation: model.Operation) -> None:
    check_operation(operation, "$")


@pytest.mark.parametrize("selector", ["h1[", "p::before", ">", "p,,a", "p:unknown-thing(", ""])
def test_a_selector_that_does_not_parse(selector: str) -> None:
    with pytest.raises(RulesError) as caught:
        check_selector(selector, "$.target.selector")
    assert caught.value.path == "$.target.selector"


def test_a_selector_has_a_length() -> None:
    with pytest.raises(RulesError, match="at most"):
        check_selector("a" * (limits.SELECTOR_CHARACTERS_MAX + 1), "$")


@pytest.mark.parametrize("value", ["javascript:x", " \x01JavaScript:x", "java\tscr\nipt:x", "vbscript :x"])
def test_an_address_that_runs_a_script(value: str) -> None:
    for name in ("href", "SRC", "formaction", "xlink:href"):
        with pytest.raises(RulesError, match="runs a script"):
            check_operation(model.SetAttribute(target=at("a"), name=name, value=value), "$")


@pytest.mark.parametrize(
    "markup",
    [
        "<meta http-equiv=refresh content='0;url=https://elsewhere.example/'>",
        "<iframe src=' DATA:text/html,x'></iframe>",
    ],
)
def test_content_that_speaks_for_the_page_or_brings_one_along(markup: str) -> None:
    with pytest.raises(RulesError, match="is not allowed"):
        check_operation(model.Append(target=at("p"), content=html(markup)), "$")


def moving(target: str, anchor: str) -> model.MoveAfter:
    return model.MoveAfter(target=at(target), anchor=at(anchor))


def test_every_target_is_checked() -> None:
    for operation, path in (
        (moving("p", "h1["), "$.anchor.selector"),
        (model.ReorderChildren(target=at("p"), order=[at("a"), at("b[")]), "$.order[1].selector"),
        (model.ReorderChildren(target=at("p["), order=[at("a")]), "$.container.selector"),
    ):
        with pytest.raises(RulesError) as caught:
            check_operation(operation, "$", selector_at="container.selector")
        assert caught.value.path == path


@pytest.mark.parametrize(
    "pairs", [[("a", "b"), ("b", "a")], [("a", "b"), ("c", "a"), ("b", "c")], [("x", "a"), ("b", "c"), ("c", "b")]]
)
def test_moves_in_a_circle(pairs: list[tuple[str, str]]) -> None:
    paths = [f"$[{index}]" for index in range(len(pairs))]
    with pytest.raises(RulesError, match="beside or inside itself") as caught:
        check_moves([moving(*pair) for pair in pairs], paths)
    assert caught.value.path == f"{paths[-1]}.anchor"


@pytest.mark.parametrize("pairs", [[("a", "a")], [("a", "b"), ("a", "c"), ("c", "d")], [("a", "b"), ("c", "b")]])
def test_moves_that_end_somewhere(pairs: list[tuple[str, str]]) -> None:
    check_moves([moving(*pair) for pair in pairs], [""] * len(pairs))


def test_where_nobody_looks_at_the_element_the_strictest_counts() -> None:
    image = model.SetAttribute(target=at("img"), name="src", value="data:image/png;base64,AA")
    check_operation(image, "$")
    with pytest.raises(RulesError, match="a data: address") as caught:
        check_anywhere(image, "$")
    assert caught.value.path == "$.value"
    check_anywhere(model.SetAttribute(target=at("img"), name="src", value="/a.png"), "$")
