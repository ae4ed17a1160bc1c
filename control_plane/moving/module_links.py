"""Where documents name modules: as target or owner, in regions of a layout, as component.

Counterpart: `rules.operations`, `rules.payloads` and `rules.model` have these members. Never: a look at what a condition or a
prop says; those are the visit's and the template's words.
"""

from collections.abc import Iterator, Mapping
from typing import Any

SINGLE = frozenset({"moduleId", "component"})
LISTS = frozenset({"modules", "hidden"})
"""Members of a region."""
FREE_JSON = frozenset({"conditions", "props"})
"""Members whose names mean what visits or templates say, not what the model does."""


def found(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """JSON path and id of each module that is named."""
    return _found(document, "$", in_regions=False)


def replaced(document: Mapping[str, Any], links: Mapping[str, str]) -> dict[str, Any]:
    """The document with other ids in place of those that are keys of `links`."""
    changed: dict[str, Any] = _replaced(document, links, in_regions=False)
    return changed


def _found(value: object, path: str, *, in_regions: bool) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, member in value.items():
            at = f"{path}.{name}"
            if name in SINGLE and isinstance(member, str) and member:
                yield at, member
            elif in_regions and name in LISTS and isinstance(member, list):
                yield from ((f"{at}[{index}]", one) for index, one in enumerate(member) if isinstance(one, str))
            elif name not in FREE_JSON:
                yield from _found(member, at, in_regions=in_regions or name == "regions")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _found(member, f"{path}[{index}]", in_regions=in_regions)


def _replaced(value: Any, links: Mapping[str, str], *, in_regions: bool) -> Any:
    if isinstance(value, Mapping):
        return {name: _member(name, member, links, in_regions=in_regions) for name, member in value.items()}
    if isinstance(value, list):
        return [_replaced(one, links, in_regions=in_regions) for one in value]
    return value


def _member(name: str, member: Any, links: Mapping[str, str], *, in_regions: bool) -> Any:
    if name in SINGLE and isinstance(member, str):
        return links.get(member, member)
    if in_regions and name in LISTS and isinstance(member, list):
        return [links.get(one, one) if isinstance(one, str) else one for one in member]
    if name in FREE_JSON:
        return member
    return _replaced(member, links, in_regions=in_regions or name == "regions")
