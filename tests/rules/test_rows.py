"""One mutation becomes one row: payloads become operations, references are resolved and checked."""

from typing import Any

import pytest

from rules import model
from rules.errors import RulesError
from rules.html import Rewritten, apply_groups
from rules.rows import check_unique, company_of, compile_row
from tests.rules.making import experiment, removing, rows_of, rules_file, variant

TARGET = {"selector": "p"}
TEXT = {"text": "x"}


def operations(kind: str, payload: dict[str, Any], **others: Any) -> tuple[model.Operation, ...]:
    file = rules_file({"id": "m", "mutationType": kind, "mutationPayload": payload}, **others)
    group = rows_of(file)[0].group
    assert group is not None
    return group.operations


def test_a_module_is_named_by_its_selector() -> None:
    payload = {"target": {"moduleId": "hero", "required": True, "maxMatches": 2}, "mode": "remove"}
    (unregistered,) = operations("hide", payload)
    (plain,) = operations("hide", payload, modules=[{"id": "hero"}])
    (own,) = operations("hide", payload, modules=[{"id": "hero", "selector": ".hero"}])
    assert unregistered.target.selector == plain.target.selector == '[data-module="hero"]'
    assert own.target == model.Target(selector=".hero", required=True, max_matches=2)


@pytest.mark.parametrize("address", ["https://evil.example/x", "/own"])
def test_a_visitor_says_no_address_of_what_a_page_loads(address: str) -> None:
    """A selector may meet a style sheet or a frame beside the link that its author thought of."""
    value = {"verb": "setAttribute", "target": {"selector": ".x"}, "name": "href", "value": "{{query.next|/}}"}
    source = value | {"name": "src"}
    row, *_ = rows_of(
        rules_file({"id": "m", "mutationType": "set", "mutationPayload": {"operations": [value, source]}})
    )
    assert row.group is not None
    page = b"""<!doctype html><html><head><link class=x rel=stylesheet href=a.css></head><body><a class=x href=/a>b</a>
<iframe class=x src=/c></iframe><svg><use class=x href="#d"></use></svg><img class=x src=e.png></body></html>"""
    group = row.group.of_visit({"query": {"next": address}})
    answer = apply_groups(page, (group,), charset="utf-8")
    assert isinstance(answer, Rewritten)
    written = page.replace(b"href=/a", b'href="%s"' % address.encode())
    assert answer.page == written.replace(b"src=e.png", b'src="%s"' % address.encode())


def test_equal_operations_have_equal_digests() -> None:
    first, second, third = rows_of(rules_file(removing("a"), removing("b"), removing("c", "p")))
    assert first.group is not None
    assert second.group is not None
    assert third.group is not None
    assert first.group.digest == second.group.digest != third.group.digest


def test_the_digest_covers_who_does_it_and_when() -> None:
    client: dict[str, Any] = {"on": "client"}
    rows = rows_of(
        rules_file(
            removing("a"),
            removing("b", delivery="edge"),
            removing("c", delivery="guarded"),
            removing("d", delivery="client"),
            removing("e", trigger={**client, "when": {"event": "idle", "seconds": 1}}),
            removing("f", trigger={**client, "when": {"event": "idle", "seconds": 2}}),
        )
    )
    groups = [row.group for row in rows if row.group is not None]
    assert [group.delivery for group in groups] == ["edge", "edge", "guarded", "client", "client", "client"]
    assert groups[0].digest == groups[1].digest
    assert len({group.digest for group in groups}) == 5


def test_an_events_target_is_named_by_its_selector() -> None:
    def when(target: dict[str, Any]) -> object:
        trigger = {"on": "client", "when": {"event": "visible", "target": target}}
        [row] = rows_of(rules_file(removing("m", trigger=trigger), modules=[{"id": "hero", "selector": ".hero"}]))
        return row.group.when if row.group is not None else None

    assert when({"moduleId": "hero"}) == model.Visible(target=model.Target(selector=".hero"))
    with pytest.raises(RulesError) as caught:
        when({"selector": "p["})
    assert caught.value.path == "$.mutations[0].trigger.when.target.selector"


def test_modules_in_an_order_are_named_by_their_selectors() -> None:
    order = [{"moduleId": "hero"}, {"selector": "i"}]
    operation = {"verb": "orderByStyle", "target": {"selector": "main"}, "order": order}
    file = rules_file({"id": "m", "mutationType": "set", "mutationPayload": {"operations": [operation]}})
    [row] = rows_of(file)
    assert row.group is not None
    [resolved] = row.group.operations
    assert isinstance(resolved, model.OrderByStyle)
    assert [target.selector for target in resolved.order] == ['[data-module="hero"]', "i"]
    assert row.modules == {"hero"}


def test_what_a_row_reads() -> None:
    file = rules_file(
        variant("v", conditions={"mobile": True}, trigger={"on": "segment", "segment": "s"}),
        experiments=[experiment(unit="account", conditions={"locale": "de-de"})],
        segments=[{"id": "s", "conditions": {"language": "de"}}],
    )
    assert rows_of(file)[0].reads == {"mobile", "language", "locale", "account"}


def test_rows_stand_in_precedence_order() -> None:
    rows = rows_of(rules_file(removing("a"), removing("b", priority=1), removing("c", layer="micro")))
    assert [row.mutation.id for row in rows] == ["c", "b", "a"]


def test_one_mutation_among_its_company() -> None:
    file = rules_file(experiments=[experiment()])
    row = compile_row(rules_file(variant("v"), experiments=[experiment()]).mutations[0], company_of(file), "$")
    assert row.group is None
    assert set(row.variations) == {"new"}


def test_ids_differ() -> None:
    with pytest.raises(RulesError, match=r"\$\.modules\[1\]\.id: the id 'a' is already used"):
        check_unique("modules", [model.Module(id="a"), model.Module(id="a")])


def test_every_target_of_an_operation_may_be_a_module() -> None:
    hero = {"moduleId": "hero"}
    moved = {"verb": "moveAfter", "target": {"selector": "h1"}, "anchor": hero | {"required": True}}
    ordered = {"verb": "reorderChildren", "target": {"moduleId": "list"}, "order": [hero, {"selector": "p"}]}
    file = rules_file(
        {"id": "m", "mutationType": "set", "mutationPayload": {"operations": [moved, ordered]}},
        modules=[{"id": "hero", "selector": ".hero"}],
    )
    (row,) = rows_of(file)
    assert row.modules == {"hero", "list"}
    assert row.group is not None
    assert row.group.operations == (
        model.MoveAfter(target=model.Target(selector="h1"), anchor=model.Target(selector=".hero", required=True)),
        model.ReorderChildren(
            target=model.Target(selector='[data-module="list"]'),
            order=[model.Target(selector=".hero"), model.Target(selector="p")],
        ),
    )


def test_a_layout_is_off_with_any_of_its_modules() -> None:
    regions = {"main": {"container": {"selector": "main"}, "modules": ["a"], "hidden": ["b"]}}
    layout = {"id": "m", "mutationType": "layout", "mutationPayload": {"regions": regions}}
    for module, off in (("a", "module a"), ("b", "module b"), ("c", "")):
        (row,) = rows_of(rules_file(layout, modules=[{"id": module, "isActive": False}]))
        assert row.off == off
