"""Where documents name modules."""

from control_plane.moving.module_links import found, replaced

DOCUMENT = {
    "moduleId": "hero",
    "conditions": {"moduleId": "a visit's own word"},
    "mutationPayload": {
        "operations": [{"target": {"moduleId": "hero"}, "content": {"component": "card", "props": {"component": "x"}}}],
        "regions": {"top": {"container": {"selector": "main"}, "modules": ["hero", "nav"], "hidden": ["card"]}},
    },
    "modules": ["not in a region"],
}


def test_all_places_and_no_word_of_a_visit() -> None:
    assert dict(found(DOCUMENT)) == {
        "$.moduleId": "hero",
        "$.mutationPayload.operations[0].target.moduleId": "hero",
        "$.mutationPayload.operations[0].content.component": "card",
        "$.mutationPayload.regions.top.modules[0]": "hero",
        "$.mutationPayload.regions.top.modules[1]": "nav",
        "$.mutationPayload.regions.top.hidden[0]": "card",
    }


def test_they_are_replaced_and_nothing_else_is() -> None:
    changed = replaced(DOCUMENT, {"hero": "headline", "card": "tile", "x": "y"})
    assert [module for _, module in found(changed)] == ["headline", "headline", "tile", "headline", "nav", "tile"]
    back = replaced(changed, {"headline": "hero", "tile": "card"})
    assert back == DOCUMENT
    assert replaced(DOCUMENT, {}) == DOCUMENT
