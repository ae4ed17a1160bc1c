"""People who sign in by a one-time link, also where nothing can be written down.

A link is used up in the store, so that it works once, whichever instance it is opened at. An instance that can only read remembers it in
its memory: there it works once too, but an instance that it can't talk to does not know. So what it opens then is small: looking, for an
hour. As soon as the store can be written, link and audit entry are in it, and a link that was used elsewhere as well is told of.
Counterparts: `tokens.py` makes and reads links, `admin/sign_in.py` is the door. Never: more than looking on the word of a memory alone, or
a link that is forgotten while it would still work.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from msgspec import Struct

from control_plane.alerts import Alerts, Severity
from control_plane.audit import Audit
from control_plane.intent import Action
from control_plane.store import AwayError, OutcomeUnknownError, ReadOnlyError, Store, StoreError
from control_plane.store.mirror.standing import State
from control_plane.store.mirrored import standing_of
from control_plane.tokens import (
    LEEWAY_SECONDS,
    SESSION_TTL_SECONDS,
    Actor,
    Permission,
    Role,
    Session,
    SignInLink,
    TokenError,
    TokenReason,
)

T = TypeVar("T")

LOOKING_TTL_SECONDS = 3_600
HELD_MAX = 1_000  # some 500 KB; each takes a link of ours, so that nobody else can fill it
TELL_INTERVAL_S = 5.0
UNTOLD, USED_TWICE = "sign_ins_untold", "sign_in_link_used_twice"

log = structlog.get_logger("sign_ins")


class SignedIn(Struct, frozen=True):
    """Somebody may pass."""

    actor: Actor
    ttl_seconds: int = SESSION_TTL_SECONDS
    link_role: Role | None = None
    """The role of the link, where the session may look alone, because it could not be used up in the store."""


class _Held(Struct, kw_only=True):
    """What the store does not have yet."""

    actor: Actor
    action: Action
    at: datetime
    origin: str
    reason: str
    expires_at: datetime
    used_up: bool
    """The store has the link."""
    unsure: bool = False
    """Nobody knows whether an attempt of ours to use it up came through: that it is used says nothing then."""


class SignIns:
    """The sign-ins at one instance."""

    def __init__(self, store: Store, audit: Audit, alerts: Alerts, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._audit = audit
        self._alerts = alerts
        self._clock = clock
        self._held: dict[str, _Held] = {}
        """By id of the link, or of a session that ended."""
        self._wake = asyncio.Event()

    async def redeem(self, link: SignInLink, origin: str) -> SignedIn:
        """Use a link up, and note who came; raises TokenError where it was used before, StoreError where nothing can be read either.

        The role of the link must be one that has pages.
        """
        if not link.actor.may(Permission.READ):
            raise ValueError(f"the role {link.actor.role} has no pages")
        self._check_unused(link)
        used_up = False
        try:
            if not await _again_if_away(lambda: self._store.use_sign_in(link.id, link.expires_at)):
                raise _used()
            used_up = True
            await _again_if_away(
                lambda: self._audit.record(link.actor, Action.SIGNED_IN, link.actor.subject, origin=origin)
            )
        except OutcomeUnknownError:
            raise
        except StoreError as error:
            await self._store.position()  # where nothing can be read there is nothing to look at
            return self._to_look(link, origin, str(error), used_up=used_up)
        return SignedIn(link.actor)

    async def leave(self, session: Session, origin: str) -> None:
        """Note that somebody left, now or when it can be; whoever wants to leave is never kept."""
        try:
            await self._audit.record(session.actor, Action.SIGNED_OUT, session.actor.subject, origin=origin)
        except StoreError as error:
            log.warning("signed_out_untold", subject=session.actor.subject, origin=origin, problem=str(error))
            if len(self._held) < HELD_MAX:
                self._hold(session.id, session.actor, Action.SIGNED_OUT, origin, "", session.expires_at, used_up=True)

    async def keep(self) -> None:
        """Until cancelled: bring what is held to the store as soon as that can be written."""
        while True:
            await self._wake.wait()
            try:
                await self.tell()
            except StoreError:
                pass  # `conditions.py` says that the store is away
            except Exception as error:  # a loop that an unforeseen error can end would keep it from the audit for good
                log.exception("sign_ins_not_told", error=type(error).__name__)
            if self._held:
                await asyncio.sleep(TELL_INTERVAL_S)
            else:
                self._wake.clear()

    async def tell(self) -> None:
        """Bring it there now, where the store itself answers: only that knows which links were used elsewhere. Raises StoreError."""
        if standing_of(self._store).state is not State.PRIMARY:
            return
        for held_id, held in list(self._held.items()):
            if not held.used_up:
                await self._use_up(held_id, held)
            await self._audit.record(held.actor, held.action, held.actor.subject, held.reason, held.origin)
            del self._held[held_id]
        self._report()

    async def _use_up(self, link_id: str, held: _Held) -> None:
        try:
            unused = await self._store.use_sign_in(link_id, held.expires_at)
        except OutcomeUnknownError:
            held.unsure = True
            raise
        held.used_up = True
        if unused or held.unsure:
            return
        held.reason += "; the link was used at another instance as well"
        log.warning("sign_in_link_used_twice", subject=held.actor.subject, origin=held.origin)
        self._alerts.report(
            USED_TWICE,
            Severity.INFO,
            f"A sign-in link of {held.actor.subject} was used at two instances.",
            "Ask whether that was one person, who pressed the button twice, maybe just as the database went away. If not, somebody else has seen the link: the audit says from "
            "where it was used; another CONTROL_PLANE_JWT_SECRET ends all links, sessions and tokens at once.",
            f"here at {held.at:%Y-%m-%d %H:%M:%S} UTC ({held.origin}), while this instance could only read",
        )

    def _to_look(self, link: SignInLink, origin: str, problem: str, *, used_up: bool) -> SignedIn:
        """A session that may look alone. Nothing is awaited between the look whether the link is held and the holding."""
        self._check_unused(link)
        self._make_room()
        actor, role = Actor(link.actor.subject, Role.VIEWER), link.actor.role
        reason = f"at {self._clock():%Y-%m-%d %H:%M:%S} UTC, while {self._alerts.instance} could only read: to look, with a link for {role}"
        self._hold(link.id, actor, Action.SIGNED_IN, origin, reason, link.expires_at, used_up=used_up)
        log.warning("signed_in_to_look", subject=actor.subject, link_role=role, origin=origin, problem=problem)
        return SignedIn(actor, LOOKING_TTL_SECONDS, role)

    def _hold(
        self,
        held_id: str,
        actor: Actor,
        action: Action,
        origin: str,
        reason: str,
        expires_at: datetime,
        *,
        used_up: bool,
    ) -> None:
        self._held[held_id] = _Held(
            actor=actor,
            action=action,
            at=self._clock(),
            origin=origin,
            reason=reason or f"at {self._clock():%Y-%m-%d %H:%M:%S} UTC",
            expires_at=expires_at,
            used_up=used_up,
        )
        self._report()
        self._wake.set()

    def _check_unused(self, link: SignInLink) -> None:
        if link.id in self._held:
            raise _used()

    def _make_room(self) -> None:
        """Let the oldest go that can't be used any more, the log has it; raises ReadOnlyError where all of them still could."""
        if len(self._held) < HELD_MAX:
            return
        ended = self._clock() - timedelta(seconds=LEEWAY_SECONDS)
        oldest = next((held_id for held_id, held in self._held.items() if held.expires_at < ended), None)
        if oldest is None:
            raise ReadOnlyError(f"{HELD_MAX} people signed in here while nothing can be written; try again in a while")
        del self._held[oldest]

    def _report(self) -> None:
        if not self._held:
            self._alerts.settle(UNTOLD)
            return
        names = sorted({held.actor.subject for held in self._held.values()})
        self._alerts.report(
            UNTOLD,
            Severity.WARNING,
            "The audit does not have yet who signed in or out here, as this instance can only read.",
            "Nothing for that: it is written down by itself when changes can be saved. Until then leave the instance running; the log has it too.",
            f"{len(self._held)} times: {', '.join(names)}",
        )


async def _again_if_away(work: Callable[[], Awaitable[T]]) -> T:
    """Who finds out that the database is away is refused; asked again, its mirror may answer."""
    try:
        return await work()
    except AwayError:
        return await work()


def _used() -> TokenError:
    return TokenError(
        TokenReason.USED, "this sign-in link was used before; make a new one with `layout-mutation token`"
    )


__all__ = ["SignIns", "SignedIn"]
