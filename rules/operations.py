"""The language of operations: a verb, the elements it touches, and what is written.

Verbs are named as in lol-html. Counterpart: `rules.html.operations` carries them out, `rules.html.checks` says what is
wrong with one on any page. To add a verb: CONTRIBUTING.md, "Add an operation in five steps".
"""

from typing import Annotated

from msgspec import Meta

from rules import limits
from rules.fields import AttributeName, ClassName, Identifier, Markup, Record


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
    """What is written: text, which is escaped, or HTML, which must be a balanced fragment."""

    text: Markup | None = None
    html: Markup | None = None

    def __post_init__(self) -> None:
        if (self.text is None) == (self.html is None):
            raise ValueError("content has either `text` or `html`")


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
            raise ValueError("`setText` takes content with `text`; for HTML use `setInnerContent`")


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
    value: Markup


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


class HideByStyle(Record, tag_field="verb", tag="hideByStyle", frozen=True, kw_only=True):
    """Hide the element by one rule in a style block at the end of `<head>`; no element of the page changes."""

    target: Target


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
    | HideByStyle
)
Operations = Annotated[list[Operation], Meta(min_length=1, max_length=limits.OPERATIONS_MAX)]
