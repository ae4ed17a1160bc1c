"""The one schema: what a mutation, experiment, module and segment are.

Frozen msgspec structs; JSON is camelCase, Python snake_case. JSON Schema, OpenAPI, forms and the reference documentation
are generated from these classes, and decoding refuses unknown fields with the path of the offence.
Counterpart: `rules.operations` has the verbs, `rules.payloads` what each type carries, `rules.triggers` when it is
considered, `rules.experiments` the tests; all their names are here too. `rules.rows` checks what a shape can't say (selectors, regular
expressions, references). Never: behaviour; a struct knows only whether its own fields fit together.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

from rules import limits
from rules.diagnosis import decode
from rules.experiments import (
    Bandit,
    Experiment,
    Holdout,
    NamespaceRange,
    Prerequisite,
    RampStep,
    Variation,
)
from rules.fields import Identifier, Markup, Name, Pattern, Record
from rules.operations import (
    AddClass,
    After,
    Append,
    Before,
    Content,
    HideByStyle,
    MoveAfter,
    MoveAppend,
    MoveBefore,
    MovePrepend,
    Operation,
    Operations,
    OrderByStyle,
    Prepend,
    Prop,
    Remove,
    RemoveAndKeepContent,
    RemoveAttribute,
    RemoveClass,
    ReorderChildren,
    Replace,
    SetAttribute,
    SetInnerContent,
    SetParameters,
    SetStyle,
    SetText,
    SetTokens,
    Target,
)
from rules.payloads import (
    CaseOperations,
    CtaPayload,
    EmotionMapPayload,
    HideMode,
    HidePayload,
    InsertPayload,
    LayoutPayload,
    MovePayload,
    Position,
    RedirectPayload,
    Region,
    RemovePayload,
    ReorderPayload,
    ReplacePayload,
    Scope,
    SetPayload,
    ThemePayload,
    VariantPayload,
    VariationOperations,
)
from rules.triggers import (
    ClientEvent,
    CustomEvent,
    Day,
    ExitIntent,
    Hours,
    Idle,
    InBrowser,
    InSegment,
    PageLoad,
    Schedule,
    ScrollDepth,
    Trigger,
    Visible,
)

__all__ = [
    "AddClass",
    "After",
    "Append",
    "ArrangeMutation",
    "Bandit",
    "Before",
    "CaseOperations",
    "ClientEvent",
    "Content",
    "CtaMutation",
    "CtaPayload",
    "CustomEvent",
    "Day",
    "Delivery",
    "EmotionMapMutation",
    "EmotionMapPayload",
    "ExitIntent",
    "Experiment",
    "HideByStyle",
    "HideMode",
    "HideMutation",
    "HidePayload",
    "Holdout",
    "Hours",
    "Idle",
    "InBrowser",
    "InSegment",
    "InsertMutation",
    "InsertPayload",
    "Layer",
    "LayoutMutation",
    "LayoutPayload",
    "Module",
    "MoveAfter",
    "MoveAppend",
    "MoveBefore",
    "MoveMutation",
    "MovePayload",
    "MovePrepend",
    "Mutation",
    "NamespaceRange",
    "Operation",
    "Operations",
    "OrderByStyle",
    "PageLoad",
    "Position",
    "Prepend",
    "Prerequisite",
    "Prop",
    "RampStep",
    "Record",
    "RedirectMutation",
    "RedirectPayload",
    "Region",
    "Remove",
    "RemoveAndKeepContent",
    "RemoveAttribute",
    "RemoveClass",
    "RemoveMutation",
    "RemovePayload",
    "ReorderChildren",
    "ReorderMutation",
    "ReorderPayload",
    "Replace",
    "ReplaceMutation",
    "ReplacePayload",
    "RulesFile",
    "Schedule",
    "Scope",
    "ScrollDepth",
    "Segment",
    "SetAttribute",
    "SetInnerContent",
    "SetMutation",
    "SetParameters",
    "SetPayload",
    "SetStyle",
    "SetText",
    "SetTokens",
    "Status",
    "Target",
    "ThemeMutation",
    "ThemePayload",
    "Trigger",
    "VariantMutation",
    "VariantPayload",
    "Variation",
    "VariationOperations",
    "Visible",
    "decode_mutation",
    "decode_operations",
    "decode_rules",
]

# ---------------------------------------------------------------- mutations


class Layer(StrEnum):
    """How specific a mutation is; on the same target the more specific one wins."""

    GLOBAL = "global"
    PAGE = "page"
    MODULE = "module"
    MICRO = "micro"


class Status(StrEnum):
    """Where a mutation is in its life; only `experimental` and `active` ones are served."""

    DRAFT = "draft"
    EXPERIMENTAL = "experimental"
    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class Delivery(StrEnum):
    """Who changes the page: the edge; the edge, and the browser script once more if a framework undoes it; or the browser
    script alone."""

    EDGE = "edge"
    GUARDED = "guarded"
    CLIENT = "client"


class Mutation(Record, frozen=True, kw_only=True):
    """What all mutation types share; `LayoutMutation` is the union of the types below."""

    id: Identifier
    """Stable: kept across export and import. The control plane gives UUIDv7s."""
    site: Pattern = "*"
    """Host the rule belongs to: `shop.example`, `*.example`, or `*`."""
    layout_id: Name = "*"
    """Page template the rule belongs to, as the origin names it in `X-Layout-Id`; `*` for any."""
    page_slug: Pattern = "*"
    """Path pattern: `/`, `/offers/*` (one segment), `/blog/**` (all below), or `*`."""
    module_id: Identifier | None = None
    """Registered module it touches; null for a page-wide mutation."""
    layer: Layer | None = None
    """Derived from the fields above where it is left out (`rules.conflicts.layer_of`)."""
    trigger: Trigger = PageLoad()
    """When it is considered."""
    conditions: dict[str, Any] = {}
    """GrowthBook-style condition over the visit's attributes; `{}` is always true."""
    priority: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] = 0
    """Within its layer, the higher wins."""
    version: Annotated[int, Meta(ge=1)] = 1
    """Grows by one with every saved change."""
    created_by: Name = ""
    """Who saved this version."""
    timestamp: Annotated[datetime, Meta(tz=True)] | None = None
    """When this version was saved."""
    is_active: bool = True
    """The switch."""
    rollback_pointer: Annotated[int, Meta(ge=1)] | None = None
    """The version that a rollback returns to; null for the first."""
    name: Name = ""
    """What people call it."""
    note: Annotated[str, Meta(max_length=limits.NOTE_CHARACTERS_MAX)] = ""
    """Why it is there."""
    schedule: Schedule | None = None
    """When it may apply; null for always."""
    status: Status = Status.ACTIVE
    """Where it is in its life; only `experimental` and `active` are served."""
    delivery: Delivery | None = None
    """Who changes the page; where it is left out, `edge`, or `client` if the trigger is (`rules.rows.delivery_of`)."""

    def __post_init__(self) -> None:
        if isinstance(self.trigger, InBrowser) and self.delivery not in (None, Delivery.CLIENT):
            raise ValueError("a `client` trigger needs `delivery: client`: only the browser knows of it; leave it out")


class SetMutation(Mutation, tag_field="mutationType", tag="set", frozen=True, kw_only=True):
    """Any operations."""

    mutation_payload: SetPayload


class InsertMutation(Mutation, tag_field="mutationType", tag="insert", frozen=True, kw_only=True):
    """Insert content."""

    mutation_payload: InsertPayload


class ReplaceMutation(Mutation, tag_field="mutationType", tag="replace", frozen=True, kw_only=True):
    """Replace an element or its content."""

    mutation_payload: ReplacePayload


class HideMutation(Mutation, tag_field="mutationType", tag="hide", frozen=True, kw_only=True):
    """Hide an element."""

    mutation_payload: HidePayload


class RemoveMutation(Mutation, tag_field="mutationType", tag="remove", frozen=True, kw_only=True):
    """Remove an element."""

    mutation_payload: RemovePayload


class MoveMutation(Mutation, tag_field="mutationType", tag="move", frozen=True, kw_only=True):
    """Move an element."""

    mutation_payload: MovePayload


class ReorderMutation(Mutation, tag_field="mutationType", tag="reorder", frozen=True, kw_only=True):
    """Put the children of an element into another order."""

    mutation_payload: ReorderPayload


class ArrangeMutation(Mutation, tag_field="mutationType", tag="layout", frozen=True, kw_only=True):
    """Say which modules stand in which region of the page, in which order, and which are hidden."""

    mutation_payload: LayoutPayload


class ThemeMutation(Mutation, tag_field="mutationType", tag="theme", frozen=True, kw_only=True):
    """Give the page other tokens, classes or styles."""

    mutation_payload: ThemePayload


class CtaMutation(Mutation, tag_field="mutationType", tag="cta", frozen=True, kw_only=True):
    """Change a call to action."""

    mutation_payload: CtaPayload


class RedirectMutation(Mutation, tag_field="mutationType", tag="redirect", frozen=True, kw_only=True):
    """Send visits to another address."""

    mutation_payload: RedirectPayload

    def __post_init__(self) -> None:
        if isinstance(self.trigger, InBrowser) or self.delivery not in (None, Delivery.EDGE):
            raise ValueError("a redirect is answered by the edge, before there is a page: leave `delivery` out")


class EmotionMapMutation(Mutation, tag_field="mutationType", tag="emotionMap", frozen=True, kw_only=True):
    """Different operations for each emotion of a visit, or whatever else an attribute says."""

    mutation_payload: EmotionMapPayload


class VariantMutation(Mutation, tag_field="mutationType", tag="variant", frozen=True, kw_only=True):
    """Different operations for each variation of an experiment."""

    mutation_payload: VariantPayload


LayoutMutation = (
    SetMutation
    | InsertMutation
    | ReplaceMutation
    | HideMutation
    | RemoveMutation
    | MoveMutation
    | ReorderMutation
    | ArrangeMutation
    | ThemeMutation
    | CtaMutation
    | RedirectMutation
    | VariantMutation
    | EmotionMapMutation
)


# ---------------------------------------------------------------- modules, segments, files


class Module(Record, frozen=True, kw_only=True):
    """A part of pages that mutations can name."""

    id: Identifier
    name: Name = ""
    selector: Annotated[str, Meta(max_length=limits.SELECTOR_CHARACTERS_MAX)] = ""
    """Where it is on a page; `[data-module="<id>"]` where it is empty."""
    template: Markup = ""
    """HTML that content may use as `component`; `{{props.name|fallback}}` in it is what the content gives, a prop without
    fallback must be given; `{{attribute|fallback}}` is filled from the visit."""
    is_active: bool = True
    """A module that is switched off keeps the origin's form: mutations that touch it don't apply."""


class Segment(Record, frozen=True, kw_only=True):
    """A named condition over the visit."""

    id: Identifier
    name: Name = ""
    conditions: dict[str, Any]


class RulesFile(Record, frozen=True, kw_only=True):
    """What export writes, import reads and the command line takes."""

    mutations: Annotated[list[LayoutMutation], Meta(max_length=limits.ENTRIES_MAX)] = []
    experiments: Annotated[list[Experiment], Meta(max_length=limits.ENTRIES_MAX)] = []
    modules: Annotated[list[Module], Meta(max_length=limits.ENTRIES_MAX)] = []
    segments: Annotated[list[Segment], Meta(max_length=limits.ENTRIES_MAX)] = []


# ---------------------------------------------------------------- bytes to structs


def decode_rules(data: bytes) -> RulesFile:
    """A rules file from JSON; raises RulesError with the path of the first offence and what is allowed there."""
    rules_file: RulesFile = decode(data, RulesFile)
    return rules_file


def decode_mutation(data: bytes) -> LayoutMutation:
    """One mutation from JSON; raises RulesError like `decode_rules`."""
    mutation: LayoutMutation = decode(data, LayoutMutation)
    return mutation


def decode_operations(data: bytes) -> tuple[Operation, ...]:
    """Operations from a JSON list; raises RulesError like `decode_rules`."""
    operations: tuple[Operation, ...] = decode(data, tuple[Operation, ...])
    return operations
