"""The language of operations: a verb, the elements it touches, and what is written.

Verbs are named as in lol-html. Counterpart: `rules.html.operations` carries them out, `rules.html.checks` says what is
wrong with one on any page. To add a verb: CONTRIBUTING.md, "Add an operation in six steps".
"""

from collections.abc import Iterator
from typing import Annotated, Union

from msgspec import Meta

from rules import limits
from rules.fields import (
    AttributeName,
    ClassName,
    Identifier,
    Markup,
    ParameterName,
    ParameterValue,
    PropertyName,
    PropName,
    Record,
    StyleValue,
    TokenName,
    Whole,
    filled_as,
)


class Target(Record, frozen=True, kw_only=True):
    """Which elements an operation touches: a CSS selector, or a registered module."""

    selector: Annotated[str, Meta(min_length=1, max_length=limits.SELECTOR_CHARACTERS_MAX)] | None = None
    module_id: Identifier | None = None
    required: bool = False
    """If no element matches, the whole mutation does not apply."""
    max_matches: Annotated[int, Meta(ge=1, le=limits.MATCHES_MAX)] | None = None
    """If more elements match, the operation does not apply."""

    def __post_init__(self) -> None:
        if (self.selector is None) == (self.module_id is None):
            raise ValueError("a target has either `selector` or `moduleId`")


class Content(Record, frozen=True, kw_only=True):
    """What is written: text, which is escaped; HTML, which must be a balanced fragment; or a component, which is the
    template of a module with its props. `{{attribute|fallback}}` in it is filled from the visit."""

    text: Markup | None = None
    """Text as it is."""
    html: Markup | None = None
    """A fragment of HTML in which each tag has its partner."""
    component: Identifier | None = None
    """Id of a module that has a `template`."""
    props: Annotated[dict[PropName, "Prop"], Meta(max_length=limits.PROPS_MAX)] = {}
    """What the template's `{{props.name}}` become: text, numbers, true or false; where the template has text between tags
    also content, or a list of it."""

    def __post_init__(self) -> None:
        if sum(form is not None for form in (self.text, self.html, self.component)) != 1:
            raise ValueError("content has either `text`, `html` or `component`")
        if self.props and self.component is None:
            raise ValueError("`props` go with `component`")


Prop = Union[Markup, bool, Whole, float, Content, Annotated[list[Content], Meta(max_length=limits.PROPS_MAX)]]  # noqa: UP007
"""One prop of a component."""


class Before(Record, tag_field="verb", tag="before", frozen=True, kw_only=True):
    """Insert content before the element."""

    target: Target
    content: Content


class After(Record, tag_field="verb", tag="after", frozen=True, kw_only=True):
    """Insert content after the element."""

    target: Target
    content: Content


class Prepend(Record, tag_field="verb", tag="prepend", frozen=True, kw_only=True):
    """Insert content as the first child of the element."""

    target: Target
    content: Content


class Append(Record, tag_field="verb", tag="append", frozen=True, kw_only=True):
    """Insert content as the last child of the element."""

    target: Target
    content: Content


class SetInnerContent(Record, tag_field="verb", tag="setInnerContent", frozen=True, kw_only=True):
    """Replace what is between the element's tags."""

    target: Target
    content: Content


class SetText(Record, tag_field="verb", tag="setText", frozen=True, kw_only=True):
    """Replace what is between the element's tags by text."""

    target: Target
    content: Content

    def __post_init__(self) -> None:
        if self.content.text is None:
            raise ValueError("`setText` takes content with `text`; for HTML and components use `setInnerContent`")


class Replace(Record, tag_field="verb", tag="replace", frozen=True, kw_only=True):
    """Replace the element with its tags."""

    target: Target
    content: Content


class Remove(Record, tag_field="verb", tag="remove", frozen=True, kw_only=True):
    """Remove the element with its content."""

    target: Target


class RemoveAndKeepContent(Record, tag_field="verb", tag="removeAndKeepContent", frozen=True, kw_only=True):
    """Remove the element's tags and keep what is between them."""

    target: Target


class SetAttribute(Record, tag_field="verb", tag="setAttribute", frozen=True, kw_only=True):
    """Set an attribute of the element, adding it where it is missing."""

    target: Target
    name: AttributeName
    value: Annotated[Markup, filled_as("attribute")]


class RemoveAttribute(Record, tag_field="verb", tag="removeAttribute", frozen=True, kw_only=True):
    """Remove an attribute of the element."""

    target: Target
    name: AttributeName


class AddClass(Record, tag_field="verb", tag="addClass", frozen=True, kw_only=True):
    """Add class names that the element does not have yet."""

    target: Target
    names: Annotated[list[ClassName], Meta(min_length=1, max_length=100)]


class RemoveClass(Record, tag_field="verb", tag="removeClass", frozen=True, kw_only=True):
    """Remove class names that the element has."""

    target: Target
    names: Annotated[list[ClassName], Meta(min_length=1, max_length=100)]


class SetStyle(Record, tag_field="verb", tag="setStyle", frozen=True, kw_only=True):
    """Set properties in the element's `style` attribute; they come last there, other declarations keep their bytes."""

    target: Target
    properties: Annotated[
        dict[PropertyName, Annotated[StyleValue, filled_as("style")]],
        Meta(min_length=1, max_length=limits.DECLARATIONS_MAX),
    ]


class SetParameters(Record, tag_field="verb", tag="setParameters", frozen=True, kw_only=True):
    """Set query parameters of a link (`href` of `a` and `area`), as `URLSearchParams.set` would; the rest of it stays."""

    target: Target
    parameters: Annotated[
        dict[ParameterName, Annotated[ParameterValue, filled_as("text")]],
        Meta(min_length=1, max_length=limits.DECLARATIONS_MAX),
    ]


class SetTokens(Record, tag_field="verb", tag="setTokens", frozen=True, kw_only=True):
    """Set custom properties by one rule in a style block at the end of `<head>`; no element of the page changes."""

    target: Target = Target(selector=":root")
    tokens: Annotated[
        dict[TokenName, Annotated[StyleValue, filled_as("style")]],
        Meta(min_length=1, max_length=limits.DECLARATIONS_MAX),
    ]


class HideByStyle(Record, tag_field="verb", tag="hideByStyle", frozen=True, kw_only=True):
    """Hide the element by one rule in a style block at the end of `<head>`; no element of the page changes."""

    target: Target


class OrderByStyle(Record, tag_field="verb", tag="orderByStyle", frozen=True, kw_only=True):
    """Show children of the element in another order by rules in a style block at the end of `<head>`; no element of the page
    changes.

    Those in `order` come first, the others follow as they are. The container becomes a grid unless the site's own styles
    make it one, or a flex box. Keyboards and screen readers keep the order of the source.
    """

    target: Target
    order: Annotated[list[Target], Meta(min_length=1, max_length=limits.ORDER_MAX)]


class MoveBefore(Record, tag_field="verb", tag="moveBefore", frozen=True, kw_only=True):
    """Move the element to right before the anchor, the first element of the page that `anchor` matches. Several elements
    stay in their order; what stands beside them is left where it is. All moves come first, then what is inserted, then
    the rest; what is moved or inserted beside a moved element goes with it, and edits inside it do.
    """

    target: Target
    anchor: Target


class MoveAfter(Record, tag_field="verb", tag="moveAfter", frozen=True, kw_only=True):
    """Move the element to right after the anchor; otherwise as `moveBefore`."""

    target: Target
    anchor: Target


class MovePrepend(Record, tag_field="verb", tag="movePrepend", frozen=True, kw_only=True):
    """Move the element into the anchor, as its first child; otherwise as `moveBefore`."""

    target: Target
    anchor: Target


class MoveAppend(Record, tag_field="verb", tag="moveAppend", frozen=True, kw_only=True):
    """Move the element into the anchor, as its last child; otherwise as `moveBefore`."""

    target: Target
    anchor: Target


class ReorderChildren(Record, tag_field="verb", tag="reorderChildren", frozen=True, kw_only=True):
    """Put the element's children into another order: those that `order` lists come first, then all others as they were.
    Children change places; text, white space and comments between them stay. What is listed and not there is passed over;
    what a mutation of higher precedence moved away, replaced or removed has no part in it.
    """

    target: Target
    order: Annotated[list[Target], Meta(min_length=1, max_length=limits.ORDER_MAX)]
    adopt: bool = False
    """Listed elements that stand elsewhere on the page are brought in too."""
    leaving: Annotated[list[Target], Meta(max_length=limits.LEAVING_MAX)] = []
    """Children that have no part in it, since another operation moves them away."""


Operation = (
    Before
    | After
    | Prepend
    | Append
    | SetInnerContent
    | SetText
    | Replace
    | Remove
    | RemoveAndKeepContent
    | SetAttribute
    | RemoveAttribute
    | AddClass
    | RemoveClass
    | SetStyle
    | SetParameters
    | SetTokens
    | HideByStyle
    | MoveBefore
    | MoveAfter
    | MovePrepend
    | MoveAppend
    | ReorderChildren
    | OrderByStyle
)
Operations = Annotated[list[Operation], Meta(min_length=1, max_length=limits.OPERATIONS_MAX)]


def targets_of(operation: Operation) -> Iterator[tuple[str, Target]]:
    """Every target that an operation names, with its path in the operation's JSON: `target`, `anchor`, `order[0]`."""
    for name in operation.__struct_fields__:
        value = getattr(operation, name)
        if isinstance(value, Target):
            yield name, value
        elif isinstance(value, list):
            for index, entry in enumerate(value):
                if isinstance(entry, Target):
                    yield f"{name}[{index}]", entry
