"""The one schema: what a mutation, experiment, module and segment are.

Frozen msgspec structs; JSON is camelCase, Python snake_case. JSON Schema, OpenAPI, forms and the reference documentation
are generated from these classes, and decoding refuses unknown fields with the path of the offence.
Counterpart: `rules.operations` has the verbs, `rules.payloads` what each type carries, `rules.triggers` when it is
considered, `rules.mutations` the types, `rules.experiments` the tests, `rules.attributes` what visits remember; all their
names are here too.
`rules.rows` checks what a shape can't say (selectors, regular expressions, references). Never: behaviour; a struct knows only whether its own fields fit together.
"""

from typing import Annotated, Any

from msgspec import Meta

from rules import forward, limits
from rules.attributes import (
    Case,
    Counter,
    DeclaredAttribute,
    Derived,
    Journey,
    Question,
    Quiz,
    Step,
    Within,
)
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
from rules.fields import Identifier, Markup, Name, Pattern, Record, Whole
from rules.forward import SCHEMA_VERSION
from rules.mutations import (
    ArrangeMutation,
    CtaMutation,
    Delivery,
    EmotionMapMutation,
    HideMutation,
    InsertMutation,
    Layer,
    LayoutMutation,
    MoveMutation,
    Mutation,
    RedirectMutation,
    RemoveMutation,
    ReorderMutation,
    ReplaceMutation,
    SetMutation,
    Status,
    ThemeMutation,
    VariantMutation,
)
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
    Answered,
    AtStep,
    ClientEvent,
    CustomEvent,
    Day,
    Device,
    ExitIntent,
    Feels,
    Hours,
    Idle,
    InBrowser,
    InLocale,
    InRegion,
    InSegment,
    InVariation,
    OnDevice,
    OnSchedule,
    PageLoad,
    Progress,
    ReferredBy,
    Schedule,
    ScrollDepth,
    Trigger,
    Visible,
)

__all__ = [
    "SCHEMA_VERSION",
    "AddClass",
    "After",
    "Answered",
    "Append",
    "ArrangeMutation",
    "AtStep",
    "Bandit",
    "Before",
    "Case",
    "CaseOperations",
    "ClientEvent",
    "Content",
    "Counter",
    "CtaMutation",
    "CtaPayload",
    "CustomEvent",
    "Day",
    "DeclaredAttribute",
    "Decoded",
    "Delivery",
    "Derived",
    "Device",
    "EmotionMapMutation",
    "EmotionMapPayload",
    "ExitIntent",
    "Experiment",
    "Feels",
    "HideByStyle",
    "HideMode",
    "HideMutation",
    "HidePayload",
    "Holdout",
    "Hours",
    "Idle",
    "InBrowser",
    "InLocale",
    "InRegion",
    "InSegment",
    "InVariation",
    "InsertMutation",
    "InsertPayload",
    "Journey",
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
    "OnDevice",
    "OnSchedule",
    "Operation",
    "Operations",
    "OrderByStyle",
    "PageLoad",
    "Position",
    "Prepend",
    "Prerequisite",
    "Progress",
    "Prop",
    "Question",
    "Quiz",
    "RampStep",
    "Record",
    "RedirectMutation",
    "RedirectPayload",
    "ReferredBy",
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
    "SavedGroup",
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
    "Step",
    "Target",
    "ThemeMutation",
    "ThemePayload",
    "Toggle",
    "Trigger",
    "VariantMutation",
    "VariantPayload",
    "Variation",
    "VariationOperations",
    "Visible",
    "Within",
    "decode_mutation",
    "decode_operations",
    "decode_rules",
    "decode_rules_file",
]

SchemaVersion = Annotated[int, Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]

# ---------------------------------------------------------------- what mutations refer to, and files


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


Member = Annotated[str, Meta(max_length=limits.GROUP_MEMBER_CHARACTERS_MAX)] | Whole | float


class SavedGroup(Record, frozen=True, kw_only=True):
    """A list that conditions name by `$inGroup` and `$notInGroup`: accounts, products, regions."""

    id: Identifier
    name: Name = ""
    members: Annotated[list[Member], Meta(max_length=limits.GROUP_MEMBERS_MAX)]


class Toggle(Record, frozen=True, kw_only=True):
    """Switches off what fits each field that is given: a layer, pages, a module, a mutation, an experiment."""

    id: Identifier
    name: Name = ""
    site: Pattern = "*"
    """Host where it is off, as in a mutation."""
    page_slug: Pattern = "*"
    """Path pattern of the pages where it is off, as in a mutation."""
    layer: Layer | None = None
    module_id: Identifier | None = None
    mutation_id: Identifier | None = None
    experiment_id: Identifier | None = None
    """Nobody is enrolled; what visits remember of it is kept."""
    is_active: bool = True
    """Whether it switches anything off."""
    note: Annotated[str, Meta(max_length=limits.NOTE_CHARACTERS_MAX)] = ""
    """Why."""

    def __post_init__(self) -> None:
        everywhere = self.site == "*" and self.page_slug == "*"
        if everywhere and not (self.layer or self.module_id or self.mutation_id or self.experiment_id):
            raise ValueError(
                "say what is off: `site`, `pageSlug`, `layer`, `moduleId`, `mutationId` or `experimentId`; "
                '`pageSlug` "/**" is every page'
            )


class RulesFile(Record, frozen=True, kw_only=True):
    """What export writes, import reads and the command line takes."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    """Of what the file is written in; older files are brought forward when they are read (`rules.forward`)."""
    mutations: Annotated[list[LayoutMutation], Meta(max_length=limits.ENTRIES_MAX)] = []
    experiments: Annotated[list[Experiment], Meta(max_length=limits.ENTRIES_MAX)] = []
    modules: Annotated[list[Module], Meta(max_length=limits.ENTRIES_MAX)] = []
    segments: Annotated[list[Segment], Meta(max_length=limits.ENTRIES_MAX)] = []
    attributes: Annotated[list[DeclaredAttribute], Meta(max_length=limits.ATTRIBUTES_DECLARED_MAX)] = []
    saved_groups: Annotated[list[SavedGroup], Meta(max_length=limits.ENTRIES_MAX)] = []
    toggles: Annotated[list[Toggle], Meta(max_length=limits.ENTRIES_MAX)] = []


# ---------------------------------------------------------------- bytes to structs


def decode_rules(data: bytes) -> RulesFile:
    """A rules file from JSON; raises RulesError with the path of the first offence and what is allowed there."""
    return decode_rules_file(data)[0]


Decoded = tuple[RulesFile, tuple[forward.Change, ...]]
"""A rules file, and what bringing it forward changed."""


def decode_rules_file(data: bytes) -> Decoded:
    """As `decode_rules`, with what bringing the file forward to this version changed."""
    present, changes = forward.brought_forward(data)
    return decode(present, RulesFile, written=data), changes


def decode_mutation(data: bytes) -> LayoutMutation:
    """One mutation from JSON; raises RulesError like `decode_rules`."""
    mutation: LayoutMutation = decode(data, LayoutMutation)
    return mutation


def decode_operations(data: bytes) -> tuple[Operation, ...]:
    """Operations from a JSON list; raises RulesError like `decode_rules`."""
    operations: tuple[Operation, ...] = decode(data, tuple[Operation, ...])
    return operations
