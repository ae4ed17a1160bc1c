"""The one table of the API: method, path, roles, body and answer of every route.

Counterpart: `mounting.py` mounts it and enforces the roles, `openapi.py` describes it. A route that is not here is not
there. Never: code that runs per request.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from aiohttp import web
from msgspec import Struct

from control_plane.alerts import Alert
from control_plane.api import adjusting, backups, conflicts, deciding, errands, peers, rules_files, told, watching
from control_plane.api.documents import DocumentHandlers, PageQuery, Restoring, Rollback
from control_plane.api.mutations import MutationHandlers, MutationQuery, Switching
from control_plane.api.requests import GROUP_BYTES_MAX
from control_plane.audit import AuditDetail, AuditEntry
from control_plane.auditing import AuditReport
from control_plane.backups.backups import Backup
from control_plane.backups.restoring import Verified
from control_plane.conflicts import Settled
from control_plane.health import HealthReport
from control_plane.installation_settings import InstallationSettings
from control_plane.moving.checker import Report
from control_plane.moving.mending import Mended
from control_plane.rules_files import Imported
from control_plane.schema.healing import Outcome
from control_plane.services import Services
from control_plane.tokens import Actor, Role
from control_plane.undoing import Outlook, Undone
from rules.model import DeclaredAttribute, Experiment, LayoutMutation, Module, RulesFile, SavedGroup, Segment, Toggle
from service.events import Execution

PREFIX = "/api/layout-mutation"

READERS = frozenset({Role.VIEWER, Role.EDITOR, Role.PUBLISHER, Role.ADMIN})
WRITERS = frozenset({Role.EDITOR, Role.PUBLISHER, Role.ADMIN})
"""An editor writes what visitors don't see; `publishing.py` refuses the rest (`may_not_publish`)."""
PUBLISHERS = frozenset({Role.PUBLISHER, Role.ADMIN})
ADMINS = frozenset({Role.ADMIN})
MACHINES = frozenset({Role.SIDECAR, Role.PEER})

Guarded = Callable[[web.Request, Services, Actor], Awaitable[web.StreamResponse]]
Open = Callable[[web.Request, Services], Awaitable[web.StreamResponse]]
Form = Literal["plain", "saved", "page", "history"]


class Route(Struct, frozen=True, kw_only=True):
    """One row. `form` says what stands around `answer`: nothing, a publication beside it, a list."""

    method: str
    path: str
    summary: str
    handler: Guarded | Open
    roles: frozenset[Role] = frozenset()
    """Empty: open to everybody."""
    body: Any = None
    body_required: bool = True
    query: Any = None
    answer: Any = None
    form: Form = "plain"
    status: int = 200
    later: Any = None
    """What stands behind 202 and `Location` where it takes long; None where it never does."""

    @property
    def writes(self) -> bool:
        """Whether it takes Idempotency-Key, If-Match and a reason."""
        return self.form == "saved"


MUTATIONS = MutationHandlers()
EXPERIMENTS = DocumentHandlers[Experiment](
    lambda services: services.experiments, Experiment, owned=frozenset({"version"})
)
MODULES = DocumentHandlers[Module](lambda services: services.modules, Module)
SEGMENTS = DocumentHandlers[Segment](lambda services: services.segments, Segment)
ATTRIBUTES = DocumentHandlers[DeclaredAttribute](lambda services: services.attributes, DeclaredAttribute)
SAVED_GROUPS = DocumentHandlers[SavedGroup](
    lambda services: services.saved_groups, SavedGroup, bytes_max=GROUP_BYTES_MAX
)
TOGGLES = DocumentHandlers[Toggle](lambda services: services.toggles, Toggle)

DELETABLE: dict[str, DocumentHandlers[Any]] = {
    "experiments": EXPERIMENTS,
    "modules": MODULES,
    "segments": SEGMENTS,
    "attributes": ATTRIBUTES,
    "saved-groups": SAVED_GROUPS,
    "toggles": TOGGLES,
}
"""Kinds whose documents can be deleted; mutations are archived."""


def _documents(name: str, one: str, handlers: DocumentHandlers[Any], kind: Any, page_query: Any) -> tuple[Route, ...]:
    """The rows that all kinds of documents have."""
    many, single = f"{PREFIX}/{name}", f"{PREFIX}/{name}/{{id}}"
    removal = "Archive a mutation" if kind == LayoutMutation else f"Delete {one} that nothing needs"
    return (
        Route(
            method="GET",
            path=many,
            summary=f"List {name.replace('-', ' ')}, the last changed first",
            handler=handlers.page,
            roles=READERS,
            query=page_query,
            answer=kind,
            form="page",
        ),
        Route(
            method="POST",
            path=many,
            summary=f"Create {one}",
            handler=handlers.create,
            roles=WRITERS,
            body=kind,
            answer=kind,
            form="saved",
            status=201,
        ),
        Route(method="GET", path=single, summary=f"Read {one}", handler=handlers.get, roles=READERS, answer=kind),
        Route(
            method="PUT",
            path=single,
            summary=f"Replace {one}",
            handler=handlers.put,
            roles=WRITERS,
            body=kind,
            answer=kind,
            form="saved",
        ),
        Route(
            method="PATCH",
            path=single,
            summary=f"Change members of {one} (JSON merge patch)",
            handler=handlers.patch,
            roles=WRITERS,
            body=dict[str, Any],
            answer=kind,
            form="saved",
        ),
        Route(
            method="DELETE",
            path=single,
            summary=removal,
            handler=handlers.delete,
            roles=WRITERS,
            answer=kind,
            form="saved",
        ),
        *_history(single, one, handlers, kind),
    )


def _history(single: str, one: str, handlers: DocumentHandlers[Any], kind: Any) -> tuple[Route, ...]:
    """The rows of a document's versions: read, brought back, restored."""
    return (
        Route(
            method="GET",
            path=f"{single}/versions",
            summary=f"Every version of {one}, newest first",
            handler=handlers.versions,
            roles=READERS,
            answer=kind,
            form="history",
        ),
        Route(
            method="GET",
            path=f"{single}/versions/{{version:[0-9]+}}",
            summary=f"One version of {one}",
            handler=handlers.version,
            roles=READERS,
            answer=dict[str, Any],
        ),
        Route(
            method="POST",
            path=f"{single}/rollback",
            summary=f"Save a new version of {one} with the content of an older one; a reason is required",
            handler=handlers.rollback,
            roles=PUBLISHERS,
            body=Rollback,
            answer=kind,
            form="saved",
        ),
        Route(
            method="POST",
            path=f"{single}/restore",
            summary=f"Bring back {one} that was {'archived, switched off' if kind == LayoutMutation else 'deleted'}; a reason is required",
            handler=handlers.restore,
            roles=PUBLISHERS,
            body=Restoring,
            answer=kind,
            form="saved",
        ),
    )


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path=f"{PREFIX}/apply",
        summary="Decide and rewrite one page, without serving it",
        handler=deciding.apply,
        roles=READERS | {Role.SIDECAR},
        body=deciding.ApplyRequest,
        answer=deciding.ApplyAnswer,
    ),
    *_documents("mutations", "a mutation", MUTATIONS, LayoutMutation, MutationQuery),
    Route(
        method="POST",
        path=f"{PREFIX}/mutations/{{id}}/activate",
        summary="Switch a mutation on and publish it",
        handler=MUTATIONS.activate,
        roles=PUBLISHERS,
        body=Switching,
        body_required=False,
        answer=LayoutMutation,
        form="saved",
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/mutations/{{id}}/deactivate",
        summary="Switch a mutation off and publish that",
        handler=MUTATIONS.deactivate,
        roles=PUBLISHERS,
        body=Switching,
        body_required=False,
        answer=LayoutMutation,
        form="saved",
    ),
    *_documents("experiments", "an experiment", EXPERIMENTS, Experiment, PageQuery),
    *_documents("modules", "a module", MODULES, Module, PageQuery),
    *_documents("segments", "a segment", SEGMENTS, Segment, PageQuery),
    *_documents("attributes", "an attribute", ATTRIBUTES, DeclaredAttribute, PageQuery),
    *_documents("saved-groups", "a saved group", SAVED_GROUPS, SavedGroup, PageQuery),
    *_documents("toggles", "a toggle", TOGGLES, Toggle, PageQuery),
    Route(
        method="POST",
        path=f"{PREFIX}/import",
        summary="Create and replace the documents of a rules file, all or nothing",
        handler=rules_files.load,
        roles=PUBLISHERS,
        body=RulesFile,
        answer=Imported,
        form="saved",
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/export",
        summary="Everything, as a rules file",
        handler=rules_files.export,
        roles=READERS | {Role.PEER},
        answer=RulesFile,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/audit",
        summary="Who did what, when and why, newest first",
        handler=watching.audit,
        roles=READERS,
        query=watching.AuditQuery,
        answer=AuditEntry,
        form="page",
    ),
    *(
        Route(
            method="GET",
            path=f"{PREFIX}/deleted/{name}",
            summary=f"Deleted {name.replace('-', ' ')}, the last deleted first",
            handler=handlers.deleted,
            roles=READERS,
            query=PageQuery,
            answer=dict[str, Any],
            form="page",
        )
        for name, handlers in DELETABLE.items()
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/audit/{{number:[0-9]+}}",
        summary="One entry, with what it changed",
        handler=watching.audit_entry,
        roles=READERS,
        answer=AuditDetail,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/audit/{{number:[0-9]+}}/undo",
        summary="What undoing an entry would do, and which later changes stand in the way",
        handler=watching.outlook,
        roles=READERS,
        query=watching.OutlookQuery,
        answer=Outlook,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/audit/{{number:[0-9]+}}/undo",
        summary="Undo what an entry says was done, or all that was done with it; a reason is required",
        handler=watching.undo,
        roles=PUBLISHERS,
        body=watching.Undo,
        answer=Undone,
        form="saved",
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/audit/verify",
        summary="Whether the audit and the history were tampered with; reads all of both, or joins who does",
        handler=errands.sooner_or_later(watching.verify, "audit_verify", join=True),
        roles=frozenset({Role.ADMIN}),
        answer=AuditReport,
        later=errands.ErrandAnswer,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/alerts",
        summary="What a person should know of: what is open, or all of the last months",
        handler=watching.alerts,
        roles=READERS,
        query=watching.AlertsQuery,
        answer=Alert,
        form="page",
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/alerts/{{id}}",
        summary="Acknowledge an alert wherever it is open; a reason is required",
        handler=watching.acknowledge,
        roles=WRITERS,
        body=watching.Acknowledgement,
        answer=watching.AlertsAnswer,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/settings",
        summary="What people set for the whole installation; the ETag is the change that made it so",
        handler=adjusting.show,
        roles=READERS,
        answer=InstallationSettings,
    ),
    Route(
        method="PUT",
        path=f"{PREFIX}/settings",
        summary="Replace the settings (what is left out has its default); a reason is required",
        handler=adjusting.put,
        roles=ADMINS,
        body=InstallationSettings,
        answer=InstallationSettings,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/executions",
        summary="What sidecars did to pages, one by one, the newest first",
        handler=told.executions,
        roles=READERS,
        query=told.ExecutionsQuery,
        answer=Execution,
        form="page",
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/report",
        summary="How often mutations applied, variations were met and conversions happened, by the hour's counts",
        handler=told.report,
        roles=READERS,
        query=told.ReportQuery,
        answer=told.ReportAnswer,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/conflicts",
        summary="Changes made while the database was away that met others",
        handler=conflicts.conflicts,
        roles=READERS,
        answer=conflicts.ConflictsAnswer,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/conflicts/{{id}}",
        summary="Settle a conflict for one side; a reason is required",
        handler=conflicts.settle,
        roles=PUBLISHERS,
        body=conflicts.ConflictChoice,
        answer=Settled,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/backups",
        summary="Backups that there are, here and remote",
        handler=backups.backups,
        roles=ADMINS,
        answer=backups.BackupsAnswer,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/backups",
        summary="Make a backup now; it is kept apart as made by hand, unless `occasion` is `scheduled`",
        handler=errands.sooner_or_later(backups.make, "backup"),
        roles=ADMINS,
        query=backups.MakeQuery,
        answer=Backup,
        status=201,
        later=errands.ErrandAnswer,
    ),
    Route(
        method="HEAD",
        path=f"{PREFIX}/backups/newest/file",
        summary="Whether that file would be given, and its size",
        handler=backups.newest,
        roles=ADMINS | {Role.PEER},
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/backups/newest/file",
        summary="The newest backup as a file; for a peer whose subject is in CONTROL_PLANE_BACKUP_READERS",
        handler=backups.newest,
        roles=ADMINS | {Role.PEER},
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/backups/{{name}}/verify",
        summary="Restore a backup into a throw-away place, and say what came of it",
        handler=errands.sooner_or_later(backups.verify, "backup_verify", join=True),
        roles=ADMINS,
        answer=Verified,
        later=errands.ErrandAnswer,
    ),
    Route(
        method="GET",
        path=f"{errands.PATH}/{{id}}",
        summary="How it stands with work that was answered by 202: under way, done with its result, or failed and why",
        handler=errands.errand,
        roles=ADMINS,
        answer=errands.ErrandAnswer,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/peers",
        summary="Other control planes that are asked for a backup, and the variable with the token for each",
        handler=peers.peers,
        roles=ADMINS,
        answer=peers.PeersAnswer,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/fleet",
        summary="What each sidecar runs",
        handler=watching.fleet,
        roles=READERS | {Role.SIDECAR},
        answer=watching.FleetAnswer,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/health",
        summary="What is up and what is not",
        handler=watching.health,
        roles=READERS | MACHINES,
        answer=HealthReport,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/health/migration",
        summary="Where the data came from and where it is, side by side: counts, checksums, and what is wrong",
        handler=watching.migration,
        roles=PUBLISHERS,
        answer=Report,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/health/migration",
        summary="Save what the migration checker is certain of: ids, links to modules, defaults",
        handler=watching.mend,
        roles=frozenset({Role.ADMIN}),
        answer=Mended,
        form="saved",
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/health/heal",
        summary="Look at the database's schema now, and repair what nothing can be lost by",
        handler=watching.heal,
        roles=frozenset({Role.ADMIN}),
        answer=Outcome,
    ),
    Route(method="GET", path="/healthz", summary="The process lives", handler=watching.healthz),
    Route(
        method="GET",
        path="/readyz",
        summary="Whether the database or its mirror answers; 503 if not",
        handler=watching.readyz,
    ),
    Route(method="GET", path="/metrics", summary="Counts in the text format of Prometheus", handler=watching.metrics),
)
