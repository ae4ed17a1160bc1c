"""Puts the admin into the control plane's application: its addresses, and what stands before every one of them.

Counterpart: `control_plane/app.py` calls `routes` once, before the application starts.
Never: a page; each page or concern has a module of its own.
"""

from aiohttp import web

from control_plane.admin import (
    activity,
    alerts,
    audit,
    backups,
    conflicts,
    deleted,
    entry,
    error_pages,
    guard,
    history,
    migration,
    mutation_form,
    mutation_list,
    preview,
    response_headers,
    schema,
    settings,
    sign_in,
    static_files,
    switching,
    toggles,
)
from control_plane.admin.addresses import (
    ACTIVITY,
    ALERTS,
    BACKUPS,
    CONFLICTS,
    DELETED,
    HISTORY,
    MIGRATION,
    PREFIX,
    SCHEMA,
    SETTINGS,
    TOGGLES,
)
from control_plane.admin.rendering import TEMPLATES, templates
from control_plane.services import Services


def routes(app: web.Application, services: Services) -> None:
    """Mount every page below `/admin/layout-mutations`; the application must not have started yet."""
    files = static_files.StaticFiles.load()
    app[static_files.FILES] = files
    app[TEMPLATES] = templates(files, public_url=services.settings.public_url)
    app[preview.PREVIEWS] = preview.KeptPages()
    app.middlewares.extend((response_headers.middleware, error_pages.middleware, guard.middleware))
    app.router.add_get("/admin", _to_the_list)
    app.router.add_get("/admin/", _to_the_list)
    app.router.add_get(f"{PREFIX}/", _to_the_list)
    app.router.add_get(f"{PREFIX}/static/{{name:.+}}", static_files.show)
    app.router.add_get(f"{PREFIX}/sign-in", sign_in.show)
    app.router.add_post(f"{PREFIX}/sign-in", sign_in.redeem)
    app.router.add_post(f"{PREFIX}/sign-out", sign_in.leave)
    app.router.add_get(PREFIX, mutation_list.show)
    app.router.add_get(f"{PREFIX}/new", mutation_form.show_new)
    app.router.add_post(f"{PREFIX}/new", mutation_form.post_new)
    app.router.add_get(f"{PREFIX}/mutations/{{id}}", history.show)
    app.router.add_get(f"{PREFIX}/mutations/{{id}}/edit", mutation_form.show_edit)
    app.router.add_post(f"{PREFIX}/mutations/{{id}}/edit", mutation_form.post_edit)
    app.router.add_post(f"{PREFIX}/mutations/{{id}}/activate", switching.activate)
    app.router.add_post(f"{PREFIX}/mutations/{{id}}/deactivate", switching.deactivate)
    app.router.add_post(f"{PREFIX}/mutations/{{id}}/archive", switching.archive)
    app.router.add_post(f"{PREFIX}/mutations/{{id}}/restore", switching.restore)
    app.router.add_post(f"{PREFIX}/mutations/{{id}}/rollback", switching.roll_back)
    app.router.add_get(TOGGLES, toggles.show)
    app.router.add_post(TOGGLES, toggles.post_new)
    app.router.add_post(f"{TOGGLES}/{{id}}/force", toggles.put_in_force)
    app.router.add_post(f"{TOGGLES}/{{id}}/lift", toggles.lift)
    app.router.add_post(f"{TOGGLES}/{{id}}/delete", toggles.remove)
    app.router.add_get(f"{PREFIX}/preview", preview.show)
    app.router.add_post(f"{PREFIX}/preview", preview.show_unsaved)
    app.router.add_get(f"{PREFIX}/preview/{{key}}/{{side:before|after}}", preview.document)
    _operating(app)


def _operating(app: web.Application) -> None:
    """What is about the installation and not about what visitors see."""
    app.router.add_get(ACTIVITY, activity.show)
    app.router.add_get(SETTINGS, settings.show)
    app.router.add_post(SETTINGS, settings.save)
    app.router.add_get(ALERTS, alerts.show)
    app.router.add_post(f"{ALERTS}/{{id}}/acknowledge", alerts.acknowledge)
    app.router.add_get(CONFLICTS, conflicts.show)
    app.router.add_post(f"{CONFLICTS}/{{id}}", conflicts.settle)
    app.router.add_get(HISTORY, audit.show)
    app.router.add_post(f"{HISTORY}/verify", audit.verify)
    app.router.add_get(f"{HISTORY}/{{number:[0-9]+}}", entry.show)
    app.router.add_post(f"{HISTORY}/{{number:[0-9]+}}/undo", entry.undo)
    app.router.add_get(DELETED, deleted.show)
    app.router.add_post(f"{DELETED}/{{kind}}/{{id}}", deleted.restore)
    app.router.add_get(BACKUPS, backups.show)
    app.router.add_post(BACKUPS, backups.make)
    app.router.add_post(f"{BACKUPS}/{{name}}/verify", backups.verify)
    app.router.add_get(MIGRATION, migration.show)
    app.router.add_post(MIGRATION, migration.mend)
    app.router.add_get(SCHEMA, schema.show)
    app.router.add_post(SCHEMA, schema.heal)


async def _to_the_list(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(PREFIX)
