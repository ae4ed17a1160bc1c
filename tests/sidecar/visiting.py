"""A visit of a shop, from a few request fields, for the tests of what is made of one."""

from datetime import UTC, datetime

from multidict import CIMultiDict

from sidecar.context.visit import Offer, Visit

NOW = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
"""A Sunday; in Berlin it is Monday already."""


def visiting(target: str = "/", unit: str | None = None, new_unit: str | None = None, **fields: str) -> Visit:
    """`Accept_Language="de"` is the field `Accept-Language`."""
    given = CIMultiDict({name.replace("_", "-"): value for name, value in fields.items()})
    offer = None if new_unit is None else Offer(lambda: new_unit)
    return Visit("http", "Shop.Example:8080", target, given, "192.0.2.1", unit, offer)
