"""The list: every mutation, filtered and in pages, and what is published.

Counterpart: `switching` does what the switch in each row asks for. Never: more than one page of rows in memory.
"""

from aiohttp import web
from msgspec import Struct

from control_plane.admin.form_fields import mutation_types
from control_plane.admin.history import is_on, type_of
from control_plane.admin.published import published
from control_plane.admin.rendering import page
from control_plane.intent import Page
from control_plane.mutations import Filters
from control_plane.services import SERVICES, Services
from rules.conflicts import layer_of
from rules.model import LayoutMutation, Status

ROWS = 25
FILTER_CHARACTERS_MAX = 200


class Row(Struct, frozen=True):
    """One mutation as the list shows it."""

    mutation: LayoutMutation
    type: str
    on: bool
    layer: str


async def show(request: web.Request) -> web.Response:
    """The list as the query asks for it: `text` (`similar`: in other words too), `state`, `type`, `page`, `cursor`."""
    services = request.app[SERVICES]
    asked = {name: _asked(request, name) for name in ("text", "state", "type", "page")}
    cursor = request.query.get("cursor") or None
    similar = bool(request.query.get("similar") and asked["text"]) and services.mutations.finds_similar
    found = await (_similar if similar else _page)(services, asked, cursor)
    return page(
        request,
        "list.html",
        rows=[Row(one, type_of(one), is_on(one), layer_of(one).value) for one in found.items],
        next_cursor=found.next_cursor,
        cursor=cursor,
        asked=asked,
        similar=similar,
        finds_similar=services.mutations.finds_similar,
        filtered=any(asked.values()),
        states=tuple(Status),
        types=tuple(mutation_types()),
        published=await published(services),
    )


async def _page(services: Services, asked: dict[str, str], cursor: str | None) -> Page[LayoutMutation]:
    return await services.mutations.page(_filters(asked), cursor=cursor, limit=ROWS)


async def _similar(services: Services, asked: dict[str, str], _: str | None) -> Page[LayoutMutation]:
    """The nearest in meaning that the other filters let through, on one page."""
    filters = _filters(asked)
    near = await services.mutations.similar(asked["text"], include_archived=filters.include_archived, limit=ROWS)
    return Page(
        tuple(
            one
            for one in near.items
            if filters.active in (None, one.is_active)
            and filters.status in (None, one.status)
            and filters.page_slug in (None, one.page_slug)
            and filters.mutation_type in (None, type_of(one))
        )
    )


def _asked(request: web.Request, name: str) -> str:
    return request.query.get(name, "").replace("\0", "").strip()[:FILTER_CHARACTERS_MAX]


def _filters(asked: dict[str, str]) -> Filters:
    """A state is one of the statuses, or `on` or `off` for the switch; a word that is none of them filters nothing."""
    state = asked["state"]
    return Filters(
        active={"on": True, "off": False}.get(state),
        status=Status(state) if state in set(Status) else None,
        include_archived=state == Status.ARCHIVED,
        page_slug=asked["page"] or None,
        mutation_type=asked["type"] if asked["type"] in mutation_types() else None,
        text=asked["text"] or None,
    )
