"""What people set for the whole installation while it runs: typed, bounded, described; every change is in the audit.

Counterpart: `settings.py` has what the environment says once, at the start. Never: a secret. Where a secret is needed, its
setting is the name of the environment variable that holds it.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, get_args

import msgspec
import structlog
from msgspec import Meta, Struct

from control_plane.alerts import Alerts, Severity
from control_plane.intent import Action, Intent
from control_plane.refusals import Refusal, Refused
from control_plane.store import Installation, Kept, Shelf, Store, StoredAudit, StoreError
from control_plane.tokens import Actor, Role

ROW = "installation"
INTERVAL_S = 2.0  # how soon the other instances hear of a change
UNREADABLE = "settings_unreadable"
SYSTEM = Actor("control-plane", Role.ADMIN)

log = structlog.get_logger("installation_settings")


class InstallationSettings(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All of them. What is left out has its default."""

    alerts_kept_days: Annotated[
        int, Meta(ge=7, le=3_650, title="Days that alerts are kept", description="Counted from when they were over.")
    ] = 90
    events_kept_days: Annotated[
        int,
        Meta(
            ge=1,
            le=400,
            title="Days that events are kept",
            description="Single executions, exposures and conversions; older ones are only in the hourly counts.",
        ),
    ] = 30
    rollups_kept_days: Annotated[
        int, Meta(ge=1, le=3_650, title="Days that hourly counts are kept", description="What reports are made from.")
    ] = 400
    check_interval_s: Annotated[
        float,
        Meta(
            ge=0.2,
            le=60,
            title="Seconds between looks at Redis",
            description="How soon a Redis that lost the decision table gets it again.",
        ),
    ] = 1.0


class Setting(Struct, frozen=True, kw_only=True):
    """One of them, for forms: `name` as in JSON."""

    name: str
    title: str
    description: str
    least: float
    most: float
    whole: bool


class SettingsAt(Struct, frozen=True):
    """All of them, and the number of the change that made them so; 0 for defaults that nobody has written."""

    settings: InstallationSettings
    change: int


class AdjustableSettings:
    """The settings of the installation, as this instance knows them."""

    def __init__(self, store: Store, alerts: Alerts, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._alerts = alerts
        self._clock = clock
        self._at = SettingsAt(InstallationSettings(), 0)
        self._seen: tuple[Installation | None, int] | None = None

    def current(self) -> InstallationSettings:
        """What holds now; no I/O."""
        return self._at.settings

    async def read(self) -> SettingsAt:
        """What holds now, as the store says; raises StoreError."""
        position = await self._store.position()
        if self._seen != (position.installation, position.change):
            self._take(await self._store.kept(Shelf.SETTING, ROW))
            self._seen = (position.installation, position.change)
        return self._at

    async def seed(self) -> None:
        """Write the defaults down where nothing is; raises StoreError."""
        if await self._store.kept(Shelf.SETTING, ROW) is not None:
            return
        async with self._store.transaction() as transaction:
            if await transaction.kept(Shelf.SETTING, ROW) is None:  # another instance may have been faster
                await transaction.keep(Shelf.SETTING, ROW, msgspec.json.encode(InstallationSettings()), self._clock())

    async def put(self, settings: InstallationSettings, intent: Intent) -> SettingsAt:
        """Replace all of them; each that differs is noted with before and after.

        Raises Refused (`reason_required`, `version_conflict`: `intent.expected_version` is the change that was seen), StoreError.
        """
        if not intent.reason:
            raise Refused(Refusal.REASON_REQUIRED, "say in `reason` why the settings change")
        async with self._store.transaction() as transaction:
            thing = await transaction.kept(Shelf.SETTING, ROW)
            there = 0 if thing is None else thing.change
            if intent.expected_version is not None and intent.expected_version != there:
                raise Refused(
                    Refusal.VERSION_CONFLICT,
                    f"the settings are at change {there}, you saw {intent.expected_version}; read them again and repeat yours",
                )
            before = _decoded(thing) or InstallationSettings()
            notes = _differences(before, settings)
            if notes or thing is None:
                await transaction.keep(Shelf.SETTING, ROW, msgspec.json.encode(settings), self._clock())
            for name, words in notes:
                await transaction.add_audit(self._entry(intent, name, words))
        return await self.read()

    async def keep(self) -> None:
        """Until cancelled: hear of changes that other instances made."""
        while True:
            try:
                await self.read()
            except StoreError:
                pass  # the last ones known hold
            except Exception as error:  # a loop that an unforeseen error can end would keep old settings for ever
                log.exception("settings_not_read", error=type(error).__name__)
            await asyncio.sleep(INTERVAL_S)

    def _take(self, thing: Kept | None) -> None:
        """What is kept; the last ones known stay where it can't be read."""
        if thing is None:
            self._at = SettingsAt(InstallationSettings(), 0)
            return
        settings = _decoded(thing)
        if settings is None:
            self._alerts.report(
                UNREADABLE,
                Severity.WARNING,
                "The settings of the installation can't be read; the last ones that were known, or the defaults, hold.",
                "Save them again on the settings page. A newer version of the program may have written them.",
            )
            return
        self._alerts.settle(UNREADABLE)
        self._at = SettingsAt(settings, thing.change)

    def _entry(self, intent: Intent, name: str, words: str) -> StoredAudit:
        return StoredAudit(
            at=self._clock(),
            actor=intent.actor.subject,
            role=intent.actor.role,
            action=Action.UPDATED,
            kind="setting",
            subject=name,
            reason=f"{words}: {intent.reason}",
        )


def described() -> tuple[Setting, ...]:
    """Every setting, in the order of the struct."""
    return tuple(_described(field) for field in msgspec.structs.fields(InstallationSettings))


def _described(field: msgspec.structs.FieldInfo) -> Setting:
    kind, meta = get_args(field.type)[:2]
    return Setting(
        name=field.encode_name,
        title=meta.title or field.encode_name,
        description=meta.description or "",
        least=meta.ge,
        most=meta.le,
        whole=kind is int,
    )


def _differences(before: InstallationSettings, after: InstallationSettings) -> list[tuple[str, str]]:
    was: dict[str, Any] = msgspec.to_builtins(before)
    now: dict[str, Any] = msgspec.to_builtins(after)
    return [(name, f"{was[name]} → {value}") for name, value in now.items() if was[name] != value]


def _decoded(thing: Kept | None) -> InstallationSettings | None:
    """None for what this program can't read, such as settings that a newer one has."""
    if thing is None:
        return None
    try:
        return msgspec.json.decode(thing.content, type=InstallationSettings)
    except msgspec.MsgspecError:
        return None
