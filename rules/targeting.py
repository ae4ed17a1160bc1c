"""Conditions over a visit's attributes: GrowthBook's condition language, compiled once to closures.

`compile_condition(strict=True)` is for tables: it refuses what an author should mend (RulesError with the path).
`evaluate` is as lenient as GrowthBook's SDKs: what makes no sense is false. Both build the same closures.
Source: the GrowthBook SDK specification, section "Condition evaluation", and the cases published with it. Values compare
as in its JavaScript SDK, since that is what runs on the sites themselves.
Never: backtracking regular expressions; RE2 is linear in the text.
"""

import re as stdlib_re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from weakref import WeakValueDictionary

import msgspec
import re2

from rules import limits
from rules.errors import RulesError

Test = Callable[[Any], bool]
"""A predicate over one attribute's value; a missing attribute is None."""


class Clause(msgspec.Struct, frozen=True):
    """One top-level part of a condition; all clauses must hold."""

    text: str
    """The clause as its author wrote it, for explanations."""
    holds: Callable[[Mapping[str, Any]], bool]


class Condition(msgspec.Struct, frozen=True, weakref=True):
    """A compiled condition."""

    clauses: tuple[Clause, ...]
    reads: frozenset[str]
    """Top-level attribute names that evaluation may look at."""

    def failing(self, attributes: Mapping[str, Any]) -> str | None:
        """The text of the first clause that does not hold; None if the condition is true."""
        for clause in self.clauses:
            if not clause.holds(attributes):
                return clause.text
        return None


ALWAYS = Condition(clauses=(), reads=frozenset())


class Groups(msgspec.Struct, frozen=True):
    """The saved groups of a rules file: id -> members, for `$inGroup` and `$notInGroup`."""

    members: Mapping[str, list[Any]] = {}
    digest: bytes = b""
    """Of the members: conditions that read groups are shared between equal ones only."""


NO_GROUPS = Groups()
_SHARED: WeakValueDictionary[bytes, Condition] = WeakValueDictionary()
"""Conditions in use by how they are written: closures take kilobytes, and many rules have the same ones."""


def shared_condition(condition: Mapping[str, Any], *, path: str, groups: Groups = NO_GROUPS) -> Condition:
    """`compile_condition`, strict: one object for equal conditions as long as anybody holds it."""
    if not condition:
        return ALWAYS
    try:
        written = msgspec.msgpack.encode(condition)
    except (OverflowError, UnicodeError, RecursionError):  # an integer beyond 64 bits; text that is none
        return compile_condition(condition, saved_groups=groups.members, path=path)
    if b"nGroup" in written:
        written += groups.digest
    found = _SHARED.get(written)
    if found is None:
        found = _SHARED[written] = compile_condition(condition, saved_groups=groups.members, path=path)
    return found


def evaluate(condition: Any, attributes: Mapping[str, Any], saved_groups: Mapping[str, Any] | None = None) -> bool:
    """Whether `attributes` meet `condition`; never raises, whatever the arguments hold."""
    try:
        return compile_condition(condition, saved_groups=saved_groups, strict=False).failing(attributes) is None
    except RecursionError:
        return False


def compile_condition(
    condition: Any, *, saved_groups: Mapping[str, Any] | None = None, strict: bool = True, path: str = "$"
) -> Condition:
    """`condition` as closures. Strict: raises RulesError for anything that evaluation would have to forgive."""
    if not condition and isinstance(condition, Mapping):
        return ALWAYS
    compiler = _Compiler(saved_groups or {}, strict)
    if strict:
        _check_size(condition, path)
    if not isinstance(condition, Mapping):
        compiler.refuse('a condition is an object, for example {"country": "DE"}', path)
        return Condition(clauses=(Clause(text=_shown(condition), holds=lambda _: False),), reads=frozenset())
    clauses = tuple(
        Clause(text=f"{key}: {_shown(value)}", holds=compiler.clause(key, value, f"{path}.{key}", 0))
        for key, value in condition.items()
    )
    return Condition(clauses=clauses, reads=frozenset(compiler.reads))


class _Compiler:
    """Walks one condition; collects what it reads, refuses or forgives what makes no sense."""

    def __init__(self, saved_groups: Mapping[str, Any], strict: bool) -> None:
        self.saved_groups = saved_groups
        self.strict = strict
        self.reads: set[str] = set()

    def refuse(self, problem: str, path: str) -> None:
        """Raise for an author; keep quiet for a visit."""
        if self.strict:
            raise RulesError(problem, path)

    # -- conditions over attributes

    def condition(self, condition: Any, path: str, depth: int, *, element: bool = False) -> Test:
        """An object of clauses, all of which must hold. `element`: it looks into a list's element, not the visit."""
        if not isinstance(condition, Mapping) or depth > 5 * limits.CONDITION_DEPTH_MAX:
            self.refuse('a condition is an object, for example {"country": "DE"}', path)
            return _never
        return _all_of([self.clause(k, v, f"{path}.{k}", depth, element=element) for k, v in condition.items()])

    def clause(self, key: str, value: Any, path: str, depth: int, *, element: bool = False) -> Test:
        """One key of a condition: a logical operator or an attribute path."""
        key = str(key)
        if key == "$not":
            inner = self.condition(value, path, depth + 1, element=element)
            return lambda attributes: not inner(attributes)
        if key in ("$and", "$or", "$nor"):
            return self._combination(key, value, path, depth, element)
        if key.startswith("$") and key != "$groups":
            self.refuse(f"unknown operator `{key}` here; allowed: $and, $or, $nor, $not, or an attribute's name", path)
        steps = key.split(".")
        if not element:
            self.reads.add(steps[0])
        return _of_attribute(steps, self.value(value, path, depth + 1))

    def _combination(self, key: str, value: Any, path: str, depth: int, element: bool) -> Test:
        if not isinstance(value, list):
            self.refuse(f"`{key}` takes a list of conditions", path)
            return _never
        tests = [self.condition(v, f"{path}[{i}]", depth + 1, element=element) for i, v in enumerate(value)]
        if key == "$and":
            return lambda attributes: all(test(attributes) for test in tests)
        if key == "$or":
            return lambda attributes: not tests or any(test(attributes) for test in tests)
        return lambda attributes: bool(tests) and not any(test(attributes) for test in tests)

    # -- tests of one value

    def value(self, expected: Any, path: str, depth: int, *, fold: bool = False) -> Test:
        """What stands right of an attribute: a plain value to equal, or an object of operators."""
        if _is_operators(expected):
            if depth > 5 * limits.CONDITION_DEPTH_MAX:
                return _never
            return _all_of(
                [self.operator(name, operand, f"{path}.{name}", depth) for name, operand in expected.items()]
            )
        if isinstance(expected, str):
            if fold:
                lowered = expected.lower()
                return lambda actual: actual is not None and _text(actual).lower() == lowered
            return lambda actual: actual == expected if type(actual) is str else _says(actual, expected)
        if isinstance(expected, bool):
            return lambda actual: actual is not None and _truthy(actual) == expected
        if isinstance(expected, (int, float)):
            return lambda actual: actual is not None and _number(actual) == expected
        return lambda actual: _same(actual, expected)

    def operator(self, name: str, operand: Any, path: str, depth: int) -> Test:
        """One `$operator` and its operand."""
        if name == "$not":
            inner = self.value(operand, path, depth + 1)
            return lambda actual: not inner(actual)
        if name in _ORDERED:
            if operand is not None and not isinstance(operand, (str, int, float)):
                self.refuse(f"`{name}` compares with a number or a text", path)
            compare = _ORDERED[name]
            return lambda actual: compare(_order(actual, operand))
        if name in _VERSIONS:
            if not isinstance(operand, (str, int, float)):
                self.refuse(f'`{name}` compares with a version such as "1.2.3"', path)
            compare, padded = _VERSIONS[name], padded_version(operand)
            return lambda actual: compare(_sign(padded_version(actual), padded))
        build = getattr(self, f"_{name[1:].lower()}", None) if name in _OPERATORS else None
        if build is None:
            self.refuse(f"unknown operator `{name}`; allowed: {', '.join(sorted(OPERATORS))}", path)
            return _never
        test: Test = build(name, operand, path, depth)
        return test

    def _eq(self, name: str, operand: Any, path: str, depth: int) -> Test:
        return lambda actual: _same(actual, operand)

    def _ne(self, name: str, operand: Any, path: str, depth: int) -> Test:
        return lambda actual: not _same(actual, operand)

    def _in(self, name: str, operand: Any, path: str, depth: int) -> Test:
        if not isinstance(operand, list):
            self.refuse(f"`{name}` takes a list", path)
            return _never
        fold, negate = name.endswith("i") or name == "$nini", name.startswith("$n")
        return _membership(operand, fold=fold, negate=negate)

    _nin = _ini = _nini = _in

    def _ingroup(self, name: str, operand: Any, path: str, depth: int) -> Test:
        members = self.saved_groups.get(operand) if isinstance(operand, str) else None
        if not isinstance(members, list):
            known = ", ".join(sorted(self.saved_groups)) or "none"
            self.refuse(f"unknown group {_shown(operand)}; known: {known}", path)
            members = []
        return _membership(members, fold=False, negate=name == "$notInGroup")

    _notingroup = _ingroup

    def _all(self, name: str, operand: Any, path: str, depth: int) -> Test:
        if not isinstance(operand, list):
            self.refuse(f"`{name}` takes a list", path)
            return _never
        tests = [self.value(item, f"{path}[{i}]", depth + 1, fold=name == "$alli") for i, item in enumerate(operand)]
        return lambda actual: isinstance(actual, list) and all(any(test(one) for one in actual) for test in tests)

    _alli = _all

    def _elemmatch(self, name: str, operand: Any, path: str, depth: int) -> Test:
        if _is_operators(operand):
            test = self.value(operand, path, depth + 1)
        else:
            test = self.condition(operand, path, depth + 1, element=True)
        return lambda actual: isinstance(actual, list) and any(test(one) for one in actual)

    def _size(self, name: str, operand: Any, path: str, depth: int) -> Test:
        if not isinstance(operand, (int, Mapping)):
            self.refuse('`$size` takes a number, or an object of operators such as {"$gt": 2}', path)
        test = self.value(operand, path, depth + 1)
        return lambda actual: isinstance(actual, list) and test(len(actual))

    def _exists(self, name: str, operand: Any, path: str, depth: int) -> Test:
        if not isinstance(operand, bool):
            self.refuse("`$exists` takes true or false", path)
        wanted = _truthy(operand)
        return lambda actual: (actual is not None) == wanted

    def _type(self, name: str, operand: Any, path: str, depth: int) -> Test:
        if operand not in _TYPES:
            self.refuse(f"`$type` takes one of {', '.join(_TYPES)}", path)
        return lambda actual: type_name(actual) == operand

    def _regex(self, name: str, operand: Any, path: str, depth: int) -> Test:
        try:
            pattern = _compiled_regex(operand, fold=name == "$regexi")
        except (re2.error, TypeError, UnicodeError) as error:
            self.refuse(f"`{name}` is not a regular expression that RE2 takes: {_first_line(error)}", path)
            return _never
        return lambda actual: _found(pattern, actual)

    _regexi = _regex


_ORDERED: dict[str, Callable[[int | None], bool]] = {
    "$lt": lambda sign: sign == -1,
    "$lte": lambda sign: sign in (-1, 0),
    "$gt": lambda sign: sign == 1,
    "$gte": lambda sign: sign in (0, 1),
}
_VERSIONS: dict[str, Callable[[int | None], bool]] = {
    "$veq": lambda sign: sign == 0,
    "$vne": lambda sign: sign != 0,
    "$vlt": _ORDERED["$lt"],
    "$vlte": _ORDERED["$lte"],
    "$vgt": _ORDERED["$gt"],
    "$vgte": _ORDERED["$gte"],
}
_OPERATORS = frozenset(
    "$eq $ne $in $nin $ini $nini $inGroup $notInGroup $all $alli $elemMatch $size $exists $type $regex $regexi".split()
)
OPERATORS = _OPERATORS | _ORDERED.keys() | _VERSIONS.keys() | {"$not"}
"""Every operator that may stand in an object right of an attribute."""
_TYPES = ("string", "number", "boolean", "array", "object", "null")


def type_name(value: Any) -> str:
    """The JSON type of a value as `$type` names it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def padded_version(value: Any) -> str:
    """A version as text that sorts as versions do: numbers padded to five digits, `~` after a release without suffix."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = _text(value)
    if not isinstance(value, str) or not value:
        value = "0"
    # The convention's `^v|\+.*$` taken away; as an expression it is quadratic in `+` before a line break, which a query may have.
    end = len(value) - value.endswith("\n")
    build = value.find("+", value.rfind("\n", 0, end) + 1, end)
    bare = value if build < 0 else value[:build] + value[end:]
    parts = stdlib_re.split(r"[-.]", bare.removeprefix("v"))
    if len(parts) == 3:
        parts.append("~")
    return "-".join(part.rjust(5) if part.isascii() and part.isdigit() else part for part in parts)


def _never(_: Any) -> bool:
    return False


def _of_attribute(steps: list[str], test: Test) -> Test:
    """A test of what stands at a path; the path of one name in a dict is by far the most frequent."""
    name = steps[0]
    if len(steps) > 1:
        return lambda attributes: test(value_at(attributes, steps))
    return lambda attributes: test(attributes.get(name) if type(attributes) is dict else value_at(attributes, steps))


def _all_of(tests: list[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda actual: all(test(actual) for test in tests)


def _says(actual: Any, expected: str) -> bool:
    return actual is not None and _text(actual) == expected


def value_at(attributes: Any, steps: Iterable[str]) -> Any:
    """What stands at a path of names in nested attributes; None where there is nothing."""
    for step in steps:
        # Nearly always a dict, and the abstract class is slow to ask.
        if type(attributes) is not dict and not isinstance(attributes, Mapping):
            return None
        attributes = attributes.get(step)
    return attributes


def _is_operators(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(str(key).startswith("$") for key in value)


def _same(actual: Any, expected: Any) -> bool:
    """Equality as JSON sees it: `true` is not 1, 1 is 1.0."""
    if type(actual) is str is type(expected):
        return bool(actual == expected)
    if isinstance(actual, bool) or isinstance(expected, bool):
        return actual is expected
    if isinstance(actual, (list, tuple)) and isinstance(expected, (list, tuple)):
        return len(actual) == len(expected) and all(map(_same, actual, expected))
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        return actual.keys() == expected.keys() and all(_same(value, expected[key]) for key, value in actual.items())
    return bool(actual == expected)


def _membership(members: list[Any], *, fold: bool, negate: bool) -> Test:
    """Is the value, or any element of a list of values, one of `members`? Hashable members are looked up in a set."""
    keys = {_key(member, fold) for member in members}

    def test(actual: Any) -> bool:
        if isinstance(actual, list):
            return any(_key(one, fold) in keys for one in actual) != negate
        return ((("string", actual) if type(actual) is str and not fold else _key(actual, fold)) in keys) != negate

    return test


def _key(value: Any, fold: bool) -> tuple[str, Any]:
    if isinstance(value, str):
        return "string", value.lower() if fold else value
    kind = type_name(value)
    return kind, value if kind in ("number", "boolean", "null") else _shown(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    try:
        return value if isinstance(value, str) else str(value)
    except ValueError:  # an integer of thousands of digits
        return ""


def _truthy(value: Any) -> bool:
    return not (value is None or value is False or value == "" or (isinstance(value, (int, float)) and value == 0))


def _number(value: Any) -> float | None:
    """A value as JavaScript's arithmetic takes it: missing and empty are 0, text that is no number is none."""
    if value is None or value == "":
        return 0.0
    if isinstance(value, (int, float)):
        return value
    try:
        return float(value) if isinstance(value, str) and "_" not in value else None
    except ValueError:
        return None


def _order(actual: Any, expected: Any) -> int | None:
    if isinstance(actual, str) and isinstance(expected, str):
        return _sign(actual, expected)
    left, right = _number(actual), _number(expected)
    return None if left is None or right is None else _sign(left, right)


def _sign(left: Any, right: Any) -> int | None:
    if left == right:
        return 0
    return -1 if left < right else 1 if left > right else None


def _compiled_regex(pattern: Any, *, fold: bool) -> Any:
    if not isinstance(pattern, str):
        raise TypeError("expected a text")
    if len(pattern) > limits.PATTERN_CHARACTERS_MAX:
        raise TypeError(f"longer than {limits.PATTERN_CHARACTERS_MAX} characters")
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not fold
    options.max_mem = limits.PATTERN_MEMORY_BYTES_MAX
    return re2.compile(pattern, options)


def _found(pattern: Any, actual: Any) -> bool:
    if actual is None or isinstance(actual, (list, Mapping)):
        return False
    try:
        return pattern.search(_text(actual)) is not None
    except (UnicodeError, re2.error):
        return False


def _shown(value: Any) -> str:
    try:
        text = msgspec.json.encode(value, order="sorted").decode()
    except (TypeError, UnicodeError, RecursionError, msgspec.MsgspecError):
        text = repr(type(value))
    return text


def _first_line(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    return (text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)).splitlines()[0] if text else "?"


def _check_size(condition: Any, path: str) -> None:
    """Refuse conditions nested or filled beyond the limits, and what no table can hold, without recursion."""
    stack: list[tuple[Any, int, _Place]] = [(condition, 0, None)]
    count = 0
    while stack:
        value, depth, place = stack.pop()
        count += 1
        if depth > limits.CONDITION_DEPTH_MAX:
            raise RulesError(f"nested more than {limits.CONDITION_DEPTH_MAX} levels deep", path)
        if count > limits.CONDITION_NODES_MAX:
            raise RulesError(f"more than {limits.CONDITION_NODES_MAX:,} values", path)
        if isinstance(value, str):
            _check_text(value, path, place)
        elif isinstance(value, Mapping):
            for key in value:
                _check_text(key, path, place)
            stack.extend((inner, depth + 1, (place, f".{key}")) for key, inner in value.items())
        elif isinstance(value, list):
            stack.extend((inner, depth + 1, (place, index)) for index, inner in enumerate(value))
        elif isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise RulesError("numbers must fit into 64 bits: -2^63 to 2^64-1", _path_of(path, place))


_Place = tuple["_Place", str | int] | None
"""The way to a value: that to what it is in, and its key or index there."""


def _check_text(text: Any, path: str, place: "_Place") -> None:
    if isinstance(text, str) and len(text) > limits.CONDITION_TEXT_CHARACTERS_MAX:
        problem = f"a text of {len(text):,} characters; at most {limits.CONDITION_TEXT_CHARACTERS_MAX:,} are allowed"
        raise RulesError(problem, _path_of(path, place))


def _path_of(path: str, place: "_Place") -> str:
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(f"[{step}]" if isinstance(step, int) else step)
    return path + "".join(reversed(steps))
