"""Fields follow the schema: nothing of it is missing from the forms, and nothing is written down a second time."""

from typing import get_args

from control_plane.admin.form_fields import (
    POINTLESS_FIELDS,
    SERVICE_FIELDS,
    FormField,
    Kind,
    fields_for,
    mutation_types,
)
from control_plane.admin.wording import sections
from rules import model


def field(mutation_type: str, name: str) -> FormField:
    return next(field for field in fields_for(mutation_type) if field.name == name)


def test_every_mutation_type_of_the_schema_has_a_form() -> None:
    assert len(mutation_types()) == len(get_args(model.LayoutMutation))
    for mutation_type in mutation_types():
        assert any(field.name.startswith("mutationPayload") for field in fields_for(mutation_type))


def test_choices_and_defaults_are_those_of_the_schema() -> None:
    scope = field("replace", "mutationPayload.scope")
    assert scope.kind is Kind.CHOICE
    assert scope.choices == tuple(member.value for member in model.Scope)
    assert scope.default == model.Scope.ELEMENT
    assert field("hide", "schedule.daysOfWeek").choices == get_args(model.Day)
    assert field("set", "priority").minimum == -1_000_000


def test_what_the_service_owns_is_never_typed() -> None:
    for mutation_type in mutation_types():
        assert not {field.name for field in fields_for(mutation_type)} & SERVICE_FIELDS


def test_a_tagged_union_is_a_choice_and_the_fields_of_its_members() -> None:
    on = field("set", "trigger.on")
    assert on.default == "pageLoad"
    assert field("set", "trigger.segment").only_when == ("trigger.on", "segment")


def test_content_is_one_field_with_the_schemas_ways() -> None:
    content = field("insert", "mutationPayload.content")
    assert (content.kind, content.choices) == (Kind.CONTENT, ("text", "html", "component"))


def test_a_choice_that_may_stay_open_begins_empty() -> None:
    delivery = field("set", "delivery")
    assert (delivery.kind, delivery.default, delivery.required) == (Kind.CHOICE, "", False)
    assert delivery.choices == tuple(member.value for member in model.Delivery)


def test_lists_of_words_and_choices_of_several_are_told_apart() -> None:
    assert field("set", "trigger.emotions").kind is Kind.WORDS
    assert field("theme", "mutationPayload.classes").kind is Kind.WORDS
    devices = field("set", "trigger.devices")
    assert (devices.kind, devices.choices) == (Kind.SEVERAL, get_args(model.Device))


def test_what_a_choice_needs_is_required_with_it() -> None:
    assert field("set", "trigger.step").required
    assert not field("set", "trigger.answers").required
    assert field("set", "trigger.progress").required, "there is no choice of none"


def test_what_a_field_depends_on_stands_before_it() -> None:
    for mutation_type in mutation_types():
        choices: dict[str, tuple[str, ...]] = {}
        for _, inside in sections(fields_for(mutation_type)):
            for shown in inside:
                if shown.only_when:
                    name, value = shown.only_when
                    assert value in choices[name], shown.name
                choices[shown.name] = shown.choices


def test_what_means_nothing_where_it_stands_is_no_field() -> None:
    names = {field.name for field in fields_for("set")}
    assert "trigger.when.target.maxMatches" in names
    assert not names & POINTLESS_FIELDS


def test_a_field_of_a_union_in_a_union_depends_on_the_inner_choice() -> None:
    assert field("set", "trigger.when.event").only_when == ("trigger.on", "client")
    assert field("set", "trigger.when.percent").only_when == ("trigger.when.event", "scrollDepth")
