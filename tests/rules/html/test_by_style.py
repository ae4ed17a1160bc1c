"""Operations as CSS."""

from rules import model
from rules.html.by_style import rules_of, style_sheet
from tests.rules.html.making import at, reasons, rewritten, text

PAGE = "<head></head><main><i>a</i><b>b</b></main>"


def ordered(*selectors: str) -> model.OrderByStyle:
    return model.OrderByStyle(target=at("main"), order=[at(selector) for selector in selectors])


def test_children_get_numbers_below_those_of_all_others() -> None:
    assert rules_of(ordered("b", "i")) == (
        (":where(main)", {"display": "grid"}),
        (":is(main)>:is(b)", {"order": "-2!important"}),
        (":is(main)>:is(i)", {"order": "-1!important"}),
    )
    assert rules_of(model.HideByStyle(target=at("i"))) == (("i", {"display": "none!important"}),)
    assert rules_of(model.SetTokens(target=at("i"), tokens={"--a": "1"})) == (("i", {"--a": "1"}),)
    assert rules_of(model.SetText(target=at("i"), content=text("x"))) == ()


def test_another_order_of_the_same_children_is_shadowed_as_a_whole() -> None:
    first, other = ordered("b", "i"), ordered("i", "b")
    assert reasons(PAGE, first, other) == ["applied", "shadowed"]
    assert rewritten(PAGE, first, other) == rewritten(PAGE, first)


def test_a_sheet_has_a_rule_for_each_selector_in_ascii() -> None:
    styles = {("p", "a"): "1", ("[b=é]", "a"): "é", ("p", "b"): "2"}
    assert style_sheet(styles) == "p{a:1;b:2}[b=\\e9 ]{a:\\e9 }"
