"""The one place where things are built, started and closed.

The service listens before the database is there: `/healthz` says it lives, `/readyz` says what is missing. Where its mirror
has data, it answers from that; otherwise everything else answers 503 until the database is there. Counterpart:
`__main__.py` runs what is built here.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog
from aiohttp import web

from control_plane import admin, anchors, api, stores
from control_plane.alerts import Alerts
from control_plane.attributes import Attributes, SavedGroups, Toggles
from control_plane.audit import Audit
from control_plane.auditing.checkpoints import Checkpoints
from control_plane.backups import peers
from control_plane.backups.backups import Backups, before_migration
from control_plane.backups.configured import interval, kept_of
from control_plane.backups.rescue import Rescue
from control_plane.beginning import Beginning
from control_plane.conditions import Conditions
from control_plane.conflicts import Conflicts
from control_plane.errands import Errands
from control_plane.event_streams import EventStreams
from control_plane.exchange import Exchange
from control_plane.experiments import Experiments
from control_plane.gate import Gate
from control_plane.healer import Healer
from control_plane.health import Health
from control_plane.ingestion import Ingestion
from control_plane.installation_settings import AdjustableSettings
from control_plane.judge import Judge
from control_plane.kept_alerts import KeptAlerts
from control_plane.modules import Modules, Segments
from control_plane.moving.mending import MigrationChecker
from control_plane.moving.moves import Hooks
from control_plane.moving.places import opened, place_of
from control_plane.moving.settling import Settling, Source
from control_plane.moving.whereabouts import Whereabouts
from control_plane.mutations import Mutations
from control_plane.origin_pages import OriginPages
from control_plane.preview import Preview
from control_plane.preview_links import PreviewLinks
from control_plane.publishing import Publishing
from control_plane.rewriter import Rewriter
from control_plane.rules_files import RulesFiles
from control_plane.schedules import Schedules
from control_plane.schema import throwaway
from control_plane.services import SERVICES, Services
from control_plane.settings import LOCAL_PREFIX, ControlPlaneSettings, StoreName
from control_plane.sign_ins import SignIns
from control_plane.signing import Signer
from control_plane.store import Chain, Store
from control_plane.store.chain import configured
from control_plane.store.events import NoEvents
from control_plane.store.local import LocalStore
from control_plane.store.mirror.keeping import FILE_NAME, MirrorFile
from control_plane.store.mirror.lease import Alone
from control_plane.store.mirrored import MirroredStore, standing_of
from control_plane.store.postgres import PostgresStore
from control_plane.table_copy import TableCopy
from control_plane.telemetry import Telemetry
from control_plane.tokens import Tokens
from control_plane.undoing import Undoing
from control_plane.writers_lease import WritersLease
from rules.limits import RULES_FILE_BYTES_MAX
from service.clock import now
from service.engine import engine
from service.keys import Keys

BACKUP_AGE_EVERY = timedelta(minutes=15)
SWEEP_EVERY = timedelta(days=1)
BACKUP_TRIAL_EVERY = timedelta(days=7)
CANCEL_AGAIN_S = 1.0  # a task that is still there by then is told once more to end
PARTITIONS_AHEAD_DAYS = 7  # so long everything works without the schedule that makes them

log = structlog.get_logger("app")


class _Trial(NamedTuple):
    """What tries changes on pages before visitors do."""

    pages: OriginPages
    rewriter: Rewriter
    judge: Judge


class _Documents(NamedTuple):
    """Each kind after those that it may refer to."""

    saved_groups: SavedGroups
    attributes: Attributes
    segments: Segments
    modules: Modules
    experiments: Experiments
    mutations: Mutations
    toggles: Toggles


def create(
    settings: ControlPlaneSettings, *, clock: Callable[[], datetime] = now, judge: Judge | None = None
) -> web.Application:
    """The application with its services; nothing is connected before it starts. Raises ValueError for a bad URL.

    `judge` gives second opinions; its own one where it is left out.
    """
    chain = configured(settings.audit_keys, settings.signing_key)
    by = _Trial(OriginPages(settings.origins), Rewriter(), judge or Judge())
    services = _services(settings, chain, by, clock)
    app = web.Application(client_max_size=RULES_FILE_BYTES_MAX)
    app[SERVICES] = services
    api.mount(app, services)
    admin.routes(app, services)
    _schedule(services, chain)
    begin = Beginning(services, chain, _settling(settings, chain, _source(settings, chain), services.alerts))
    if isinstance(services.store, MirroredStore):
        services.store.prepare, services.store.approve = begin.prepare, services.conflicts.approve
    app.cleanup_ctx.append(_running(services, begin, by))
    return app


def _services(settings: ControlPlaneSettings, chain: Chain, by: _Trial, clock: Callable[[], datetime]) -> Services:
    alerts = Alerts(instance=f"{socket.gethostname()}:{settings.address[1]}", clock=clock)
    exchange = Exchange(settings.redis_url, Keys(settings.layout_mutation_environment))
    signer = Signer(settings.signing_key)
    kept = kept_of(settings)
    around, known = peers.peers_of(settings), Whereabouts(Path(settings.data_dir)).installation
    rescue = Rescue(kept, exchange, signer, chain, alerts, clock=clock, peers=around, known=known)
    store = _store(settings, chain, alerts, exchange, rescue, clock)
    adjustable = AdjustableSettings(store, alerts, clock=clock)
    backups = Backups(store, kept, alerts, clock=clock)
    database = "" if stores.schema_of(settings) is None else settings.database_url
    copy = TableCopy(Path(settings.data_dir))
    publishing = Publishing(store, exchange, signer, copy, alerts=alerts, clock=clock, engine=engine())
    telemetry = Telemetry()
    healer = _healer(settings, store, alerts, telemetry, clock)
    publishing.check_interval_s = lambda: adjustable.current().check_interval_s
    documents = _documents(settings, store, publishing, Gate(by.pages, by.rewriter, by.judge))
    audit = Audit(
        store,
        chain,
        alerts,
        clock=clock,
        anchors=partial(anchors.of_service, store, kept),
        checkpoints=Checkpoints(Path(settings.data_dir)),
        telemetry=telemetry,
    )
    return Services(
        settings=settings,
        tokens=Tokens(settings.jwt_secret, issuer=settings.jwt_issuer, audience=settings.jwt_audience),
        mutations=documents.mutations,
        experiments=documents.experiments,
        modules=documents.modules,
        segments=documents.segments,
        attributes=documents.attributes,
        saved_groups=documents.saved_groups,
        toggles=documents.toggles,
        alerts=alerts,
        kept_alerts=KeptAlerts(
            store, alerts, clock=clock, history=lambda: timedelta(days=adjustable.current().alerts_kept_days)
        ),
        schedules=Schedules(store, alerts, clock=clock),
        adjustable=adjustable,
        events=store.events if isinstance(store, MirroredStore) else NoEvents(),
        backups=backups,
        rescue=rescue,
        note_peers=partial(peers.note, around, store, clock),
        before_migration=before_migration(database, kept, chain, clock, pooled=settings.database_pooled),
        try_backup=partial(backups.verify, url=database, chain=chain, pooled=settings.database_pooled),
        errands=Errands(clock=clock),
        audit=audit,
        sign_ins=SignIns(store, audit, alerts, clock=clock),
        publishing=publishing,
        preview=Preview(store, publishing, by.pages, by.rewriter, by.judge, clock=clock),
        preview_links=PreviewLinks(store, signer, site_urls=settings.site_urls, clock=clock),
        undoing=Undoing(store, publishing, documents),
        rules_files=RulesFiles(store, publishing, documents),
        migration=MigrationChecker(
            store, place_of(settings.store_address), publishing, documents, _beside(settings, _source(settings, chain))
        ),
        conflicts=Conflicts(store, publishing, documents, alerts),
        store=store,
        exchange=exchange,
        healer=healer,
        health=Health(store, exchange, publishing, healer),
        telemetry=telemetry,
    )


def _healer(
    settings: ControlPlaneSettings,
    store: Store,
    alerts: Alerts,
    telemetry: Telemetry,
    clock: Callable[[], datetime],
) -> Healer:
    address = stores.schema_of(settings)
    if not isinstance(store, MirroredStore):
        return Healer(address, store, alerts, telemetry, clock=clock)
    return Healer(address, store, alerts, telemetry, clock=clock, copy_of=store.copy_of, foreign=lambda: store.foreign)


def _documents(settings: ControlPlaneSettings, store: Store, publishing: Publishing, gate: Gate) -> _Documents:
    return _Documents(
        saved_groups=SavedGroups(store, publishing),
        attributes=Attributes(store, publishing),
        segments=Segments(store, publishing),
        modules=Modules(store, publishing),
        experiments=Experiments(store, publishing),
        mutations=Mutations(store, publishing, gate, stores.index_of(settings, store)),
        toggles=Toggles(store, publishing),
    )


def _schedule(services: Services, chain: Chain) -> None:
    """What is done regularly."""

    async def make_room() -> None:
        await services.events.make_room(PARTITIONS_AHEAD_DAYS)

    async def forget_events() -> None:
        settings = services.adjustable.current()
        events, rollups = timedelta(days=settings.events_kept_days), timedelta(days=settings.rollups_kept_days)
        await services.events.forget(events, rollups, services.publishing.now())

    services.schedules.every("make_event_partitions", timedelta(hours=6), make_room)
    services.schedules.every("forget_events", timedelta(hours=1), forget_events)
    backups, settings = services.backups, services.settings
    verify_every = interval(settings.audit_verify_every, "CONTROL_PLANE_AUDIT_VERIFY_EVERY")
    if verify_every is not None:
        services.schedules.every("verify_audit", verify_every, services.audit.verify_regularly)
    database = "" if stores.schema_of(settings) is None else settings.database_url
    if database:
        swept = partial(throwaway.sweep, database, pooled=settings.database_pooled)
        services.schedules.every("sweep_trials", SWEEP_EVERY, swept)
    if backups.every is not None:
        trial = partial(backups.try_latest, database, chain, pooled=settings.database_pooled)
        services.schedules.every("backup", backups.every, backups.scheduled)
        services.schedules.every("backup_age", BACKUP_AGE_EVERY, backups.look)
        services.schedules.every("backup_trial", BACKUP_TRIAL_EVERY, trial)
    if around := peers.peers_of(settings):
        services.schedules.every("ask_peers", peers.LOOK_EVERY, partial(peers.look, around, services.alerts))


def _store(
    settings: ControlPlaneSettings,
    chain: Chain,
    alerts: Alerts,
    exchange: Exchange,
    rescue: Rescue,
    clock: Callable[[], datetime],
) -> Store:
    """The store that the settings name; a database has a mirror beside it."""
    primary = stores.built(settings, chain)
    if not isinstance(primary, PostgresStore):
        return primary
    mirror = MirrorFile(Path(settings.data_dir) / FILE_NAME, partial(LocalStore, chain=chain), alerts, clock=clock)
    key = Keys(settings.layout_mutation_environment).writer
    lease = Alone() if settings.alone else WritersLease(exchange, key, f"{alerts.instance} ({os.getpid()})")
    return MirroredStore(primary, mirror, lease, alerts, clock=clock, sources=rescue.sources())


def _source(settings: ControlPlaneSettings, chain: Chain) -> Source | None:
    """The store that the data is to come from: the one that is named, or the one that was in use before `store` was changed."""
    in_database = settings.store is StoreName.POSTGRES
    other = f"{LOCAL_PREFIX}{settings.local_file}" if in_database else settings.database_url
    text, given = (settings.move_from, True) if settings.move_from else (other, False)
    return Source(place_of(text), lambda: opened(text, chain), given) if text else None


def _beside(settings: ControlPlaneSettings, source: Source | None) -> Source | None:
    """What the migration checker compares with: the store that was named, or a file that a move left behind."""
    left = settings.store is StoreName.POSTGRES and Path(settings.local_file).exists()
    return source if source is not None and (source.given or left) else None


def _settling(settings: ControlPlaneSettings, chain: Chain, source: Source | None, alerts: Alerts) -> Settling:
    """What is done about a store that is not the one of the last start."""
    named, pooled = settings.store_address, settings.database_pooled
    target = Source(place_of(named), lambda: opened(named, chain, pooled=pooled, to_write=True))
    hooks = Hooks(settings.move_before, settings.move_after)
    sources = [] if source is None else [source]
    return Settling(Whereabouts(Path(settings.data_dir)), target, sources, hooks, alerts, chain)


def _running(services: Services, begin: Beginning, by: _Trial) -> Callable[[web.Application], AsyncIterator[None]]:
    """Start in the background, and close in the opposite order."""

    async def context(_: web.Application) -> AsyncIterator[None]:
        work = asyncio.create_task(_work(services, begin), name="control-plane")
        work.add_done_callback(_report)
        yield
        services.publishing.stop()
        await services.errands.close()
        work.cancel()
        await asyncio.wait([work])
        await by.rewriter.close()
        await by.judge.close()
        await by.pages.close()
        await services.mutations.close()
        await services.store.close()
        await services.exchange.close()

    return context


async def _work(services: Services, begin: Beginning) -> None:
    """Open the store, keep a database and its mirror together, and keep Redis up to date."""
    settings = services.settings
    streams = EventStreams(
        settings.redis_url, Keys(settings.layout_mutation_environment), consumer=services.alerts.instance
    )
    ingestion = Ingestion(streams, services.events, services.alerts, services.telemetry)
    tasks = [
        asyncio.create_task(services.publishing.keep_published(), name="keep-published"),
        asyncio.create_task(Conditions(services.health, services.alerts).watch(), name="watch-conditions"),
        asyncio.create_task(services.kept_alerts.keep(), name="keep-alerts"),
        asyncio.create_task(services.conflicts.keep(), name="keep-conflicts"),
        asyncio.create_task(services.schedules.keep(), name="keep-schedules"),
        asyncio.create_task(services.adjustable.keep(), name="keep-settings"),
        asyncio.create_task(services.sign_ins.keep(), name="keep-sign-ins"),
    ]
    if settings.audit_verify_every != "off":
        tasks.append(asyncio.create_task(services.audit.keep(), name="keep-audit-verified"))
    if not isinstance(services.events, NoEvents):  # else they stay where they are
        tasks.append(asyncio.create_task(ingestion.keep(), name="take-events"))
    store = services.store
    try:
        if isinstance(store, MirroredStore):
            await store.open()
            tasks.append(asyncio.create_task(store.keep(begin.recovered), name="keep-mirror"))
            await store.usable()
        else:
            await begin.alone()
        services.health.starting = ""
        log.info("ready", address=settings.listen, answers=standing_of(store).state)
        tasks.append(asyncio.create_task(services.healer.keep(), name="keep-schema"))
        await asyncio.gather(*tasks)
    finally:
        await _end(tasks)
        await streams.close()


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them until they have ended: a client in between may take a cancellation for the end of its own patience."""
    going_on = set(tasks)
    while going_on:
        for task in going_on:
            task.cancel()
        _, going_on = await asyncio.wait(going_on, timeout=CANCEL_AGAIN_S)


def _report(work: asyncio.Task[None]) -> None:
    """What nobody foresaw ends up in the log now, and not when the process ends."""
    if not work.cancelled() and (error := work.exception()) is not None:
        log.error("start_failed", exc_info=error)


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Listen; gives the port, which is chosen freely for 0. Raises OSError where the address is taken."""
    access_log = None  # `telemetry` counts, and a log of paths would hold what people typed
    running = web.AppRunner(app, access_log=access_log, shutdown_timeout=5.0, handle_signals=False)
    await running.setup()
    try:
        site = web.TCPSite(running, host, port)
        await site.start()
        yield int(running.addresses[0][1])
    finally:
        await running.cleanup()
