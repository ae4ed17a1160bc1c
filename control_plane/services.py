"""What handlers work with: every service of the control plane, built once.

Counterpart: `app.py` builds them; `api/` and `admin/` use them. Never: a service that reaches for another through here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from control_plane.alerts import Alerts
from control_plane.attributes import Attributes, SavedGroups, Toggles
from control_plane.audit import Audit
from control_plane.backups.backups import Backups
from control_plane.backups.rescue import Rescue
from control_plane.backups.restoring import Verified
from control_plane.conflicts import Conflicts
from control_plane.errands import Errands
from control_plane.exchange import Exchange
from control_plane.experiments import Experiments
from control_plane.healer import Healer
from control_plane.health import Health
from control_plane.installation_settings import AdjustableSettings
from control_plane.kept_alerts import KeptAlerts
from control_plane.modules import Modules, Segments
from control_plane.moving.mending import MigrationChecker
from control_plane.mutations import Mutations
from control_plane.preview import Preview
from control_plane.preview_links import PreviewLinks
from control_plane.publishing import Publishing
from control_plane.rules_files import RulesFiles
from control_plane.schedules import Schedules
from control_plane.settings import ControlPlaneSettings
from control_plane.sign_ins import SignIns
from control_plane.store import Store
from control_plane.store.events import EventStore
from control_plane.telemetry import Telemetry
from control_plane.tokens import Tokens
from control_plane.undoing import Undoing


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All services of one process."""

    settings: ControlPlaneSettings
    tokens: Tokens
    mutations: Mutations
    experiments: Experiments
    modules: Modules
    segments: Segments
    attributes: Attributes
    saved_groups: SavedGroups
    toggles: Toggles
    alerts: Alerts
    kept_alerts: KeptAlerts
    schedules: Schedules
    events: EventStore
    adjustable: AdjustableSettings
    backups: Backups
    rescue: Rescue
    note_peers: Callable[[], Awaitable[None]]
    before_migration: Callable[[int], Awaitable[None]]
    try_backup: Callable[[str], Awaitable[Verified]]
    errands: Errands
    audit: Audit
    sign_ins: SignIns
    publishing: Publishing
    preview: Preview
    preview_links: PreviewLinks
    rules_files: RulesFiles
    undoing: Undoing
    migration: MigrationChecker
    conflicts: Conflicts
    store: Store
    exchange: Exchange
    healer: Healer
    health: Health
    telemetry: Telemetry


SERVICES = web.AppKey("services", Services)
