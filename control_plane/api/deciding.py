"""`POST /apply`: what a page would become, by the same core as at the edge.

Counterpart: `control_plane.preview`. Never: a page of an address that is not registered.
"""

import codecs

import msgspec
from aiohttp import web

from control_plane.api.answers import json_answer
from control_plane.api.requests import read_json
from control_plane.preview import Previewed, Visit
from control_plane.services import Services
from control_plane.tokens import Actor
from rules.diagnosis import decode
from rules.errors import RulesError
from rules.limits import PAGE_BYTES_MAX

BODY_BYTES_MAX = 2 * PAGE_BYTES_MAX  # a page as a JSON string: quotes and line ends are escaped


class ApplyRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A page and a visit."""

    url: str
    """`https://site/path?query`, or `/path` of the site `*`."""
    html: str | None = None
    """The page; fetched from the registered origin of `url` where it is left out."""
    context: Visit = Visit()


class ApplyOutcome(msgspec.Struct, frozen=True, rename="camel"):
    """What became of one mutation, and why."""

    mutation_id: str
    reason: str
    detail: str


class ApplyRedirect(msgspec.Struct, frozen=True, rename="camel"):
    """Where the visit would be sent instead of getting the page."""

    mutation_id: str
    location: str
    status: int


class ApplyAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The page as it would be served."""

    url: str
    table_version: int
    """The decision table that was asked; 0 before the first."""
    outcomes: tuple[ApplyOutcome, ...]
    assignments: dict[str, str]
    """Experiment id -> variation key."""
    passed: str
    """Empty, or the reason why the page stays as it is."""
    detail: str
    html: str
    redirect: ApplyRedirect | None = None
    not_understood: tuple[str, ...] = ()
    """Words of `disabled` and `only` that name nothing."""


async def apply(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Decide and rewrite one page."""
    asked: ApplyRequest = decode(await read_json(request, BODY_BYTES_MAX), ApplyRequest)
    if asked.html is None:
        return json_answer(_answer(await services.preview.page(asked.url, visit=asked.context)))
    try:
        page = asked.html.encode("utf-8")
    except UnicodeEncodeError:
        raise RulesError("the page has half a surrogate pair", "$.html") from None
    return json_answer(_answer(await services.preview.html(page, url=asked.url, charset="utf-8", visit=asked.context)))


def _answer(shown: Previewed) -> ApplyAnswer:
    there = shown.redirect
    return ApplyAnswer(
        url=shown.url,
        table_version=shown.table_version,
        outcomes=tuple(ApplyOutcome(one.mutation_id, one.reason, one.detail) for one in shown.outcomes),
        assignments=shown.assignments,
        passed=shown.passed,
        detail=shown.detail,
        html=_text(shown.after, shown.charset),
        redirect=None if there is None else ApplyRedirect(there.mutation_id, there.location, there.status),
        not_understood=shown.not_understood,
    )


def _text(page: bytes, charset: str | None) -> str:
    """The page as text; what can't be decoded is shown as U+FFFD."""
    try:
        name = codecs.lookup(charset or "utf-8").name
        return page.decode(name, "replace")
    except (LookupError, UnicodeError):
        return page.decode("utf-8", "replace")
