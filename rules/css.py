"""CSS that rules write, and CSS that stands in a `style` attribute: what is a declaration, what is whole, what loads;
and where in CSS a placeholder may stand.

Read by tinycss2's tokenizer, so that strings, comments, escapes and brackets mean here what they mean in a browser (CSS
Syntax Level 3). Counterpart: `rules.html.checks` refuses what is said here, `rules.html.tags` edits `style` attributes,
`rules.templates` escapes what a visit puts into a style, so that it is a part of one name, number or string.
Never: a judgement about which value a property takes, or CSS written anew.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import tinycss2
from tinycss2.ast import (
    AtKeywordToken,
    Comment,
    CurlyBracketsBlock,
    FunctionBlock,
    IdentToken,
    LiteralToken,
    Node,
    ParenthesesBlock,
    ParseError,
    SquareBracketsBlock,
    StringToken,
    URLToken,
    WhitespaceToken,
)

from rules import limits
from rules.splices import Splice

_END = "layout-mutation-end"
"""Written behind a text before it is read: whatever is left open swallows it."""
_SILENT = WhitespaceToken | Comment
_NOT_IN_A_VALUE = re.compile(r"[;{}<@\x00-\x1f\x7f-\x9f]")
_LOADING = frozenset({"url", "src", "image", "image-set", "-webkit-image-set", "cross-fade", "-webkit-cross-fade"})
_RUNNING = frozenset({"expression"})
_BINDING = frozenset({"behavior", "-moz-binding"})
"""Properties by which old browsers ran scripts."""
_FOR_WHOLE_SHEETS = frozenset({"import", "charset", "namespace"})
_MORE_THAN_A_VALUE = _LOADING | _RUNNING | {"attr"}
"""Functions in which no visit may choose anything."""

_USUAL_CHARACTERS = 512
"""A `style` attribute up to here is kept in mind: one page has the same one many times."""


class Declared(NamedTuple):
    """What stands between two semicolons of a `style` attribute."""

    start: int
    end: int
    """Where its semicolon is, or the end of the value."""
    name: str
    """The property, lower case unless it is a custom one; empty for what is no declaration."""
    value: str
    is_blank: bool
    """Nothing but white space and comments."""


def escaped(css: str) -> str:
    """CSS as it can stand in a style block of any encoding: non-ASCII characters as CSS escapes."""
    if css.isascii():
        return css
    return "".join(character if character.isascii() else f"\\{ord(character):x} " for character in css)


# -- what rules write


def problem_of_value(name: str, value: str, *, may_load: bool) -> str:
    """Why `name: value` is not one plain declaration; empty if it is. `may_load`: whether it may name an address."""
    if name in _BINDING:
        return f"the property `{name}` is not allowed: it runs a script"
    if bad := _NOT_IN_A_VALUE.search(value):
        return f"{bad[0]!r} is not allowed in a value: one value is written"
    if not value.strip() or "/*" in value:
        return "a value is expected, without comments, for example 1.5rem"
    nodes = _whole(value)
    if nodes is None:
        return "quotes and brackets of a value must be closed"
    content = [node for node in nodes if not isinstance(node, _SILENT)]
    if len(content) > 1 and _is_ident(content[-1], "important") and _is_sign(content[-2], "!"):
        content = content[:-2]
    if not content or any(_is_sign(node, "!") for node in _inside(content)):
        return "`!` is only allowed in `!important`, at the end of a value"
    if running := next((n for n in _functions(content) if n in _RUNNING), ""):
        return f"`{running}(` is not allowed: it runs a script"
    if not may_load and (_addresses(content) or _LOADING.intersection(_functions(content))):
        return "addresses such as url(…) are not allowed here: the engine's own style block loads nothing"
    return ""


def problem_of_sheet(css: str) -> str:
    """Why this is not a style sheet that may be written into a page; empty if it is."""
    if "</" in css or "\0" in css:
        return "`</` and NUL are not allowed in a style sheet: they could end it"
    nodes = _whole(css)
    if nodes is None:
        return "the style sheet is not balanced: quotes, comments and brackets must be closed"
    inside = [node for node in _inside(nodes) if not isinstance(node, _SILENT)]
    for node, behind in zip(inside, [*inside[1:], None], strict=True):
        if isinstance(node, AtKeywordToken) and node.lower_value in _FOR_WHOLE_SHEETS:
            return f"`@{node.lower_value}` is not allowed: it only works in a sheet of its own; use `stylesheet`"
        if isinstance(node, FunctionBlock) and node.lower_name in _RUNNING:
            return f"`{node.lower_name}(` is not allowed: it runs a script"
        if isinstance(node, IdentToken) and node.lower_value in _BINDING and _is_sign(behind, ":"):
            return f"the property `{node.lower_value}` is not allowed: it runs a script"
    return ""


def addresses_in(css: str) -> tuple[str, ...]:
    """Every address that a value or a style sheet names."""
    return tuple(dict.fromkeys(_addresses(_whole(css) or ())))


# -- a style attribute


def with_declarations(style: str, wanted: Mapping[str, str]) -> tuple[Splice, ...] | None:
    """What makes `wanted` the last declarations of a `style` attribute; () if they are, None if it can't be read for certain.

    Other declarations of these properties go, the rest keeps its characters. Ours come last, where no shorthand behind
    them can take them back.
    """
    found = declarations_in(style)
    if found is None:
        return None
    named = [one for one in found if not one.is_blank]
    same = [one for one in named if one.name in wanted]
    if same == named[-len(wanted) :] and [(one.name, one.value) for one in same] == list(wanted.items()):
        return ()
    end = len(style)
    gone = [Splice(one.start, min(one.end + 1, end), "") for one in same]
    last = found[-1]
    is_open = not last.is_blank and last.name not in wanted
    text = ";".join(f"{name}:{value}" for name, value in wanted.items())
    return (*gone, Splice(end, end, ";" + text if is_open else text))


def declarations_in(style: str) -> tuple[Declared, ...] | None:
    """A `style` attribute in pieces, in order; None where a string, comment, bracket or escape in it is not whole, or
    where it holds what such an attribute has no place for (blocks and at-rules)."""
    if len(style) > limits.STYLE_ATTRIBUTE_CHARACTERS_MAX or "\r" in style:
        return None
    return _remembered(style) if len(style) <= _USUAL_CHARACTERS else _read(style)


def _read(style: str) -> tuple[Declared, ...] | None:
    nodes = _whole(style)
    if nodes is None or any(isinstance(node, CurlyBracketsBlock | AtKeywordToken) for node in nodes):
        return None
    place = _places(style)
    pieces: list[Declared] = []
    held: list[Node] = []
    start = 0
    for node in nodes:
        if _is_sign(node, ";"):
            pieces.append(_declared(style, start, place(node), held, place))
            start, held = place(node) + 1, []
        else:
            held.append(node)
    return (*pieces, _declared(style, start, len(style), held, place))


_remembered = lru_cache(maxsize=1024)(_read)


def _places(text: str) -> Callable[[Node], int]:
    """Where a token begins in a text; the tokenizer counts lines and columns, and takes form feeds for line ends."""
    lines = [0, *accumulate(len(line) + 1 for line in text.replace("\f", "\n").split("\n"))]
    return lambda node: lines[node.source_line - 1] + node.source_column - 1


def _declared(style: str, start: int, end: int, nodes: Sequence[Node], place: Callable[[Node], int]) -> Declared:
    told = [node for node in nodes if not isinstance(node, _SILENT)]
    first = _property(told)
    if first is None:
        return Declared(start, end, "", "", not told)
    name = first.value if first.value.startswith("--") else first.lower_value
    return Declared(start, end, name, style[place(told[1]) + 1 : end].strip(), False)


# -- placeholders, by the marks that stand for them

_VALUES_ONLY = "in a style a placeholder stands in a declaration's value only, such as color: {{colour|black}}"
_IN_SELECTOR = "a placeholder can't stand in a selector or a block's name"
_IN_ADDRESS = "a placeholder can't stand in an address that a style loads"
_BROKEN = "a placeholder can't stand in a style that has a string without its end, or a bracket without its beginning"


def problems_of_marks(css: str, marks: Collection[str], *, in_blocks: bool) -> Mapping[str, str]:
    """Mark -> why no placeholder can stand where it is; only those that can't.

    `in_blocks`: a style sheet, whose declarations stand in blocks; else the declarations of a `style` attribute.
    """
    return _problems_of_marks(css, tuple(marks), in_blocks)


@lru_cache(maxsize=16)
def _problems_of_marks(css: str, marks: Sequence[str], in_blocks: bool) -> Mapping[str, str]:
    """Kept in mind, since each mark of a style is asked for by itself."""
    nodes = tinycss2.parse_component_value_list(css)
    if any(isinstance(node, ParseError) for node in _inside(nodes)):
        return dict.fromkeys(marks, _BROKEN)
    found = dict.fromkeys(marks, _VALUES_ONLY)
    for text, problem in _told_of(nodes, may_declare=not in_blocks):
        found.update((mark, problem) for mark in marks if mark in text)
    for escape in re.finditer(r"\\[0-9A-Fa-f]{0,6}(?=(\w+))", css):
        found.update(
            (mark, "a placeholder can't stand behind a backslash") for mark in marks if escape[1].startswith(mark)
        )
    return {mark: problem for mark, problem in found.items() if problem}


def _told_of(nodes: Sequence[Node], *, may_declare: bool) -> Iterator[tuple[str, str]]:
    """The text of each token, and why no placeholder can stand in it; the last word on a token counts."""
    blocks = [(nodes, may_declare)]
    while blocks:
        block, may_declare = blocks.pop()
        for statement, end in _statements(block):
            told = [node for node in statement if not isinstance(node, _SILENT)]
            if isinstance(end, CurlyBracketsBlock):
                blocks.append((end.content, True))
                yield from _told_inside(statement, _IN_SELECTOR)
            else:
                yield from _told_inside(statement, _VALUES_ONLY)
                if may_declare and _property(told) is not None:
                    yield from _told_inside(told[2:], "")


def _statements(nodes: Iterable[Node]) -> Iterator[tuple[list[Node], Node | None]]:
    """What stands before each block and each semicolon, and that; at last what is left."""
    held: list[Node] = []
    for node in nodes:
        if isinstance(node, CurlyBracketsBlock) or _is_sign(node, ";"):
            yield held, node
            held = []
        else:
            held.append(node)
    yield held, None


def _told_inside(nodes: Iterable[Node], problem: str) -> Iterator[tuple[str, str]]:
    """As `_told_of`, of tokens that share a `problem`, or none."""
    waiting = [(node, problem) for node in nodes]
    while waiting:
        node, problem = waiting.pop()
        if isinstance(node, FunctionBlock):
            yield node.name, "a placeholder can't be a function's name"
            inner = problem or (_IN_ADDRESS if node.lower_name in _MORE_THAN_A_VALUE else "")
            waiting += [(argument, inner) for argument in node.arguments]
        elif isinstance(node, ParenthesesBlock | SquareBracketsBlock | CurlyBracketsBlock):
            waiting += [(inside, problem) for inside in node.content]
        elif isinstance(node, Comment):
            yield node.value, "a placeholder can't stand in a comment"
        elif isinstance(node, URLToken):
            yield node.value, problem or _IN_ADDRESS
        else:
            yield node.serialize(), problem


# -- tokens


def _whole(css: str) -> Sequence[Node] | None:
    """The top-level tokens of a text; None if something in it is broken or left open."""
    nodes: list[Node] = tinycss2.parse_component_value_list(f"{css} {_END}")
    if not nodes or not _is_ident(nodes[-1], _END):
        return None
    if any(isinstance(node, ParseError) for node in _inside(nodes)):
        return None
    return nodes[:-1]


def _property(told: Sequence[Node]) -> IdentToken | None:
    """What is declared, if anything is; `told` has neither white space nor comments."""
    first = told[0] if told else None
    return first if isinstance(first, IdentToken) and len(told) > 1 and _is_sign(told[1], ":") else None


def _is_ident(node: Node, name: str) -> bool:
    return isinstance(node, IdentToken) and node.lower_value == name


def _is_sign(node: Node | None, sign: str) -> bool:
    return isinstance(node, LiteralToken) and node.value == sign


def _inside(nodes: Iterable[Node]) -> Iterator[Node]:
    """All tokens, those in brackets and functions too, in order; without recursion, since rules nest as they like."""
    waiting = [iter(nodes)]
    while waiting:
        node = next(waiting[-1], None)
        if node is None:
            waiting.pop()
            continue
        yield node
        below = getattr(node, "arguments", None) or getattr(node, "content", None)
        if below:
            waiting.append(iter(below))


def _functions(nodes: Iterable[Node]) -> list[str]:
    return [node.lower_name for node in _inside(nodes) if isinstance(node, FunctionBlock)]


def _addresses(nodes: Iterable[Node]) -> list[str]:
    found: list[str] = []
    for node in _inside(nodes):
        if isinstance(node, URLToken):
            found.append(node.value)
        elif isinstance(node, FunctionBlock) and node.lower_name in _LOADING:
            found += [inner.value for inner in _inside(node.arguments) if isinstance(inner, StringToken)]
    return found
