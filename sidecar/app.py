"""The one place where the parts of a worker are made and closed.

Counterparts: `workers` gives it a socket and asks what it is doing; tests pass doubles for the table and the rewriter.
Never: a process, a signal or the internal listener; those are the supervisor's.
"""

import asyncio
import gc
import random
import resource
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import uuid_utils

from service.engine import engine
from service.keys import Keys
from sidecar.context.visit import dated_unit
from sidecar.events.events import Events, Sink
from sidecar.events.outbox import Outbox
from sidecar.events.spool import SPOOL_BYTES_MIN, Spool
from sidecar.exchange import Tracing
from sidecar.inspection import Inspection
from sidecar.kill_switch import KillSwitch
from sidecar.origin.sites import Sites
from sidecar.origin.upstream import LINE_BYTES_MAX, READ_BYTES
from sidecar.proxy import Proxy
from sidecar.question import TableSource
from sidecar.rewriting.guard import Guard
from sidecar.rewriting.last_words import LastWords
from sidecar.rewriting.pages import PageRewriter
from sidecar.rewriting.quarantine import Held, MutationQuarantine, PageQuarantine
from sidecar.rewriting.rewriting import Isolation, OnRewritten, Rewriting
from sidecar.rewriting.verification import INTERVAL_S, Verification
from sidecar.settings import SidecarSettings
from sidecar.tables.tables import Tables
from sidecar.telemetry import (
    EventCollector,
    GuardCollector,
    OpinionCollector,
    OriginCollector,
    StatusCollector,
    Telemetry,
)
from sidecar.visitor.arrivals import Arrivals, connections_bound
from sidecar.visitor.connections import HeadLimits, VisitorServer
from sidecar.visitor.endings import emptied

NOTHING_HELD = Held()


class Application:
    """One worker's data plane. Made in a running event loop; `server` is a protocol factory for `create_server`."""

    def __init__(
        self,
        settings: SidecarSettings,
        *,
        tables: TableSource,
        rewriting: PageRewriter,
        verification: Verification,
        guard: Guard,
        outbox: Sink | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_unit: Callable[[], str] = lambda: dated_unit(str(uuid_utils.uuid4()), datetime.now(UTC)),
    ) -> None:
        self._settings = settings
        self._close_tracing: Callable[[], Awaitable[None]] = _nothing
        self.telemetry = Telemetry()
        self.sites = Sites(settings, entropy=random.Random(), answered=self.telemetry.answered_by)  # noqa: S311 - jitter
        self.telemetry.registry.register(StatusCollector(tables.status, rewriting.status))
        self.telemetry.registry.register(OriginCollector(self.sites.status))
        self.telemetry.registry.register(OpinionCollector(verification.status, verification.opinions))
        self.telemetry.registry.register(GuardCollector(guard.status))
        self.switch = KillSwitch(settings.kill_switch_file)
        for cause in ("file", "signal"):
            self.telemetry.switched_off.labels(cause).set_function(partial(_is_a_cause, self.switch, cause))
        self.events = Events(
            settings,
            outbox,
            now=now,
            entropy=random.Random(),  # noqa: S311 - which pages are told of
            run=secrets.token_hex(8),
        )
        self.telemetry.registry.register(EventCollector(self.events.status))
        self.proxy = Proxy(
            settings,
            sites=self.sites,
            tables=tables,
            rewriting=rewriting,
            telemetry=self.telemetry,
            quarantine=verification.quarantine,
            now=now,
            new_unit=new_unit,
            switch=self.switch,
            events=self.events,
            tracing=self._tracing(),
        )
        self.inspection = Inspection(
            tables,
            rewriting,
            self.telemetry,
            verification,
            self.events,
            self.switch,
            now,
            self.sites.status,
            guard=guard,
        )
        self._arrivals: Arrivals | None = None
        self.server = VisitorServer(
            self.proxy.handle,
            telemetry=self.telemetry,
            limits=HeadLimits(
                line_bytes=LINE_BYTES_MAX,
                fields=settings.head_fields_max,
                bytes=settings.head_bytes_max,
                seconds=settings.head_s,
            ),
            proxy_protocol=settings.proxy_protocol,
            keepalive_timeout=settings.idle_s,
            read_bufsize=READ_BYTES,
        )

    def _tracing(self) -> Tracing | None:
        """Traces, where they are told: nothing of OpenTelemetry is loaded for anybody else."""
        if not self._settings.traces_endpoint:
            return None
        from sidecar.tracing.delivery import Delivery  # noqa: PLC0415 - see above
        from sidecar.tracing.spans import SpanTracing  # noqa: PLC0415 - see above

        delivery = Delivery(self._settings, self.telemetry.span_told)
        delivery.start()
        self._close_tracing = delivery.close
        return SpanTracing(self._settings, delivery)

    def arrivals(self, listening: socket.socket, descriptors: int) -> Arrivals:
        """What takes connections from this socket, in a process that may open so many descriptors."""
        bound = connections_bound(self._settings.connections_max, descriptors)
        arrivals = Arrivals(
            listening, self.server, connections_max=bound, telemetry=self.telemetry, make_room=self.server.make_room
        )
        self.server.has_left = arrivals.left
        self._arrivals = arrivals
        self.telemetry.connections.set_function(lambda: arrivals.here)
        return arrivals

    async def close(self) -> None:
        """Let requests in progress finish, at most `drain_s`; then end what is left. Nobody connects any more by now.

        Responses say from now on that their connection ends. One that is idle ends after a moment, in which a request that
        was on its way finds somebody here.
        """
        self.proxy.draining = True
        await emptied(self._serves, self.server.pre_shutdown, self._settings.drain_s)
        await self.server.shutdown(0.1)
        await self.proxy.shadow.close()
        await self.sites.close()
        await self._close_tracing()
        await self.switch.close()

    def _serves(self) -> bool:
        """Whether anybody is here, or has been taken and is about to be."""
        return self.server.serves or (self._arrivals is not None and self._arrivals.here > 0)


async def _nothing() -> None:
    return None


def _is_a_cause(switch: KillSwitch, cause: str) -> float:
    return float(cause in switch.causes)


def tables_of(settings: SidecarSettings, instance: str, quarantine: MutationQuarantine) -> Tables:
    """The table's keeper, as the settings want it. `instance` names this worker in the fleet."""
    return Tables(
        redis_url=settings.redis_url or None,
        keys=Keys(settings.layout_mutation_environment),
        public_keys=settings.public_keys,
        snapshot_dir=Path(settings.snapshot_dir) if settings.snapshot_dir else None,
        instance=instance,
        workers=settings.worker_count,
        poll_s=settings.table_poll_s,
        held=quarantine.told,
        engine=engine(),
    )


def rewriting_of(
    settings: SidecarSettings,
    on_rewritten: OnRewritten | None = None,
    guard: Guard | None = None,
    last_words: LastWords | None = None,
) -> Rewriting:
    """The page rewriter, as the settings want it."""
    return Rewriting(
        isolation=Isolation.INLINE if settings.rewrite_inline else Isolation.CHILD,
        deadline_s=settings.rewrite_ms_max / 1000,
        page_bytes_max=settings.page_bytes_max,
        memo_bytes_max=settings.memo_bytes_max,
        skeleton_bytes_max=settings.skeleton_bytes_max,
        on_rewritten=on_rewritten,
        guard=guard,
        slow_us=settings.mutation_ms_max * 1000,
        last_words=last_words,
    )


def outbox_of(settings: SidecarSettings, instance: str) -> Outbox:
    """Where events go, as the settings want it. There must be a Redis."""
    spool = None
    if settings.snapshot_dir and settings.events_spool_bytes_max >= SPOOL_BYTES_MIN:
        spool = Spool(Path(settings.snapshot_dir) / "events", settings.events_spool_bytes_max)
    return Outbox(
        settings.redis_url,
        Keys(settings.layout_mutation_environment).events_of(instance),
        stream_entries_max=settings.events_stream_entries_max,
        spool=spool,
        entropy=random.Random(),  # noqa: S311 - jitter
    )


@asynccontextmanager
async def running(
    settings: SidecarSettings,
    listening: socket.socket,
    number: int,
    announce: Callable[[Held], None] = lambda _: None,
    *,
    switched_off: bool = False,
    held: Held = NOTHING_HELD,
    last_words: LastWords | None = None,
) -> AsyncIterator[Application]:
    """A worker's whole application, serving on `listening` until the block ends, then drained and closed.

    `announce` hears of mutations and pages that did harm here; `held` are those that are known to. `last_words`: where it
    leaves what it is at. `switched_off`: a signal did that before.
    """
    async with AsyncExitStack() as stack:
        quarantine = MutationQuarantine(time.monotonic)
        guard = Guard(
            quarantine,
            PageQuarantine(),
            table=lambda: tables.current,
            clock=time.monotonic,
            announce=announce,
        )
        guard.enter(held, asyncio.get_running_loop().time())
        instance = f"{socket.gethostname()}/{settings.listen}/{number}"
        tables = tables_of(settings, instance, quarantine)
        verification = Verification(
            share=settings.verify_share,
            quarantine=quarantine,
            table=lambda: tables.current,
            entropy=random.Random(),  # noqa: S311 - which pages are looked at, and jitter
            interval_s=INTERVAL_S,
        )
        rewriting = rewriting_of(settings, verification.consider, guard, last_words)
        stack.push_async_callback(tables.close)
        stack.push_async_callback(rewriting.close)
        stack.push_async_callback(verification.close)
        await tables.start()
        await rewriting.start()
        verification.start()
        outbox = outbox_of(settings, instance) if settings.events and settings.redis_url else None
        if outbox is not None:
            stack.push_async_callback(outbox.close)
            outbox.start()
        application = Application(
            settings, tables=tables, rewriting=rewriting, verification=verification, guard=guard, outbox=outbox
        )
        stack.push_async_callback(application.close)
        tables.switched_off = lambda: application.switch.causes
        application.switch.told(switched_off)
        await application.switch.start()
        application.sites.start()
        gc.collect()
        gc.freeze()  # what is there by now stays: a full collection would look at all of it, and take 50 ms of a visitor's time
        arrivals = application.arrivals(listening, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        stack.callback(arrivals.close)
        arrivals.open()
        yield application
