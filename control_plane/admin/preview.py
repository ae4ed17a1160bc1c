"""Before and after, side by side: a page of a registered origin as it is, and as the mutations leave it.

Works for what is saved and for what stands unsaved in the form. Both sides come from one fetch, are kept for a while in
memory and are shown in frames that may do nothing.
Counterpart: `control_plane.preview` fetches and decides, `previewed_page` makes the documents harmless.
Never: an address that isn't a registered origin's; the service refuses it.
"""

import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from aiohttp import web

from control_plane.admin import mutation_form
from control_plane.admin.previewed_page import content_security_policy, with_base
from control_plane.admin.rendering import page
from control_plane.admin.typed_form import TypedForm
from control_plane.admin.visitor import require, session_of
from control_plane.origin_pages import ANY_SITE
from control_plane.preview import Previewed, Visit
from control_plane.refusals import Refusal, Refused
from control_plane.services import SERVICES, Services
from control_plane.tokens import Permission
from rules.errors import RulesError
from rules.model import LayoutMutation

KEPT_PAGES_MAX = 24
KEPT_BYTES_MAX = 64 * 1024 * 1024
"""Kept previews of all people together: at 100 KB a page far more than 24 fit; a few huge ones must not fill memory."""

ASKED_CHARACTERS_MAX = 4_000
NOT_KEPT = frozenset({"csrf", "do", "previewSite", "previewAddress", "previewVisit", "previewForced"})
"""Of what was posted, all else is the mutation's form."""

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?")


class KeptPage(msgspec.Struct, frozen=True):
    """The two documents of one preview, for one session."""

    session_id: str
    before: bytes
    after: bytes
    charset: str | None
    policy: str


class KeptPages:
    """The latest previews, by a key that nobody can guess."""

    def __init__(self, *, pages_max: int = KEPT_PAGES_MAX, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._pages: OrderedDict[str, KeptPage] = OrderedDict()
        self._pages_max = pages_max
        self._bytes_max = bytes_max

    def keep(self, kept: KeptPage) -> str:
        """Keep a preview and forget the oldest beyond the bounds; gives its key."""
        key = secrets.token_urlsafe(16)
        self._pages[key] = kept
        while len(self._pages) > 1 and (len(self._pages) > self._pages_max or self._bytes() > self._bytes_max):
            self._pages.popitem(last=False)
        return key

    def get(self, key: str) -> KeptPage | None:
        """A preview that is still kept."""
        return self._pages.get(key)

    def _bytes(self) -> int:
        return sum(len(kept.before) + len(kept.after) for kept in self._pages.values())


PREVIEWS = web.AppKey("admin previews", KeptPages)


class Asked(msgspec.Struct, frozen=True):
    """What the preview form asks for; `attributes` and `forced` as typed."""

    site: str
    address: str
    attributes: str
    forced: str


class OnSite(msgspec.Struct, frozen=True):
    """A link that shows the page on the site itself, or why there is none; neither where nobody asks for one."""

    link: str = ""
    why_not: str = ""


async def show(request: web.Request) -> web.Response:
    """A page as the saved mutations leave it; `mutation` adds one that is not switched on."""
    services = request.app[SERVICES]
    asked = _asked(request.query, services)
    draft = await services.mutations.get(request.query["mutation"]) if request.query.get("mutation") else None
    if draft is not None and "previewAddress" not in request.query:
        asked = _asked_for(draft, services)
    wanted = draft is not None or "previewAddress" in request.query
    return await _compare(request, asked, draft=draft, kept=[], back="", wanted=wanted)


async def show_unsaved(request: web.Request) -> web.StreamResponse:
    """A page as it would be with what stands in the form; a form that is wrong is shown again instead."""
    require(request, Permission.WRITE)
    services = request.app[SERVICES]
    posted = await request.post()
    form = TypedForm.posted(posted, str(posted.get("id", "")))
    saved = await _saved(services, form)
    draft = form.mutation(saved)
    if draft is None:
        return await mutation_form.show_again(request, form, saved=saved, status=422)
    asked = _asked(posted, services) if "previewAddress" in posted else _asked_for(draft, services)
    kept = [(name, value) for name, value in posted.items() if isinstance(value, str) and name not in NOT_KEPT]
    try:
        await services.mutations.check(draft)
    except RulesError as error:
        form.refuse(error)
        return await mutation_form.show_again(request, form, saved=saved, status=422)
    back = "new" if saved is None else f"mutations/{draft.id}/edit"
    return await _compare(request, asked, draft=draft, kept=kept, back=back, wanted=True)


async def document(request: web.Request) -> web.Response:
    """One side, as a document of its own for a frame: for the session that asked for it, and nobody else."""
    kept = request.app[PREVIEWS].get(request.match_info["key"])
    session = session_of(request)
    if kept is None or session is None or kept.session_id != session.id:
        raise web.HTTPNotFound(text="This preview is no longer kept. Ask for it again.")
    body = kept.before if request.match_info["side"] == "before" else kept.after
    content_type = "text/html" if kept.charset is None else f"text/html; charset={kept.charset}"
    return web.Response(
        body=body,
        headers={"Content-Type": content_type, "Content-Security-Policy": kept.policy, "X-Frame-Options": "SAMEORIGIN"},
    )


async def _compare(
    request: web.Request,
    asked: Asked,
    *,
    draft: LayoutMutation | None,
    kept: list[tuple[str, str]],
    back: str,
    wanted: bool,
) -> web.Response:
    services = request.app[SERVICES]
    previewed, problem, key, on_site = None, "", "", OnSite()
    if wanted:
        try:
            previewed = await services.preview.page(_url(asked), visit=_visit(asked), draft=draft, judged=True)
            key = _keep(request, previewed)
            on_site = await _on_site(request, asked, draft)
        except (Refused, ValueError) as error:
            if isinstance(error, Refused) and error.refusal is Refusal.NOT_FOUND:
                raise
            problem = error.detail if isinstance(error, Refused) else str(error)
    return page(
        request,
        "preview.html",
        status=200 if not problem else 422,
        asked=asked,
        sites=tuple(dict.fromkeys((*services.preview.sites(), *([asked.site] if asked.site else [])))),
        draft=draft,
        previewed=previewed,
        names=await _names(services, draft),
        problem=problem,
        key=key,
        on_site=on_site,
        kept=kept,
        back=back,
    )


async def _on_site(request: web.Request, asked: Asked, draft: LayoutMutation | None) -> OnSite:
    """A link to the page itself for those who may write; none where it would show what everybody sees."""
    session = session_of(request)
    forced = _visit(asked).forced
    if session is None or not session.actor.may(Permission.WRITE) or (draft is None and not forced):
        return OnSite()
    address = f"/{asked.address.lstrip('/')}"
    try:
        links = request.app[SERVICES].preview_links
        return OnSite(link=await links.link(asked.site, address, draft=draft, forced=forced))
    except ValueError as error:
        return OnSite(why_not=str(error))


def _keep(request: web.Request, previewed: Previewed) -> str:
    """Keep both sides for the frames; gives their key."""
    session = session_of(request)
    assert session is not None
    sites = request.app[SERVICES].preview.sites()
    there = urlsplit(previewed.url)  # after redirects
    origin = sites.get(there.hostname or "") or sites[ANY_SITE]
    address = origin.rstrip("/") + urlunsplit(("", "", there.path, there.query, ""))
    before, after = (
        with_base(side, address=address, charset=previewed.charset) for side in (previewed.before, previewed.after)
    )
    policy = content_security_policy(origin)
    return request.app[PREVIEWS].keep(KeptPage(session.id, before, after, previewed.charset, policy))


async def _saved(services: Services, form: TypedForm) -> LayoutMutation | None:
    """What is saved of the form's mutation; nothing for a new one."""
    if form.version is None:
        return None
    return await services.mutations.get(form.id)


async def _names(services: Services, draft: LayoutMutation | None) -> dict[str, str]:
    """Mutation id -> name, for the table below the frames."""
    table = await services.publishing.current()
    names = {} if table is None else {mutation.id: mutation.name for mutation in table.rules.mutations}
    return names if draft is None else names | {draft.id: draft.name}


def _asked(given: Mapping[str, Any], services: Services) -> Asked:
    sites = services.preview.sites()
    site = str(given.get("previewSite", ""))
    return Asked(
        site=site if site in sites or (ANY_SITE in sites and _HOST.fullmatch(site)) else next(iter(sites), ""),
        address=str(given.get("previewAddress", "")).strip()[:ASKED_CHARACTERS_MAX] or "/",
        attributes=str(given.get("previewVisit", ""))[:ASKED_CHARACTERS_MAX],
        forced=str(given.get("previewForced", "")).strip()[:ASKED_CHARACTERS_MAX],
    )


def _asked_for(draft: LayoutMutation, services: Services) -> Asked:
    """Where a mutation would be seen: its site and the plain beginning of its page pattern."""
    plain, star, _ = draft.page_slug.partition("*")
    return _asked(
        {"previewSite": draft.site, "previewAddress": plain if plain.startswith("/") or not star else "/"}, services
    )


def _url(asked: Asked) -> str:
    """The address for the service; a path can't be turned into another host, since it begins with one slash."""
    address = f"/{asked.address.lstrip('/')}"
    return address if asked.site in ("", ANY_SITE) else f"http://{asked.site}{address}"


def _visit(asked: Asked) -> Visit:
    """Who is pretended to look; raises ValueError with what to write instead."""
    attributes: dict[str, Any] = {}
    if asked.attributes.strip():
        try:
            attributes = msgspec.json.decode(asked.attributes, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise ValueError(f'The visit must be a JSON object such as {{"language": "de"}}: {error}.') from None
    forced = dict(pair.partition("=")[::2] for pair in asked.forced.replace(",", " ").split())
    return Visit(attributes=attributes, forced=forced)
