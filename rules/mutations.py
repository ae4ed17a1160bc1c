"""What a mutation is: what all types share, and the types.

Counterpart: `rules.payloads` has what each type carries; `rules.model` has all names in one place. Never: behaviour; a struct
knows only whether its own fields fit together.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

from rules import limits
from rules.fields import Identifier, Name, Pattern, Record, Version
from rules.payloads import (
    CtaPayload,
    EmotionMapPayload,
    HidePayload,
    InsertPayload,
    LayoutPayload,
    MovePayload,
    RedirectPayload,
    RemovePayload,
    ReorderPayload,
    ReplacePayload,
    SetPayload,
    ThemePayload,
    VariantPayload,
)
from rules.triggers import InBrowser, PageLoad, Schedule, Trigger


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
    version: Version = 1
    """Grows by one with every saved change."""
    created_by: Name = ""
    """Who saved this version."""
    timestamp: Annotated[datetime, Meta(tz=True)] | None = None
    """When this version was saved."""
    is_active: bool = True
    """The switch."""
    rollback_pointer: Version | None = None
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
