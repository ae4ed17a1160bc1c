"""How well text can be read on its ground, by WCAG's formula."""

import pytest

from rules.colours import contrast, pairs_of

GREY_ON_WHITE = ((0x77 / 255,) * 3, (1.0, 1.0, 1.0))


def test_the_ratio_is_that_of_wcag() -> None:
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert contrast((1, 1, 1), (1, 1, 1)) == 1
    assert contrast(*GREY_ON_WHITE) == pytest.approx(4.48, abs=0.005)  # famous for failing by two hundredths
    assert contrast((0, 0, 1), (1, 1, 1)) == contrast((1, 1, 1), (0, 0, 1)) == pytest.approx(8.59, abs=0.005)


@pytest.mark.parametrize(
    "sheet",
    [
        "p{color:#777;background:#fff}",
        "p{color:rgb(119 119 119);background-color:hsl(0 0% 100%)}",
        ":root{--ink:#777}p{color:var(--ink);background:white url(x.png)}",
        ":root{--ink:red;--ink:var(--grey)}html{--grey:#777777}p{background:var(--paper, #fff);color:var(--ink)}",
        "p{color:red;color:#777;background:#fff}",
    ],
)
def test_a_rule_says_what_is_written_on_what(sheet: str) -> None:
    [pair] = pairs_of([sheet])
    assert pair.selector == "p"
    assert pair.contrast == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize(
    "sheet",
    [
        "p{color:#777}",
        "p{color:rgb(0 0 0 / 50%);background:#fff}",
        "p{color:currentcolor;background:#fff}",
        "p{color:color(display-p3 1 0 0);background:#fff}",
        "p{color:var(--none);background:#fff}",
        ":root{--a:var(--b);--b:var(--a)}p{color:var(--a);background:#fff}",
        "@media print{p{color:#777;background:#fff}}",
        "p{color:var();background:var(7)}",
        "p{{{color:#777",
    ],
)
def test_what_can_not_be_told_is_not_told(sheet: str) -> None:
    assert pairs_of([sheet]) == []
