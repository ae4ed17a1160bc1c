"""A visit and a table -> what rules see of the visit: the attributes that they read, and no others.

Counterparts: `attributes` and `units` make them from the request; `rules.context` has the registry.
Never: I/O or a clock; the time arrives as an argument.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from multidict import MultiMapping

from rules.context import Context
from rules.inference import query_of
from rules.table import DecisionTable
from sidecar.attribute_sources import Sources
from sidecar.context.attributes import attributes_of
from sidecar.context.toggles import Toggles
from sidecar.context.units import Tokens, Units
from sidecar.context.visit import Visit
from sidecar.settings import SidecarSettings

UNTOGGLED = Toggles()


class Contexts:
    """Makes the contexts of one worker's visits. `refused` is told the name of a unit whose token does not verify."""

    def __init__(self, settings: SidecarSettings, *, refused: Callable[[str], None]) -> None:
        self._sources: Sources = settings.attribute_sources
        tokens = Tokens(
            settings.unit_jwt_algorithm,
            settings.unit_keys,
            issuer=settings.unit_jwt_issuer,
            audience=settings.unit_jwt_audience,
        )
        self._units = Units(settings.unit_sources, tokens, refused=refused)
        self._unit_names = frozenset(source.name for source in settings.unit_sources)

    def units_of(self, headers: MultiMapping[str], now: datetime) -> dict[str, str]:
        """Attribute -> unit, for all that the settings declare and the request has."""
        return self._units.of(headers, now, self._unit_names)

    def of(
        self,
        visit: Visit,
        table: DecisionTable,
        now: datetime,
        *,
        said: Mapping[str, Any],
        toggles: Toggles | None,
        held: frozenset[str],
    ) -> Context:
        """What rules see. `said` are the attributes that the origin's response says: `layoutId` and `page`, or None."""
        reads = table.asks(visit.host, visit.path)
        given = {name: value for name, value in said.items() if value is not None}
        # A unit may not stand in for what a table derives: caches are told what that follows from, and nothing else.
        given.update(self._units.of(visit.headers, now, reads - table.company.derivation.rules.keys()))
        switches = UNTOGGLED if toggles is None else toggles
        return Context(
            site=visit.host,
            path=visit.path,
            now=now,
            layout_id=said.get("layoutId"),
            attributes=attributes_of(visit, self._sources, reads, given, now),
            forced=switches.forced,
            disabled=switches.disabled,
            only=switches.only,
            held=held,
        )


def context_of_address(
    url: str,
    attributes: Mapping[str, Any],
    now: datetime,
    *,
    held: frozenset[str] = frozenset(),
) -> Context:
    """A context for an address alone, with further `attributes` as given; for `/explain`."""
    parts = urlsplit(url)
    path = parts.path or "/"
    site = (parts.hostname or "").lower()
    layout_id = attributes.get("layoutId")
    return Context(
        site=site,
        path=path,
        now=now,
        layout_id=layout_id if isinstance(layout_id, str) else None,
        attributes={"host": site, "path": path, "url": url, "query": query_of(url), **attributes},
        held=held,
    )
