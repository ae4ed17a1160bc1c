"""Where in CSS a placeholder may stand. `M` is the placeholder."""

import pytest

from rules.css import problems_of_marks


def problem(css: str, *, in_blocks: bool = False) -> str:
    return problems_of_marks(css.replace("M", "lmx0q"), ["lmx0q"], in_blocks=in_blocks).get("lmx0q", "")


@pytest.mark.parametrize(
    "css",
    [
        "color:M",
        "color: a; width: Mpx",
        "--x: 'M'",
        'content: "a;b{M"',
        "width: calc(1px + M * (2))",
        "a:b;/*x*/c: M ;d:e",
        "größe: M",
    ],
)
def test_the_value_of_a_declaration(css: str) -> None:
    assert problem(css) == ""
    assert problem(f"@media x {{ .a {{ {css} }} }} .b {{ c: d }}", in_blocks=True) == ""


@pytest.mark.parametrize(
    ("css", "part"),
    [
        ("M", "a declaration's value only"),
        ("M: red", "a declaration's value only"),
        ("color: a; M", "a declaration's value only"),
        ("/*M*/color: a", "in a comment"),
        ("color: M(1)", "a function's name"),
        ("color: \\M", "behind a backslash"),
        ("color: \\00003M", "behind a backslash"),
        ("background: url(M)", "an address that a style loads"),
        ("background: URL('M')", "an address that a style loads"),
        ("background: image-set(calc(M) 'x')", "an address that a style loads"),
        ("background: u\\72l(M)", "an address that a style loads"),
        ("background: ur\\l('M')", "an address that a style loads"),
        ("color: 'a\n; b: M", "a string without its end"),
        ("a: b); color: M", "a bracket without its beginning"),
    ],
)
def test_elsewhere(css: str, part: str) -> None:
    assert part in problem(css)


@pytest.mark.parametrize(
    "css", ["M{a:b}", "a:M{c:d}", ".x{&:M{a:b}}", "@import 'M';", "@media (min-width: M){}", "color: M", "a{b:c}d:M"]
)
def test_what_is_no_declaration_of_a_block(css: str) -> None:
    assert problem(css, in_blocks=True)
