"""Derived attributes: compiled once, worked out for a visit when rules that may apply read them.

They may read each other, so they are kept in an order in which each comes after those it reads; what reads one reads all
that it follows from, and caching is told so.
Counterpart: `rules.attributes` has their fields; `rules.decision` asks. Raises RulesError with the JSON path.
Never: a value in place of one that the visit brings.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from rules import limits
from rules.context import ATTRIBUTES, PAGE_ATTRIBUTES
from rules.errors import RulesError
from rules.model import DeclaredAttribute, Derived
from rules.targeting import Condition, Groups, shared_condition, value_at


class _Rule(Struct, frozen=True):
    """One derived attribute, compiled."""

    id: str
    given_by: tuple[str, ...]
    """Path to the attribute that says it; empty for none."""
    cases: tuple[tuple[str, Condition], ...]
    otherwise: str | None
    reads: frozenset[str]
    """Attributes that it is worked out from, not those behind them."""

    def value(self, attributes: Mapping[str, Any]) -> Any:
        """Its value for a visit; None for none."""
        if self.given_by and isinstance(given := value_at(attributes, self.given_by), str) and given:
            return given
        for value, condition in self.cases:
            if condition.failing(attributes) is None:
                return value
        return self.otherwise


class Derivation(Struct, frozen=True):
    """The derived attributes of a rules file, each after those it reads."""

    rules: Mapping[str, _Rule] = {}

    def behind(self, reads: frozenset[str]) -> frozenset[str]:
        """`reads`, and all attributes that those derived among them follow from."""
        found, fresh = set(reads), set(reads)
        while fresh := {name for one in fresh if one in self.rules for name in self.rules[one].reads} - found:
            found |= fresh
        return frozenset(found)

    @property
    def of_the_page(self) -> frozenset[str]:
        """Attributes that are the same for everybody at an address: the registry's, and what follows from nothing else."""
        derived = (name for name in self.rules if self.behind(frozenset({name})) - self.rules.keys() <= PAGE_ATTRIBUTES)
        return PAGE_ATTRIBUTES.union(derived)

    def completed(self, attributes: Mapping[str, Any], needed: Iterable[str]) -> Mapping[str, Any]:
        """The attributes of a visit with those derived ones that are `needed` (and those behind them) and not there yet."""
        missing = frozenset(needed) & self.rules.keys() - attributes.keys()
        if not missing:
            return attributes
        behind, found = self.behind(missing), dict(attributes)
        for name, rule in self.rules.items():
            if name in behind and name not in found and (value := rule.value(found)) is not None:
                found[name] = value
        return found


NOTHING_DERIVED = Derivation()


def compile_derivation(declared: Sequence[DeclaredAttribute], groups: Groups, path: str) -> Derivation:
    """Those of the attributes at `path` that are derived; raises RulesError for names in use and for circles."""
    _check_names(declared, path)
    compiled = {
        one.id: _compiled(one, groups, f"{path}[{index}]")
        for index, one in enumerate(declared)
        if isinstance(one, Derived)
    }
    places = {one.id: index for index, one in enumerate(declared)}
    return Derivation({name: compiled[name] for name in _in_order(compiled, places, path)})


def _check_names(declared: Sequence[DeclaredAttribute], path: str) -> None:
    if len(declared) > limits.ATTRIBUTES_DECLARED_MAX:
        raise RulesError(
            f"at most {limits.ATTRIBUTES_DECLARED_MAX} attributes are declared (got {len(declared)})", path
        )
    taken = {attribute.name for attribute in ATTRIBUTES}
    for index, one in enumerate(declared):
        if one.id in taken:
            raise RulesError(f"there is an attribute {one.id!r} already; choose another id", f"{path}[{index}].id")
        taken.add(one.id)


def _compiled(derived: Derived, groups: Groups, path: str) -> _Rule:
    cases = tuple(
        (case.value, shared_condition(case.conditions, path=f"{path}.cases[{index}].conditions", groups=groups))
        for index, case in enumerate(derived.cases)
    )
    steps = tuple(derived.given_by.split(".")) if derived.given_by is not None else ()
    reads = frozenset(steps[:1]).union(*(condition.reads for _, condition in cases))
    return _Rule(id=derived.id, given_by=steps, cases=cases, otherwise=derived.otherwise, reads=reads)


def _in_order(rules: Mapping[str, _Rule], places: Mapping[str, int], path: str) -> list[str]:
    """Each after those it reads, otherwise in the file's order; without recursion, whatever the chain's length."""
    order: list[str] = []
    waiting = list(rules)
    while waiting:
        left = set(waiting)
        ready = [name for name in waiting if not rules[name].reads & left]
        if not ready:
            circle = _circle(rules, waiting)
            problem = f"derived attributes may not read each other in a circle: {' reads '.join(circle)}"
            raise RulesError(problem, f"{path}[{places[circle[0]]}]")
        order += ready
        waiting = [name for name in waiting if name not in ready]
    return order


def _circle(rules: Mapping[str, _Rule], waiting: Sequence[str]) -> list[str]:
    """One circle among those that wait, as a way round."""
    way = [waiting[0]]
    while (following := min(rules[way[-1]].reads & set(waiting))) not in way:
        way.append(following)
    return [*way[way.index(following) :], following]
