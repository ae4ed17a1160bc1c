"""What a payload's own fields must say together. The JSON of bad ones is in tests/rules/test_bad_rules.py."""

import msgspec
import pytest

from rules.operations import Target
from rules.payloads import CtaPayload, LayoutPayload, Region, ThemePayload

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


@pytest.mark.parametrize("field", [{"tokens": {"--a": "1"}}, {"classes": ["a"]}, {"stylesheet": "/a"}, {"css": "a{}"}])
def test_a_theme_has_at_least_one_part(field: dict[str, object]) -> None:
    assert msgspec.convert(field, ThemePayload) != ThemePayload(classes=["other"])
    with pytest.raises(msgspec.ValidationError, match="a theme needs `tokens`"):
        msgspec.convert({"tokens": {}, "classes": []}, ThemePayload)


@pytest.mark.parametrize("field", [{"label": ""}, {"href": "/a"}, {"attributes": {"a": "b"}}, {"tracking": {"a": "b"}}])
def test_a_call_to_action_has_at_least_one_part_and_one_address(field: dict[str, object]) -> None:
    target = {"target": {"selector": "a"}}
    assert msgspec.convert(target | field, CtaPayload).target == Target(selector="a")
    with pytest.raises(msgspec.ValidationError, match="needs `label`"):
        msgspec.convert(target, CtaPayload)
    with pytest.raises(msgspec.ValidationError, match="is written in `href`"):
        msgspec.convert(target | field | {"attributes": {"Href": "/"}}, CtaPayload)
