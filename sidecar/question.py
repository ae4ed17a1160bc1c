"""A visitor's request as the question that the origin is asked, and who it is that asks.

Counterparts: `proxy` sends the question and answers the visitor, `headers` and `validators` say what a question may carry,
`contexts` what rules see of who asks.
Never: a byte on the wire, or anything about a response.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Protocol

from aiohttp import web
from aiohttp.http import HttpVersion11
from msgspec import structs

from rules import previews
from rules.context import Context
from rules.decision import Decision, decide
from rules.previews import PARAMETER
from rules.table import DecisionTable
from sidecar.context import toggles, visit
from sidecar.context.contexts import Contexts
from sidecar.context.visit import Offer, Visit
from sidecar.exchange import Exchange
from sidecar.heads import eligibility, headers, local_mode, validators
from sidecar.heads.headers import Field, Forwarding
from sidecar.heads.local_mode import Place
from sidecar.heads.validators import Conditions
from sidecar.kill_switch import KillSwitch
from sidecar.origin.sites import Site
from sidecar.origin.upstream import Upload
from sidecar.previews import Previews
from sidecar.remembering import Remembering, consents
from sidecar.rewriting.quarantine import MutationQuarantine
from sidecar.settings import SidecarSettings
from sidecar.visitor.bodies import bounded
from sidecar.visitor.refusals import ASK_THE_WAY, hops_of
from sidecar.visitor.relay import Visitor


class TableSource(Protocol):
    """What `sidecar.tables.tables.Tables` is to the proxy."""

    @property
    def current(self) -> DecisionTable | None: ...

    def status(self) -> dict[str, object]: ...


WHOLE = Conditions(dropped=frozenset({b"if-none-match", b"if-modified-since", b"range", b"if-range"}))
"""The whole page, whatever the browser has of it."""
TRACE_FIELDS = frozenset({b"traceparent", b"tracestate"})
"""What a trace of ours replaces (W3C Trace Context, sections 3.2 and 3.3); without one they are fields like any other."""


class Questions:
    """Makes the questions of one worker."""

    def __init__(  # noqa: PLR0913 - each is a part, or what a test replaces
        self,
        settings: SidecarSettings,
        *,
        tables: TableSource,
        contexts: Contexts,
        quarantine: MutationQuarantine,
        remembering: Remembering,
        now: Callable[[], datetime],
        new_unit: Callable[[], str],
        switch: KillSwitch,
        previews: Previews,
    ) -> None:
        self._settings = settings
        self._previews = previews
        self._switch = switch
        self._tables = tables
        self._quarantine = quarantine
        self._remembering = remembering
        self._now = now
        self._new_unit = new_unit
        self._contexts = contexts

    async def prepare(self, exchange: Exchange) -> None:
        """Read the operator's switches, and adapt the conditions to what the origin can know."""
        given = exchange.request.headers
        exchange.toggles = toggles.read(given, self._settings.ops_token)
        if exchange.preview_token is not None and not self._switch.off:
            place = self.visiting(exchange)
            table = self._tables.current
            await self._previews.show(exchange, exchange.preview_token, table, site=place.host, path=place.path)
            if exchange.previewed:
                exchange.conditions = WHOLE
                return
        if not any(name in given for name in validators.FIELDS):
            return
        table = self._tables.current
        changes = eligibility.may_be_document(exchange.request.method, given, exchange.target)
        visiting = self.visiting(exchange)
        off = self._settings.shadow or self._switch.off or (exchange.toggles is not None and exchange.toggles.off)
        if table is None or off or not changes or self._settings.rollout == 0:
            exchange.conditions = validators.adapt(given, None)
            return
        exchange.table = table
        now = self._now()

        @cache  # a visitor says how many layouts there are, and all that is read of a request stays the same
        def seen() -> Context:
            return self._seen(exchange, table, None, now)

        @cache  # whether a page is owed is asked first, once for each layout
        def decided(layout_id: str | None) -> Decision:
            context = seen()
            if layout_id is not None:
                attributes = {**context.attributes, "layoutId": layout_id}
                context = structs.replace(context, layout_id=layout_id, attributes=attributes)
            return decide(table, self._remembering.recalled(exchange, table, context))

        def owes_page(layout_id: str | None) -> bool:
            return self.asks_the_page(exchange, table) or self._remembering.owes_page(exchange, decided(layout_id))

        inside = visit.in_rollout(self._settings.rollout, visiting)
        exchange.conditions = validators.adapt(given, decided, rewrites=inside, owes_page=owes_page)

    def head(self, exchange: Exchange, upload: Upload | None) -> bytes:
        """The head of the request to the origin. Raises ValueError where it can't be written safely."""
        request, conditions = exchange.request, exchange.conditions
        given = request.headers
        dropped = conditions.dropped
        if "Connection" in given:
            dropped = dropped | headers.connection_names(",".join(given.getall("Connection")))
        accepted = given.getall("Accept-Encoding", None)
        if exchange.trace is not None:
            dropped = dropped | TRACE_FIELDS
        fields: headers.Fields = request.raw_headers
        if PARAMETER in given.get("Referer", ""):
            fields = _without_token(fields)
        host = exchange.authority.encode("utf-8", "surrogateescape") or _site(exchange).authority
        forwarding: Forwarding | None = None
        if request.method in ASK_THE_WAY and (hops := hops_of(request)) is not None:
            fields = _nearer(fields, hops)
        if self._settings.local_mode:
            fields = local_mode.request_fields(fields, self.place(exchange))
            host = _site(exchange).authority
        else:
            trusted = self._settings.trust_forwarded
            forwarding = Forwarding(_peer(request), self.scheme(request), host, trusted)
        result = headers.to_origin(
            fields,
            dropped=dropped,
            host=host,
            forwarding=forwarding,
            accept_encoding=None if accepted is None else headers.codings_for_origin(", ".join(accepted)),
        )
        result.extend(conditions.added)
        if exchange.trace is not None:
            result.extend(exchange.trace.asks())
        if upload is not None:
            result.append((b"Transfer-Encoding", b"chunked") if upload.length is None else _length(upload.length))
            if upload.invite is not None:
                result.append((b"Expect", b"100-continue"))
        elif request.method not in {"GET", "HEAD", "OPTIONS", "TRACE"}:
            result.append(_length(0))
        if wants_websocket(request):
            result += [(b"Connection", b"Upgrade"), (b"Upgrade", given["Upgrade"].encode("utf-8", "surrogateescape"))]
        return headers.serialise(exchange.line, result)

    # ---- who asks

    def visiting(self, exchange: Exchange) -> Visit:
        """The request as a visit, made when it is first asked for."""
        if exchange.visit is None:
            request, settings = exchange.request, self._settings
            may, local = consents(settings, request.headers), settings.local_mode
            unit = visit.unit_of_today(request.headers, self._now, settings.unit_days) if may else None
            exchange.visit = Visit(
                scheme=_site(exchange).scheme if local else self.scheme(request),
                authority=_site(exchange).authority.decode() if local else exchange.authority,
                target=exchange.target,
                headers=request.headers,
                address=self._visitor_address(request),
                unit=unit,
                offer=Offer(self._new_unit) if unit is None and may else None,
            )
        return exchange.visit

    def context(self, exchange: Exchange, table: DecisionTable, layout_id: str | None) -> Context:
        """What rules see of who asks, for a page of that layout, at the present time."""
        return self._remembering.recalled(exchange, table, self._seen(exchange, table, layout_id, self._now()))

    def _seen(self, exchange: Exchange, table: DecisionTable, layout_id: str | None, now: datetime) -> Context:
        """The same without what is remembered of the visitor."""
        return self._contexts.of(
            self.visiting(exchange),
            table,
            now,
            said={"layoutId": layout_id, "page": exchange.page},
            toggles=exchange.toggles,
            held=self._quarantine.held(table),
        )

    def asks_the_page(self, exchange: Exchange, table: DecisionTable) -> bool:
        """Whether rules of this address read what the origin says of its page: then nothing is decided without it."""
        visiting = self.visiting(exchange)
        return "page" in table.asks(visiting.host, visiting.path)

    def scheme(self, request: web.BaseRequest) -> str:
        """`http` or `https`, as the visitor sees it: what a trusted proxy says, else what is spoken here."""
        if self._settings.trust_forwarded:
            given = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
            if given in {"http", "https"}:
                return given
        return "http"

    def _visitor_address(self, request: web.BaseRequest) -> str:
        """The peer; behind a trusted proxy the last address that it wrote down."""
        chain = request.headers.getall("X-Forwarded-For", ()) if self._settings.trust_forwarded else ()
        return ",".join(chain).rpartition(",")[2].strip() or _peer(request)

    def place(self, exchange: Exchange) -> Place:
        """Where the origin is and where the browser sees it, for local mode."""
        site = _site(exchange)
        return Place(
            upstream_scheme=site.scheme.encode(),
            upstream_authority=site.authority,
            local_authority=exchange.authority.encode("utf-8", "surrogateescape"),
        )


def _site(exchange: Exchange) -> Site:
    assert exchange.site is not None, "requests for hosts that are not served end in the proxy"
    return exchange.site


def _without_token(fields: headers.Fields) -> list[Field]:
    """The fields as they would be had the page before been visited without a preview link."""
    return [(name, _taken(value) if name.lower() == b"referer" else value) for name, value in fields]


def _nearer(fields: headers.Fields, hops: int) -> list[Field]:
    """The fields of a request that may be forwarded so many times, once that is done."""
    return [(name, b"%d" % (hops - 1) if name.lower() == b"max-forwards" else value) for name, value in fields]


def _taken(address: bytes) -> bytes:
    return previews.taken(address.decode("utf-8", "surrogateescape"))[0].encode("utf-8", "surrogateescape")


def upload(request: web.BaseRequest, visitor: Visitor, stall_s: float, bytes_max: int | None = None) -> Upload | None:
    """The request's body on its way to the origin, None without one; `stall_s` is how long its sender may pause.

    `bytes_max` bounds one whose length was not said.
    """
    if not request.body_exists:
        return None
    length = request.headers.get("Content-Length")
    waits = request.headers.get("Expect", "").strip().lower() == "100-continue" and request.version >= HttpVersion11
    return Upload(
        bounded(request, bytes_max) if length is None and bytes_max is not None else request.content,
        length=None if length is None else int(length),
        invite=visitor.invite if waits else None,
        stall_s=stall_s,
    )


def wants_websocket(request: web.BaseRequest) -> bool:
    """Whether the request asks for the one protocol that can be switched to here (aiohttp's parser knows no other)."""
    given = request.headers
    if "Upgrade" not in given or given["Upgrade"].strip().lower() != "websocket":
        return False
    return request.version >= HttpVersion11 and b"upgrade" in headers.connection_names(
        ",".join(given.getall("Connection", ()))
    )


def _peer(request: web.BaseRequest) -> str:
    return request.remote or ""


def _length(length: int) -> Field:
    return b"Content-Length", str(length).encode()
