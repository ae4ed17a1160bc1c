"""What a mutation of each type carries: `mutationPayload`, by `mutationType`.

Counterpart: `rules.expansion` says which operations a payload stands for. Never: behaviour.
"""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

from rules import limits
from rules.fields import (
    Address,
    AttributeName,
    AttributePath,
    ClassName,
    Identifier,
    Markup,
    ParameterName,
    ParameterValue,
    Record,
    StyleValue,
    TokenName,
)
from rules.operations import Content, Operation, Operations, Target


class Position(StrEnum):
    """Where inserted content stands relative to the target, or what is moved relative to the anchor."""

    BEFORE = "before"
    AFTER = "after"
    PREPEND = "prepend"
    APPEND = "append"


class HideMode(StrEnum):
    """How a module is hidden: by a style block, by the `hidden` attribute, or by leaving it out of the page."""

    STYLE = "style"
    ATTRIBUTE = "attribute"
    REMOVE = "remove"


class Scope(StrEnum):
    """What `replace` replaces: the element with its tags, or what is between them."""

    ELEMENT = "element"
    INNER = "inner"


class SetPayload(Record, frozen=True, kw_only=True):
    """Any operations, in order."""

    operations: Operations


class InsertPayload(Record, frozen=True, kw_only=True):
    """Content inserted relative to a target."""

    target: Target
    position: Position
    content: Content


class ReplacePayload(Record, frozen=True, kw_only=True):
    """Content in place of a target, or of what is inside it."""

    target: Target
    scope: Scope = Scope.ELEMENT
    content: Content


class HidePayload(Record, frozen=True, kw_only=True):
    """A target that visitors don't see."""

    target: Target
    mode: HideMode = HideMode.STYLE


class RemovePayload(Record, frozen=True, kw_only=True):
    """A target that is left out; with `keepContent` only its tags are."""

    target: Target
    keep_content: bool = False


class ThemePayload(Record, frozen=True, kw_only=True):
    """What a page looks like: tokens, classes of `<html>`, a style sheet, CSS. At least one of them."""

    tokens: Annotated[dict[TokenName, StyleValue], Meta(max_length=limits.DECLARATIONS_MAX)] = {}
    """Custom properties of the whole page, in the engine's own style block."""
    classes: Annotated[list[ClassName], Meta(max_length=100)] = []
    """Added to `<html>`; the page must write that tag."""
    stylesheet: Address | None = None
    """Linked at the end of `<head>`; the site's own policy says whether it may load."""
    css: Annotated[str, Meta(min_length=1, max_length=limits.CONTENT_CHARACTERS_MAX)] | None = None
    """A style block at the end of `<head>`, without nonce or hash: the site's own policy says whether it may apply."""

    def __post_init__(self) -> None:
        if not (self.tokens or self.classes or self.stylesheet is not None or self.css is not None):
            raise ValueError("a theme needs `tokens`, `classes`, `stylesheet` or `css`")


class CtaPayload(Record, frozen=True, kw_only=True):
    """A call to action: its label, where it leads, and what follows it there. At least one of them."""

    target: Target
    label: Markup | None = None
    """Text in place of what is inside the element."""
    href: Address | None = None
    """Where the link leads."""
    attributes: Annotated[dict[AttributeName, Markup], Meta(max_length=limits.DECLARATIONS_MAX)] = {}
    """Further attributes of the element."""
    tracking: Annotated[dict[ParameterName, ParameterValue], Meta(max_length=limits.DECLARATIONS_MAX)] = {}
    """Query parameters of the link, for example utm_source; those it has under other names stay."""

    def __post_init__(self) -> None:
        if not (self.attributes or self.tracking or self.label is not None or self.href is not None):
            raise ValueError("a call to action needs `label`, `href`, `attributes` or `tracking`")
        if any(name.lower() == "href" for name in self.attributes):
            raise ValueError("the link's address is written in `href`, not in `attributes`")


class RedirectPayload(Record, frozen=True, kw_only=True):
    """Another address instead of the page."""

    to: Address
    """A path of the same site, or an http(s) address."""
    status: Literal[301, 302, 303, 307, 308] = 302
    """301 and 308 are kept by browsers; 302 asks again with each visit."""
    keep_query: bool = False
    """Take the visit's query parameters along, but for those that `to` has itself."""


class CaseOperations(Record, frozen=True, kw_only=True):
    """What one case of an emotion map changes; nothing where it is empty."""

    operations: Annotated[list[Operation], Meta(max_length=limits.OPERATIONS_MAX)] = []


class EmotionMapPayload(Record, frozen=True, kw_only=True):
    """Operations by what an attribute of the visit says; no experiment, everybody with the same value gets the same."""

    attribute: AttributePath = "emotion"
    """Whose value names the case."""
    cases: Annotated[dict[Identifier, CaseOperations], Meta(min_length=1, max_length=limits.CASES_MAX)]
    """Value -> what is changed."""
    otherwise: CaseOperations | None = None
    """For every other value, and where the visit has none; null or nothing to leave the page alone then."""


class MovePayload(Record, frozen=True, kw_only=True):
    """A target that stands elsewhere: beside the anchor, or inside it as its first or last child."""

    target: Target
    position: Position
    anchor: Target


class ReorderPayload(Record, frozen=True, kw_only=True):
    """A container's children in another order: the listed ones first, then all others as they were."""

    container: Target
    order: Annotated[list[Target], Meta(min_length=1, max_length=limits.ORDER_MAX)]


ModuleIds = Annotated[list[Identifier], Meta(max_length=limits.ORDER_MAX)]


class Region(Record, frozen=True, kw_only=True):
    """A part of the page that holds modules. They stand in the order given, before everything else in it."""

    container: Target
    modules: ModuleIds = []
    """Those that stand elsewhere on the page are brought in; those that the page lacks are passed over."""
    hidden: ModuleIds = []
    """Hidden by a style, wherever they stand."""


class LayoutPayload(Record, frozen=True, kw_only=True):
    """Which modules stand where: regions by a name of the author's choice."""

    regions: Annotated[dict[Identifier, Region], Meta(min_length=1, max_length=limits.REGIONS_MAX)]

    def __post_init__(self) -> None:
        regions = self.regions.values()
        placed = [module for region in regions for module in (*region.modules, *region.hidden)]
        if twice := sorted({module for module in placed if placed.count(module) > 1}):
            raise ValueError(f"a module stands in one place; {', '.join(twice[:5])} is listed twice")
        containers = [region.container for region in regions]
        if any(container in containers[:index] for index, container in enumerate(containers)):
            raise ValueError("two regions have the same `container`; list their modules in one")
        if not placed:
            raise ValueError("no region lists a module under `modules` or `hidden`")


class VariationOperations(Record, frozen=True, kw_only=True):
    """What one variation changes; nothing for the control."""

    operations: Annotated[list[Operation], Meta(max_length=limits.OPERATIONS_MAX)] = []


class VariantPayload(Record, frozen=True, kw_only=True):
    """Operations for each variation of an experiment; the first key is the control."""

    experiment_id: Identifier
    variations: Annotated[dict[Identifier, VariationOperations], Meta(min_length=1, max_length=limits.VARIATIONS_MAX)]
