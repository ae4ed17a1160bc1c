"""What is written in an operation, whatever its verb, becomes what is carried out and what a visit fills."""

from typing import Annotated, Any, cast

import pytest
from msgspec import structs

from rules import model
from rules.errors import RulesError
from rules.fields import Record, filled_as
from rules.html.components import compile_component
from rules.html.slots import kept_to_links, prepared
from tests.rules.html.making import at, html, text

LIBRARY = {"card": compile_component(model.Module(id="card", template="<p>{{props.title}}</p>"), "$")}


@pytest.mark.parametrize(
    "verb", [model.Before, model.After, model.Prepend, model.Append, model.SetInnerContent, model.Replace]
)
def test_every_verb_with_content(verb: type[model.Append]) -> None:
    ready = prepared(verb(target=at("p"), content=html("<b>{{a|A}}</b>")), "$")
    assert ready.operation == verb(target=at("p"), content=html("<b>A</b>"))
    assert [slot.steps for slot in ready.slots] == [("content", "html")]
    card = model.Content(component="card", props={"title": "{{a}}"})
    ready = prepared(verb(target=at("p"), content=card), "$", LIBRARY, index=3)
    assert ready.operation == verb(target=at("p"), content=html("<p></p>"))
    assert [(slot.operation, slot.steps) for slot in ready.slots] == [(3, ("content", "html"))]


def test_text_and_attributes() -> None:
    ready = prepared(model.SetText(target=at("p"), content=text("{{a|<A>}}")), "$")
    assert ready.operation == model.SetText(target=at("p"), content=text("<A>"))
    ready = prepared(model.SetAttribute(target=at("p"), name="title", value="{{a|A}}"), "$")
    assert ready.operation == model.SetAttribute(target=at("p"), name="title", value="A")
    assert [slot.steps for slot in ready.slots] == [("value",)]


def test_what_has_no_braces_is_left_as_it_is() -> None:
    operation = model.Append(target=at("p"), content=html("<b>\r\n</b>"))
    assert prepared(operation, "$") == (operation, ())
    escaped = prepared(model.Append(target=at("p"), content=html(r"\{{ x }}")), "$")
    assert escaped == (model.Append(target=at("p"), content=html("{{ x }}")), ())


class Styled(Record, frozen=True, kw_only=True):
    """A verb with a mapping and a plain text, as others may have."""

    target: model.Target
    properties: dict[str, Annotated[str, filled_as("style")]]
    label: Annotated[str, filled_as("text")] | None = None
    link: Annotated[str, filled_as("address")] = ""
    plain: str = ""


def test_a_field_says_what_it_is_filled_as() -> None:
    written = Styled(target=at("p"), properties={"color": "{{c|red}}", "top": "0"}, label="{{l|L}}", plain="{{x")
    ready: Any = prepared(cast("Any", written), "$")
    assert ready.operation == Styled(target=at("p"), properties={"color": "red", "top": "0"}, label="L", plain="{{x")
    assert [slot.steps for slot in ready.slots] == [("properties", "color"), ("label",)]
    with pytest.raises(RulesError, match="behind a placeholder that begins an address") as caught:
        prepared(Styled(target=at("p"), properties={}, link="{{a}}:x"), "$")  # type: ignore[arg-type]
    assert caught.value.path == "$.link"


@pytest.mark.parametrize(
    ("name", "value", "selector"),
    [
        ("href", "{{query.next|/}}", ":is(.x, #y):is(a, area)"),
        ("SRC", "{{query.picture|/a.png}}#x", ":is(.x, #y):is(audio, img, source, track, video)"),
        ("href", "/search?q={{query.q}}", ".x, #y"),
        ("href", "/", ".x, #y"),
        ("title", "{{query.next}}", ".x, #y"),
    ],
)
def test_an_address_of_the_visitors_is_for_what_shows_or_follows_it(name: str, value: str, selector: str) -> None:
    ready = prepared(model.SetAttribute(target=at(".x, #y"), name=name, value=value), "$")
    kept = kept_to_links(ready)
    assert isinstance(kept, model.SetAttribute)
    assert kept.target.selector == selector
    assert kept == structs.replace(ready.operation, target=kept.target)


def test_any_other_operation_stays_as_it_is() -> None:
    ready = prepared(model.SetText(target=at("p"), content=text("{{a}}")), "$")
    assert kept_to_links(ready) is ready.operation
