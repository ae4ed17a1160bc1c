"""Payloads refuse what can't be meant. The JSON of bad ones is in tests/rules/test_bad_rules.py."""

import pytest

from rules.operations import Target
from rules.payloads import LayoutPayload, Region

MAIN, SIDE = Target(selector="main"), Target(selector="aside")


def test_a_module_stands_in_one_place() -> None:
    for regions in (
        {"a": Region(container=MAIN, modules=["x", "x"])},
        {"a": Region(container=MAIN, modules=["x"], hidden=["x"])},
        {"a": Region(container=MAIN, modules=["x"]), "b": Region(container=SIDE, modules=["x"])},
        {"a": Region(container=MAIN, hidden=["x"]), "b": Region(container=SIDE, modules=["x"])},
    ):
        with pytest.raises(ValueError, match="x is listed twice"):
            LayoutPayload(regions=regions)


def test_regions_have_containers_of_their_own_and_something_in_them() -> None:
    both = {"a": Region(container=MAIN, modules=["x"]), "b": Region(container=MAIN, modules=["y"])}
    with pytest.raises(ValueError, match="the same `container`"):
        LayoutPayload(regions=both)
    with pytest.raises(ValueError, match="no region lists a module"):
        LayoutPayload(regions={"a": Region(container=MAIN)})


def test_a_sound_layout() -> None:
    regions = {"a": Region(container=MAIN, modules=["x"], hidden=["z"]), "b": Region(container=SIDE, modules=["y"])}
    assert LayoutPayload(regions=regions).regions == regions
