"""What stands in the bar of every page: the places there are, and which one this is.

Counterpart: `templates/frame.html` shows it. Pure. Never: a place that whoever looks may not open.
"""

from collections.abc import Mapping

from msgspec import Struct

from control_plane.admin import addresses
from control_plane.tokens import Permission


class Place(Struct, frozen=True):
    """One of the bar's places. `parts`: pages that belong to it and have addresses of their own."""

    label: str
    address: str
    needs: Permission = Permission.READ
    parts: tuple[str, ...] = ()


class Step(Struct, frozen=True):
    """A place as a link. `current`: `page` where it is this one, `true` where this one belongs to it, else empty."""

    label: str
    address: str
    current: str


PLACES = (
    Place("Mutations", addresses.PREFIX, parts=(f"{addresses.PREFIX}/mutations", f"{addresses.PREFIX}/new")),
    Place("Toggles", addresses.TOGGLES),
    Place("Preview", f"{addresses.PREFIX}/preview"),
    Place("Activity", addresses.ACTIVITY),
    Place("History", addresses.HISTORY, parts=(addresses.DELETED,)),
    Place("Alerts", addresses.ALERTS, parts=(addresses.CONFLICTS,)),
    Place("Backups", addresses.BACKUPS, Permission.ADMINISTER),
    Place("Migration", addresses.MIGRATION, Permission.PUBLISH, parts=(addresses.SCHEMA,)),
    Place("Settings", addresses.SETTINGS),
)


def navigation(here: str, may: Mapping[str, bool]) -> tuple[Step, ...]:
    """The places that may be opened; `here` is the path of this page, `may` what whoever looks may do."""
    return tuple(
        Step(place.label, place.address, _current(place, here)) for place in PLACES if may.get(place.needs.value)
    )


def _current(place: Place, here: str) -> str:
    if here == place.address:
        return "page"
    below = place.parts if place.address == addresses.PREFIX else (place.address, *place.parts)
    return "true" if any(here == part or here.startswith(f"{part}/") for part in below) else ""
