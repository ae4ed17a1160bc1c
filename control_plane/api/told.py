"""Handlers for what sidecars told: single executions, and counts.

Counterpart: `control_plane.store.events`. Never: a unit; nobody needs pseudonyms over the API.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from control_plane.api.answers import json_answer
from control_plane.api.requests import query
from control_plane.documents import PAGE_LIMIT, checked_limit, decode_cursor, encode_cursor
from control_plane.refusals import Refusal, Refused
from control_plane.services import Services
from control_plane.store.events import Rollup
from control_plane.tokens import Actor
from service.clock import now

DAY = timedelta(days=1)
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
MICROSECOND = timedelta(microseconds=1)


class ExecutionsQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which executions, the newest first."""

    mutation_id: str | None = None
    site: str | None = None
    since: datetime | None = None
    """RFC 3339; a day ago where it is left out."""
    cursor: str | None = None
    limit: int = PAGE_LIMIT


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which counts: whole hours from `since` until before `until`."""

    since: datetime | None = None
    """RFC 3339; a day ago where it is left out."""
    until: datetime | None = None
    mutation_id: str | None = None
    experiment_id: str | None = None


class ReportAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """Counts, the most first."""

    since: datetime
    until: datetime
    items: list[Rollup]


async def executions(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """What was done to pages, one by one; those of the same microsecond at the end of a part may be left out of the next."""
    asked = query(request, ExecutionsQuery)
    before, limit = decode_cursor(asked.cursor), checked_limit(asked.limit)
    at = now()
    found = await services.events.told(
        "execution",
        subject=_clean(asked.mutation_id),
        site=_clean(asked.site),
        before=at + DAY if before is None else _moment(before),
        since=_aware(asked.since) or at - DAY,
        limit=limit + 1,
    )
    items: list[Any] = [msgspec.Raw(one.content) for one in found[:limit]]
    cursor = encode_cursor((found[limit - 1].at - EPOCH) // MICROSECOND) if len(found) > limit else None
    return json_answer({"items": items, "nextCursor": cursor})


async def report(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """How often, by the hour's counts."""
    asked = query(request, ReportQuery)
    at = now()
    since, until = _aware(asked.since) or at - DAY, _aware(asked.until) or at + DAY
    if asked.mutation_id is not None and asked.experiment_id is not None:
        raise Refused(Refusal.BAD_PARAMETER, "give `mutationId` or `experimentId`, not both")
    kind = "mutation" if asked.mutation_id is not None else "experiment" if asked.experiment_id is not None else None
    subject = _clean(asked.mutation_id or asked.experiment_id)
    return json_answer(
        ReportAnswer(since, until, await services.events.counts(since, until, kind=kind, subject=subject))
    )


def _aware(moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise Refused(Refusal.BAD_PARAMETER, "a moment needs its zone, for example 2026-11-27T09:00:00Z")
    return moment


def _clean(text: str | None) -> str | None:
    return None if text is None else text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _moment(microseconds: int) -> datetime:
    try:
        return EPOCH + microseconds * MICROSECOND
    except OverflowError:
        raise Refused(Refusal.BAD_CURSOR, "`cursor` is not one that a list gave as nextCursor") from None
