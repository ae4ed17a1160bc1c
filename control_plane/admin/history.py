"""One mutation: what it says, whether visitors get it, and every version with who, when, why and what changed.

Counterpart: `switching` and `mutation_form` change it. Never: a change.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from control_plane.admin import wording
from control_plane.admin.differences import Difference, differences
from control_plane.admin.form_fields import FormField, Kind, fields_for
from control_plane.admin.form_values import CONTENT_SUFFIX, applies, typed_of
from control_plane.admin.held import Held
from control_plane.admin.published import Published, published
from control_plane.admin.rendering import page
from control_plane.intent import Version
from control_plane.services import SERVICES
from rules.model import LayoutMutation, Status

VERSIONS_SHOWN = 100
SERVED = frozenset({Status.ACTIVE, Status.EXPERIMENTAL})


class Fact(msgspec.Struct, frozen=True):
    """A field that says something: label and value; `code` where it is read by a machine."""

    label: str
    value: str
    code: bool


def is_on(mutation: LayoutMutation) -> bool:
    """Whether visitors may get it, as the switch shows it."""
    return mutation.is_active and mutation.status in SERVED


def type_of(mutation: LayoutMutation) -> str:
    """Its mutation type, the tag of its struct."""
    return str(mutation.__struct_config__.tag)


def as_json(mutation: LayoutMutation) -> dict[str, Any]:
    """A mutation as its JSON object."""
    found: dict[str, Any] = msgspec.to_builtins(mutation)
    return found


async def show(request: web.Request) -> web.Response:
    """The page of the mutation in the address."""
    return await render(request, request.match_info["id"])


async def render(
    request: web.Request, mutation_id: str, *, problem: str = "", reason: str = "", status: int = 200
) -> web.Response:
    """The page of a mutation; `problem` is what became of a button that was pressed, `reason` what was typed for it."""
    services = request.app[SERVICES]
    mutation = await services.mutations.get(mutation_id)
    versions = await services.mutations.versions(mutation_id)
    older, newer = _compared(request, versions)
    known = await published(services)
    return page(
        request,
        "mutation.html",
        status=status,
        mutation=mutation,
        mutation_type=type_of(mutation),
        on=is_on(mutation),
        caching=await services.mutations.cost(mutation) if is_on(mutation) else "",
        is_on=is_on,
        sections=_facts(mutation),
        versions=versions[:VERSIONS_SHOWN],
        unseen=max(0, len(versions) - VERSIONS_SHOWN),
        older=older,
        newer=newer,
        changes=_changes(older, newer),
        publication=services.publishing.state(),
        held=_held(known, mutation),
        off=known.off,
        done=wording.DONE.get(request.query.get("done", ""), ""),
        problem=problem,
        reason=reason,
    )


def _held(known: Published, mutation: LayoutMutation) -> Held | None:
    """Where sidecars skip this version of it."""
    held = known.held.get(mutation.id)
    return held if held is not None and held.version == mutation.version else None


def _facts(mutation: LayoutMutation) -> list[tuple[str, list[Fact]]]:
    """Title of a section and its facts; fields at their default, or of what was not chosen, say nothing and are left out."""
    fields = fields_for(type_of(mutation))
    typed = typed_of(as_json(mutation), fields)
    by_name = {field.name: field for field in fields}
    found = []
    for section, inside in wording.sections(fields):
        said = (field for field in inside if field.name not in {"name", "note"} and applies(field, by_name, typed))
        facts = [fact for field in said if (fact := _fact(field, typed)) is not None]
        if facts:
            found.append((section.title, facts))
    return found


def _fact(field: FormField, typed: dict[str, str | list[str]]) -> Fact | None:
    given = typed.get(field.name, "")
    named = wording.label(field)
    if field.kind is Kind.CONTENT:
        kind = wording.choice(field.name, str(given))
        return Fact(f"{named} ({kind})", str(typed.get(field.name + CONTENT_SUFFIX, "")), code=given == "html")
    if isinstance(given, list):
        return (
            Fact(named, ", ".join(wording.choice(field.name, value) for value in given), code=False) if given else None
        )
    if field.kind is Kind.SWITCH:
        return Fact(named, "yes", code=False) if given else None
    always = field.name in {"site", "pageSlug", "trigger.on", "priority"} or field.required
    if not given or (given == field.default and not always):
        return None
    if field.kind is Kind.CHOICE:
        return Fact(named, wording.choice(field.name, given), code=False)
    return Fact(
        named, given, code=field.kind is Kind.JSON or "elector" in field.name or field.name in {"site", "pageSlug"}
    )


def _compared(
    request: web.Request, versions: Sequence[Version[LayoutMutation]]
) -> tuple[Version[LayoutMutation] | None, Version[LayoutMutation] | None]:
    """The two versions that the address asks to compare (`from`, `to`); without, the newest and the one before it."""
    by_number = {str(version.version): version for version in versions}
    newer = by_number.get(request.query.get("to", ""), versions[0] if versions else None)
    if newer is None:
        return None, None
    before = str(newer.version - 1)
    return by_number.get(request.query.get("from", before), by_number.get(before)), newer


def _changes(older: Version[LayoutMutation] | None, newer: Version[LayoutMutation] | None) -> list[Difference]:
    if older is None or newer is None:
        return []
    return differences(as_json(older.document), as_json(newer.document))
