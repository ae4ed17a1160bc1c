"""What is remembered of a visitor, at the time of one request: read from the cookie, handed to the decision, written back.

The page is remembered first and decided then. A page that could add something to what is remembered is for one visitor,
whoever asks: out of a shared cache it would add nothing. The browser is told with a whole page that a visitor sees (a GET
whose answer is 2xx HTML), and with a redirect in its place, but never with a 304: a shared cache may merge one into what it
keeps (RFC 9111 section 4.3.4).
Counterparts: `rules.remembering` says what a page adds, `state_cookie` signs, `proxy` asks in this order: `owes_page`,
`recalled`, `settle`.
Never: anything remembered, or read of what was, without a key or without the visitor's consent. Where that is missing, what
a browser still has, the unit id too, is removed by the same rules.
"""

from collections.abc import Callable

from msgspec import structs
from multidict import MultiMapping

from rules.context import Context
from rules.decision import Decision
from rules.remembering import Memory, assigned, attributes_of, is_news, recalled, remember
from rules.state import NOTHING_YET, State
from rules.table import DecisionTable
from sidecar.context import state_cookie, visit
from sidecar.context.state_cookie import Refusal, StateCookies
from sidecar.exchange import Exchange, Recollection
from sidecar.settings import SidecarSettings

_HEEDED: dict[str, tuple[str, ...]] = {
    "ignore": (),
    "gpc": ("Sec-GPC",),
    "dnt": ("DNT",),
    "both": ("Sec-GPC", "DNT"),
}


def consents(settings: SidecarSettings, headers: MultiMapping[str]) -> bool:
    """Whether the visitor may be given, and asked for, what stays in the browser.

    A signal that the settings heed goes before the consent cookie: Global Privacy Control (W3C, `Sec-GPC: 1`) and Do Not Track
    (`DNT: 1`).
    """
    if any(headers.get(name, "").strip() == "1" for name in _HEEDED[settings.privacy_signals]):
        return False
    return settings.consent == "implied" or visit.has_cookie(headers, settings.consent_cookie)


class Remembering:
    """The memory of one worker, which holds nothing itself. `refused` hears why a cookie did not count."""

    def __init__(self, settings: SidecarSettings, *, refused: Callable[[str], None]) -> None:
        self._settings = settings
        self._cookies = StateCookies(settings.state_keys_listed, days=settings.state_days)
        self._refused = refused

    def recalled(self, exchange: Exchange, table: DecisionTable, context: Context) -> Context:
        """The visit with what is remembered of it, this page included; the same visit where nothing is."""
        memory = table.memory
        if memory.is_empty or not self._cookies.enabled or self._settings.rollout == 0:
            return context
        known = exchange.recollection
        if known is None:
            known = self._begun(exchange, memory, context)
        if not known.consents:
            exchange.recollection = structs.replace(known, memory=memory, adds=memory.adds(context))
            return context
        grow = remember if exchange.counts else recalled
        after = grow(known.before, context, memory)
        exchange.recollection = structs.replace(known, memory=memory, after=after, adds=memory.adds(context))
        attributes = {**attributes_of(after, memory), **context.attributes}
        return structs.replace(context, attributes=attributes, assigned=after.assigned)

    def settle(self, exchange: Exchange, decision: Decision, *, secure: bool) -> None:
        """After the decision: what the browser must be told, and what that means for shared caches."""
        whole = exchange.counts and exchange.request.method == "GET"
        if whole and self._has_unit_without_consent(exchange):
            exchange.forgets_unit = exchange.private = True
        found = exchange.recollection
        if found is None:
            return
        if whole:
            exchange.state_cookie = self._told(found, decision, secure=secure)
        exchange.private = exchange.private or found.adds or exchange.state_cookie is not None

    def owes_page(self, exchange: Exchange, decision: Decision) -> bool:
        """Whether the browser would be told something: then it is to get the page, whatever it holds of it."""
        if self._has_unit_without_consent(exchange):
            return True
        found = exchange.recollection
        return found is not None and self._told(found, decision, secure=False) is not None

    def _has_unit_without_consent(self, exchange: Exchange) -> bool:
        """Whether the browser has a unit id that it should not keep."""
        headers = exchange.request.headers
        if self._settings.rollout == 0 or consents(self._settings, headers):
            return False
        return visit.has_cookie(headers, visit.UNIT_COOKIE)

    def _begun(self, exchange: Exchange, memory: Memory, context: Context) -> Recollection:
        headers = exchange.request.headers
        brought, may = bool(state_cookie.given(headers)), consents(self._settings, headers)
        before = NOTHING_YET
        if brought and may:
            found = self._cookies.read(headers, context.now)
            if isinstance(found, State):
                before = found
            elif isinstance(found, Refusal):
                self._refused(found.value)
        return Recollection(memory=memory, brought=brought, before=before, after=before, adds=False, consents=may)

    def _told(self, found: Recollection, decision: Decision, *, secure: bool) -> bytes | None:
        if not found.consents:
            return state_cookie.removed(secure=secure) if found.brought else None
        after = assigned(found.after, decision.remember, found.memory)
        if after.is_empty:
            return state_cookie.removed(secure=secure) if found.brought else None
        return self._cookies.written(after, secure=secure) if is_news(found.before, after, found.memory) else None
