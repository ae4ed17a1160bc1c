"""Colours of a style sheet, and how well one can be read on another.

Source: WCAG 2.2, relative luminance, contrast ratio, and success criterion 1.4.3 (contrast, minimum). Colours are read by
tinycss2 (CSS Color Level 4).
Never: a guess about what can't be seen: an unknown, translucent or relative colour has no luminance.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import tinycss2
from tinycss2.ast import Declaration, FunctionBlock, IdentToken, Node, QualifiedRule
from tinycss2.color4 import Color, parse_color

CONTRAST_MIN = 4.5
"""Text of ordinary size (WCAG 2.2, 1.4.3)."""
_VARIABLES_DEEP_MAX = 10
"""Custom properties that name one another: a circle has no colour."""
_ROOTS = frozenset({":root", "html"})


class Pair(NamedTuple):
    """A rule that says both what its text is written in and what it is written on."""

    selector: str
    contrast: float
    """From 1 (the same colour) to 21 (black on white)."""


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """Contrast ratio of two sRGB colours with channels from 0 to 1: (L1 + 0.05) / (L2 + 0.05), the lighter one above."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def pairs_of(sheets: Iterable[str]) -> list[Pair]:
    """The pairs of these style sheets in their order, custom properties of `:root` filled in, later ones first."""
    rules = [rule for sheet in sheets for rule in _rules(sheet)]
    tokens: dict[str, list[Node]] = {}
    for selector, declared in rules:
        if selector in _ROOTS:
            tokens.update({one.name: one.value for one in declared if one.name.startswith("--")})
    found = []
    for selector, declared in rules:
        text, ground = None, None
        for one in declared:
            if one.lower_name == "color":
                text = _colour(one.value, tokens)
            elif one.lower_name in ("background", "background-color"):
                ground = _colour(one.value, tokens)
        if text is not None and ground is not None:
            found.append(Pair(selector, contrast(text, ground)))
    return found


def _rules(sheet: str) -> Iterator[tuple[str, list[Declaration]]]:
    """Selector and declarations of the rules that always apply; those of media and other conditions are left out."""
    for rule in tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True):
        if isinstance(rule, QualifiedRule):
            parts = tinycss2.parse_blocks_contents(rule.content, skip_comments=True, skip_whitespace=True)
            declared = [part for part in parts if isinstance(part, Declaration)]
            yield tinycss2.serialize(rule.prelude).strip(), declared


def _colour(
    value: Iterable[Node], tokens: Mapping[str, list[Node]], depth: int = 0
) -> tuple[float, float, float] | None:
    """The one opaque colour in a value; None where there is none, or more than one can say."""
    node: Any  # tinycss2's published types are those of an older release
    for node in value:
        if isinstance(node, FunctionBlock) and node.lower_name == "var":
            if depth < _VARIABLES_DEEP_MAX and (found := _of_variable(node, tokens, depth)) is not None:
                return found
            continue
        colour = parse_color(node)
        if isinstance(colour, Color):
            return _srgb(colour)
    return None


def _of_variable(
    node: FunctionBlock, tokens: Mapping[str, list[Node]], depth: int
) -> tuple[float, float, float] | None:
    arguments = [one for one in node.arguments if one.type != "whitespace"]
    if not arguments or not isinstance(arguments[0], IdentToken):
        return None
    known = tokens.get(arguments[0].value)
    return _colour(arguments[2:] if known is None else known, tokens, depth + 1)


def _srgb(colour: Any) -> tuple[float, float, float] | None:
    if colour.alpha != 1 or colour.space not in ("srgb", "hsl", "hwb"):
        return None
    red, green, blue = (min(1.0, max(0.0, channel)) for channel in colour.to("srgb").coordinates)
    return red, green, blue


def _luminance(colour: tuple[float, float, float]) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
