"""Where in CSS a placeholder may stand: in the value of a declaration, outside of everything that loads something.

A scanner over tokens as CSS Syntax Level 3 has them, as far as that question needs them. What it does not know is refused.
Counterpart: `rules.templates` escapes the value, so that it is a part of one name, number or string.
Never: a style rewritten.
"""

import re
from collections.abc import Collection

_TOKEN = re.compile(
    r"""
    (?P<comment>/\*.*?(?:\*/|\Z))
    | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    | (?P<function>-?[A-Za-z_][A-Za-z0-9_-]*\()
    | (?P<word>(?:[A-Za-z0-9_#.%-]|[^\x00-\x7f]|\\.)+)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_DECLARATION = re.compile(r"\s*-{0,2}[A-Za-z_][A-Za-z0-9_-]*\s*:")
_LOADS = frozenset(
    {"url", "src", "image", "image-set", "-webkit-image-set", "cross-fade", "-webkit-cross-fade", "expression", "attr"}
)
"""Functions whose strings are addresses, or more than a value."""
_OPENS, _CLOSES, _QUOTES = frozenset("(["), frozenset(")]"), frozenset("\"'")
_OPEN_ESCAPE = re.compile(r"\\[0-9A-Fa-f]{0,6}\Z")


def problems_in(css: str, marks: Collection[str], *, in_blocks: bool) -> dict[str, str]:
    """Mark -> why no placeholder can stand where it is; only those that can't.

    `in_blocks`: a style sheet, whose declarations stand in blocks; else the declarations of a `style` attribute.
    """
    scan = _Scan(css, marks, in_blocks)
    for token in _TOKEN.finditer(css):
        scan.take(token)
    return scan.problems


class _Scan:
    """One pass over a style."""

    def __init__(self, css: str, marks: Collection[str], in_blocks: bool) -> None:
        self.marks = marks
        self.problems: dict[str, str] = {}
        self._least_depth = int(in_blocks)
        self._depth = 0
        self._open: list[str] = []
        """Functions and brackets that are open, by name; "" for brackets."""
        self._statement = ""
        self._pending: list[str] = []
        """Marks of this statement that seem fine: a `{` would make it a selector."""
        self._is_broken = False

    def take(self, token: re.Match[str]) -> None:
        """One token."""
        text, kind = token[0], token.lastgroup
        for mark in self.marks:
            if mark in text:
                self._judge(mark, text, kind or "")
        if kind == "comment":
            return
        if kind == "function":
            self._open.append(text[:-1].lower())
        elif kind == "mark" and text in _OPENS:
            self._open.append("")
        elif kind == "mark" and text in _QUOTES:
            self._is_broken = True
        elif kind == "mark" and text in _CLOSES and self._open:
            self._open.pop()
        elif kind == "mark" and text in ("{", "}"):
            self._block(text)
            return
        elif text == ";" and not self._open:
            self._end()
            return
        self._statement += text

    def _block(self, brace: str) -> None:
        if brace == "{":
            self.problems.update(
                dict.fromkeys(self._pending, "a placeholder can't stand in a selector or a block's name")
            )
        self._depth += 1 if brace == "{" else -1
        self._open.clear()
        self._end()

    def _end(self) -> None:
        self._statement = ""
        self._pending = []

    def _judge(self, mark: str, text: str, kind: str) -> None:
        problem = self._problem(text[: text.index(mark)], kind)
        if problem:
            self.problems[mark] = problem
        else:
            self._pending.append(mark)

    def _problem(self, before: str, kind: str) -> str:
        if kind == "comment":
            return "a placeholder can't stand in a comment"
        if kind == "function":
            return "a placeholder can't be a function's name"
        if _OPEN_ESCAPE.search(before):
            return "a placeholder can't stand behind a backslash"
        if self._depth < self._least_depth or not _DECLARATION.match(self._statement):
            return "in a style a placeholder stands in a declaration's value only, such as color: {{colour|black}}"
        if _LOADS.intersection(self._open):
            return "a placeholder can't stand in an address that a style loads"
        return "the style has a string without its end" if self._is_broken else ""
