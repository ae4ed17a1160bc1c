"""Writing a mutation: the form for a new one and for one that exists.

Counterpart: `typed_form` is what was filled in; `templates/form.html` shows it. A refusal stands at the field it is
about, and what was typed always comes back.
Never: a save over a version that its author didn't see.
"""

from aiohttp import web
from msgspec import Struct

from control_plane.admin import addresses, wording
from control_plane.admin.differences import Difference, differences
from control_plane.admin.form_fields import mutation_types
from control_plane.admin.history import as_json, is_on
from control_plane.admin.origins import origin
from control_plane.admin.readable import PRIVACY, readable
from control_plane.admin.rendering import page
from control_plane.admin.suggestions import suggestions
from control_plane.admin.typed_form import FIRST_TYPE, TypedForm
from control_plane.admin.visitor import require
from control_plane.intent import Intent
from control_plane.mutations import new_id
from control_plane.refusals import Refusal, Refused
from control_plane.services import SERVICES
from control_plane.tokens import Permission
from rules.errors import RulesError
from rules.model import LayoutMutation


class Conflict(Struct, frozen=True):
    """Somebody saved in between: their version, and what saving this form would change of it."""

    theirs: LayoutMutation
    changes: list[Difference]


async def show_new(request: web.Request) -> web.Response:
    """An empty form; `type` in the query chooses the mutation type."""
    require(request, Permission.WRITE)
    asked = request.query.get("type", FIRST_TYPE)
    return await show_again(request, TypedForm.empty(new_id(), asked if asked in mutation_types() else FIRST_TYPE))


async def post_new(request: web.Request) -> web.StreamResponse:
    """Save a new mutation, or show the form again for another type or with what is wrong."""
    actor = require(request, Permission.WRITE)
    posted = await request.post()
    form = TypedForm.posted(posted, str(posted.get("id", "")))
    if posted.get("do") != "save":
        return await show_again(request, form)
    mutation = form.mutation()
    if mutation is None:
        return await show_again(request, form, status=422)
    try:
        intent = Intent(actor=actor, origin=origin(request), reason=form.reason.strip())
        saved = await request.app[SERVICES].mutations.create(mutation, intent)
    except (RulesError, Refused) as error:
        return await _refused(request, form, error)
    done = "existing" if saved.existing else "created"
    raise web.HTTPSeeOther(f"{addresses.mutation(saved.document.id)}?done={done}")


async def show_edit(request: web.Request) -> web.Response:
    """The form of a mutation that exists."""
    require(request, Permission.WRITE)
    saved = await request.app[SERVICES].mutations.get(request.match_info["id"])
    return await show_again(request, TypedForm.of(saved), saved=saved)


async def post_edit(request: web.Request) -> web.StreamResponse:
    """Save a new version, unless somebody else did since the form was opened."""
    actor = require(request, Permission.WRITE)
    mutations = request.app[SERVICES].mutations
    saved = await mutations.get(request.match_info["id"])
    posted = await request.post()
    form = TypedForm.posted(posted, saved.id)
    if posted.get("do") != "save":
        return await show_again(request, form, saved=saved)
    mutation = form.mutation(saved)
    if mutation is None:
        return await show_again(request, form, saved=saved, status=422)
    if form.version != saved.version:
        return await _conflict(request, form, mutation, saved)
    try:
        await mutations.update(
            mutation,
            Intent(actor=actor, origin=origin(request), reason=form.reason.strip(), expected_version=form.version),
        )
    except Refused as refused:
        if refused.refusal is Refusal.VERSION_CONFLICT:
            return await _conflict(request, form, mutation, await mutations.get(saved.id))
        return await _refused(request, form, refused, saved=saved)
    except RulesError as error:
        return await _refused(request, form, error, saved=saved)
    raise web.HTTPSeeOther(f"{addresses.mutation(saved.id)}?done=saved")


async def _conflict(
    request: web.Request, form: TypedForm, mine: LayoutMutation, theirs: LayoutMutation
) -> web.Response:
    """Both sides; the form now begins from their version, so that saving it again is a decision."""
    form.version = theirs.version
    conflict = Conflict(theirs, differences(as_json(theirs), as_json(mine)))
    return await show_again(request, form, saved=theirs, conflict=conflict, status=409)


async def _refused(
    request: web.Request, form: TypedForm, error: RulesError | Refused, *, saved: LayoutMutation | None = None
) -> web.Response:
    if isinstance(error, RulesError):
        form.refuse(error)
        return await show_again(request, form, saved=saved, status=422)
    if error.refusal is Refusal.NOT_FOUND:
        raise error
    form.problems = {"reason" if error.refusal is Refusal.REASON_REQUIRED else "": error.detail}
    return await show_again(request, form, saved=saved, status=403 if error.refusal is Refusal.MAY_NOT_PUBLISH else 409)


async def show_again(
    request: web.Request,
    form: TypedForm,
    *,
    saved: LayoutMutation | None = None,
    conflict: Conflict | None = None,
    status: int = 200,
) -> web.Response:
    """The form as it stands, with its problems; `saved` is what it changes, `conflict` what came in between."""
    return page(
        request,
        "form.html",
        status=status,
        form=form,
        sections=wording.sections(form.fields),
        types=tuple(mutation_types()),
        saved=saved,
        on=saved is not None and is_on(saved),
        conflict=conflict,
        suggestions=await suggestions(request.app[SERVICES]),
        readable=await readable(request.app[SERVICES]),
        privacy=PRIVACY,
    )
