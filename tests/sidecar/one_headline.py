"""A page of one headline, and rules that tell visitors of it apart: for the tests of who gets what, and what is counted of it.

Counterpart: `wire.py` has servers, clients and tables. Never: a test.
"""

from collections.abc import Iterable
from typing import Any

from tests.sidecar.wire import Sidecar, headline

PAGE = b"<!doctype html><html><head></head><body><h1>Old</h1></body></html>"
NEW = PAGE.replace(b"Old", b"New")
LOOKING = {"id": "buying", "kind": "journey", "steps": [{"id": "look", "pageSlug": "/**"}]}
"""A journey that every page goes on."""


def variant(text: str = "New") -> dict[str, Any]:
    """Of experiment `e`: the headline as it is, or this text."""
    variations = {"control": {"operations": []}, "new": headline(text)["mutationPayload"]}
    return {"id": "v", "mutationType": "variant", "mutationPayload": {"experimentId": "e", "variations": variations}}


def weighing(control: float, new: float, **fields: Any) -> dict[str, Any]:
    """Experiment `e` with these weights."""
    variations = [{"key": "control", "weight": control}, {"key": "new", "weight": new}]
    return {"id": "e", "variations": variations, **fields}


def counted(sidecar: Sidecar, name: str) -> dict[str, float]:
    """Label -> value, of a metric with one label; `name` without the project's own before it."""
    families = {family.name: family for family in sidecar.application.telemetry.families()}
    samples: Iterable[Any] = families[f"layout_mutation_{name}"].samples
    return {"".join(sample.labels.values()): sample.value for sample in samples}
