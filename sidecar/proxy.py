"""One request: forward, decide, rewrite, answer.

Whatever fails between the origin's answer and the first byte to the visitor, the visitor gets the origin's response:
`_guarded` is the one place that says so. Counterparts: `question` (what the origin is asked), `origin.upstream` (its end),
`visitor.relay` (the visitor's end), `rewriting.pages` (what happens to a page in between).
Never: a redirect followed, a cookie kept, a body buffered that will not be rewritten.
"""

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from functools import partial
from http import HTTPStatus
from time import perf_counter
from typing import Any, TypeVar

from aiohttp import web

from rules.context import PAGE_ATTRIBUTES
from rules.decision import Decision, decide
from rules.reasons import Reason
from rules.redirects import LASTING, Redirect
from rules.table import DecisionTable
from sidecar import question
from sidecar.access_log import AccessLog
from sidecar.context import visit
from sidecar.context.contexts import Contexts
from sidecar.context.toggles import Toggles
from sidecar.events.beacons import Beacons
from sidecar.events.events import Events
from sidecar.exchange import Exchange, Page, Passing, Tracing
from sidecar.heads import caching, eligibility, local_mode, timing, validators, variants
from sidecar.heads.headers import Field
from sidecar.kill_switch import KillSwitch
from sidecar.origin.sites import Sites
from sidecar.origin.upstream import (
    BrokenUploadError,
    OriginResponse,
    StalledUploadError,
    Trouble,
    UpstreamError,
)
from sidecar.previews import Previews
from sidecar.question import Questions, TableSource
from sidecar.remembering import Remembering
from sidecar.rewriting.pages import PageRewriter, Pages
from sidecar.rewriting.quarantine import MutationQuarantine
from sidecar.runtime import browser_script
from sidecar.settings import SidecarSettings
from sidecar.shadow import Copy, Shadow
from sidecar.tables.tables import verifier
from sidecar.telemetry import Telemetry
from sidecar.visitor import bodies, refusals, upgrade
from sidecar.visitor.relay import CLOSE, Visitor, Written, end_to_end

Result = TypeVar("Result")

OWN_PATH = "/.layout-mutation/"
"""Addresses below it are the engine's own and never reach the origin."""
EXPLANATION_CHARACTERS_MAX = 4000
LASTING_CACHED = b"max-age=3600"
"""For how long a 301 or 308 may be kept: long enough to spare requests, short enough to be taken back."""
_DETERMINED = frozenset({Reason.APPLIED, Reason.NO_RULES, Reason.NOTHING_MATCHED, Reason.NO_CHANGE})
"""What follows from the page and the decision, and would be the same again: no failure is kept for others."""
_PASSED = {reason: f"passed; reason={reason.value}".encode() for reason in Reason}
_HEADER = b"X-Layout-Mutation"


class Proxy:
    """Answers the requests of one worker."""

    def __init__(  # noqa: PLR0913 - each is a part, or what a test replaces
        self,
        settings: SidecarSettings,
        *,
        sites: Sites,
        tables: TableSource,
        rewriting: PageRewriter,
        telemetry: Telemetry,
        quarantine: MutationQuarantine,
        now: Callable[[], datetime],
        new_unit: Callable[[], str],
        switch: KillSwitch,
        events: Events,
        tracing: Tracing | None = None,
    ) -> None:
        self._settings = settings
        self._switch = switch
        self._sites = sites
        self._tables = tables
        self._pages = Pages(
            rewriting,
            telemetry,
            bytes_max=settings.page_bytes_max,
            wait_s=settings.buffer_ms_max / 1000,
            compresses=settings.compression == "pages",
        )
        self._variants = settings.variants
        self._telemetry = telemetry
        self._events = events
        self._tracing = tracing
        self._access_log = AccessLog(settings.access_log_share) if settings.access_log else None
        self._contexts = Contexts(settings, refused=telemetry.unit_token_refused)
        self._beacons = Beacons(settings, events, self._contexts.units_of, now=now)
        self._remembering = Remembering(settings, refused=telemetry.state_refused)
        self._questions = Questions(
            settings,
            tables=tables,
            contexts=self._contexts,
            quarantine=quarantine,
            remembering=self._remembering,
            now=now,
            new_unit=new_unit,
            switch=switch,
            previews=Previews(verifier(settings.public_keys), telemetry, now=now),
        )
        self.shadow = Shadow()
        self.draining = False
        """Each connection ends with its present response."""
        self._body_bytes_max = settings.body_bytes_max or None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; the response has left when this returns."""
        exchange = Exchange(request, request.headers.get("Host", ""))
        visitor = Visitor(request, draining=self._is_draining, stall_s=self._settings.stall_s)
        self._telemetry.in_progress.inc()
        if self._tracing is not None:
            exchange.trace = self._tracing.begin(exchange)
        try:
            if request.method in ("GET", "HEAD") and exchange.target.startswith(OWN_PATH):
                own = browser_script.answer(exchange.path, ",".join(request.headers.getall("Accept-Encoding", ())))
                if own is not None:
                    return await self._serve(exchange, visitor, *own)
            if self._beacons.takes(exchange):
                status, written = await self._beacons.answer(exchange, visitor)
                self._responded(exchange, visitor, "beacon", status)
                return written
            refused = refusals.refusal(request, exchange.target, exchange.authority)
            if exchange.target.startswith(OWN_PATH):
                refused = refused or (404, "There is nothing at this address.")
            if refused is None and self._body_bytes_max is not None and bodies.too_long(request, self._body_bytes_max):
                refused = 413, bodies.TOO_LONG
            if refused is not None:
                return await self._tell(exchange, visitor, *refused, reason="refused")
            return await self._forward(exchange, visitor)
        except ConnectionError:
            return CLOSE  # the visitor has left
        finally:
            self._telemetry.in_progress.dec()
            if exchange.trace is not None:
                exchange.trace.left(exchange)

    def _is_draining(self) -> bool:
        return self.draining

    # ---- the question

    async def _forward(self, exchange: Exchange, visitor: Visitor) -> Written:
        site = exchange.site = self._sites.of(exchange.authority)
        if site is None:
            return await self._tell(exchange, visitor, 421, "There is no such site here.", reason="refused")
        await self._guarded(exchange, self._questions.prepare(exchange), None)
        upload = question.upload(exchange.request, visitor, self._settings.upload_stall_s, self._body_bytes_max)
        try:
            head = self._questions.head(exchange, upload)
        except ValueError:
            return await self._tell(exchange, visitor, 400, "The request is broken.", reason="refused")
        try:
            origin = await site.send(exchange.request.method, head, upload, visitor.inform)
        except UpstreamError as error:
            return await self._apologise(exchange, visitor, error)
        except StalledUploadError:
            return await self._tell(exchange, visitor, 408, "The request did not come in time.", reason="refused")
        except BrokenUploadError:
            status, text = (413, bodies.TOO_LONG) if bodies.passed_limit(upload) else (400, "The request is broken.")
            return await self._tell(exchange, visitor, status, text, reason="refused")
        if exchange.trace is not None:
            exchange.trace.answered(origin.status)
        if upload is not None and upload.invite is not None and not upload.continued.is_set():
            visitor.close_after()  # the body that was announced may or may not follow
        try:
            return await self._answer(exchange, visitor, origin)
        except UpstreamError as error:
            return await self._apologise(exchange, visitor, error)
        finally:
            origin.close()

    # ---- the answer

    async def _answer(self, exchange: Exchange, visitor: Visitor, origin: OriginResponse) -> Written:
        request = exchange.request
        if origin.status == 101:
            if not question.wants_websocket(request):
                raise UpstreamError(Trouble.BAD_RESPONSE, "it changes to a protocol that was not asked for")
            self._responded(exchange, visitor, Reason.STATUS.value, 101)
            return await upgrade.splice(request, origin, [(_HEADER, _PASSED[Reason.STATUS])])
        response = await self._guarded(exchange, self._response(exchange, origin), None)
        exchange.content = None
        if isinstance(response, Page):
            exchange.prefix = b""  # the origin's bytes have done their part; a slow visitor need not hold them
            written = await visitor.send(response.status, response.reason, response.fields, response.body)
            self._responded(exchange, visitor, Reason.APPLIED.value, response.status)
            return written
        if response is None:
            response = await self._guarded(exchange, self._passing(exchange, origin, exchange.stage), None)
        if response is None:
            response = Passing(exchange.stage, [*end_to_end(origin), (_HEADER, _PASSED[exchange.stage])])
        visitor.copy = exchange.copy
        written = await visitor.relay(origin, response.fields, exchange.prefix)
        self._responded(exchange, visitor, response.reason.value, origin.status)
        if exchange.copy is not None and not self.shadow.begin(partial(self._tried, exchange, origin, exchange.copy)):
            self._telemetry.shadow_skipped.inc()
        return written

    async def _response(self, exchange: Exchange, origin: OriginResponse) -> Page | Passing:
        """What the visitor gets, complete but for framing."""
        if self._settings.shadow and exchange.toggles is None:  # who has a preview link has toggles
            return await self._passing(exchange, origin, self._copied(exchange, origin))
        outcome = await self._changed(exchange, origin)
        if self._settings.shadow and not exchange.previewed:
            outcome = outcome if isinstance(outcome, Reason) else Reason.SHADOW
        if isinstance(outcome, Reason):
            return await self._passing(exchange, origin, outcome)
        table_version = exchange.table.version if exchange.table is not None else 0
        value = b"applied; table=%d; mutations=%d" % (table_version, outcome.mutations)
        fields = self._dressed(exchange, outcome.fields, value, Reason.APPLIED)
        return Page(outcome.status, outcome.reason, fields, outcome.body, outcome.mutations)

    async def _passing(self, exchange: Exchange, origin: OriginResponse, reason: Reason) -> Passing:
        if self._settings.shadow:
            exchange.untouched()
        return Passing(reason, self._dressed(exchange, self._end_to_end(exchange, origin), _PASSED[reason], reason))

    async def _changed(self, exchange: Exchange, origin: OriginResponse) -> Page | Reason:
        """The response as the table wants it, or why it passes. Nothing has left for the visitor yet."""
        request = exchange.request
        if origin.status == 304 and exchange.conditions.confirms is not None:
            return self._confirmed(exchange, origin, exchange.conditions.confirms)
        refused = self._refused(exchange, origin)
        if refused is not None and not (refused is Reason.METHOD and request.method == "HEAD"):
            if not self._switch.off:
                self._keep_to_visitor(exchange, origin, refused)
            return refused
        if self._switch.off:
            return Reason.SWITCHED_OFF
        exchange.counts = exchange.counts and origin.status < 300
        exchange.table = table = exchange.own_table or self._tables.current
        if table is None:
            return Reason.NO_TABLE
        if exchange.toggles is not None and exchange.toggles.off:
            return Reason.SWITCHED_OFF
        if self._questions.asks_the_page(exchange, table):
            exchange.edited_head = refused is not None
            await self._pages.hear(exchange, origin, whole=refused is None)
        decision = self._decided(exchange, table, origin.headers.get("X-Layout-Id"))
        if not decision.applies:
            return exchange.content if isinstance(exchange.content, Reason) else Reason.NO_RULES
        inside = exchange.previewed or visit.in_rollout(self._settings.rollout, self._questions.visiting(exchange))
        if not inside:
            return Reason.ROLLOUT
        if decision.redirect is not None:
            return self._redirected(exchange, origin, decision.redirect)
        if refused is not None:
            exchange.edited_head = True
            return refused
        exchange.stage = Reason.REWRITE_FAILED
        return await self._pages.rewritten(exchange, origin, decision, self._end_to_end(exchange, origin))

    def _refused(self, exchange: Exchange, origin: OriginResponse) -> Reason | None:
        """Why the response is none to rewrite, by the two heads alone."""
        given, bytes_max = exchange.request.headers, self._settings.page_bytes_max
        return eligibility.refusal(exchange.request.method, origin.status, given, origin.headers, bytes_max=bytes_max)

    def _keep_to_visitor(self, exchange: Exchange, origin: OriginResponse, refused: Reason) -> None:
        """What is no page, and speaks for one: a piece that a client library asked for must not come out of a shared cache
        as the page that others get; a 206 or 304 says of its page what that would say of itself (RFC 9110 15.3.7, 15.4.5)."""
        if origin.status in {206, 304} and exchange.recollection is not None:
            exchange.private = exchange.recollection.adds
        elif refused is Reason.PARTIAL and (table := self._tables.current) is not None:
            exchange.counts = False
            decision = self._decided(exchange, table, origin.headers.get("X-Layout-Id"))
            may_change = decision.applies or self._questions.asks_the_page(exchange, table)
            exchange.private, exchange.sets_unit = exchange.private or may_change, False

    def _decided(self, exchange: Exchange, table: DecisionTable, layout_id: str | None) -> Decision:
        visiting = self._questions.visiting(exchange)
        exchange.decide_began = began = perf_counter()
        context = self._questions.context(exchange, table, layout_id)
        decision = decide(table, context, redirects=exchange.request.method in {"GET", "HEAD"})
        exchange.decide_s = perf_counter() - began
        self._telemetry.decide_s.observe(exchange.decide_s)
        exchange.decision = decision
        exchange.explanation.update((outcome.mutation_id, outcome.reason) for outcome in decision.outcomes)
        gets_unit = visit.UNIT_COOKIE in decision.units and visiting.offer is not None
        exchange.sets_unit = gets_unit and not exchange.previewed
        # Who is in a partial rollout depends on the visitor, whatever the rules themselves look at.
        partial = self._settings.rollout < 1 and decision.applies
        exchange.private = decision.private or partial or exchange.sets_unit
        self._remembering.settle(exchange, decision, secure=self._questions.scheme(exchange.request) == "https")
        return decision

    def _confirmed(self, exchange: Exchange, origin: OriginResponse, etag: str) -> Page:
        table = exchange.table
        own = validators.read(etag)
        assert table is not None
        assert own is not None
        decision = self._decided(exchange, table, own.layout_id)
        exchange.sets_unit, exchange.forgets_unit, exchange.state_cookie = False, False, None
        if decision.redirect is not None:  # it began while the origin was asked
            return self._redirected(exchange, origin, decision.redirect)
        return self._pages.revalidated(origin, self._end_to_end(exchange, origin), etag, len(decision.groups))

    def _redirected(self, exchange: Exchange, origin: OriginResponse, redirect: Redirect) -> Page:
        """Another address in place of the page, whose body is not even read. A browser that keeps one keeps it for ever,
        so a lasting one goes out with a term, or not to be stored at all where another visit might not get it."""
        exchange.sets_unit, fields = False, end_to_end(origin)
        # Which layout a page has, and what it says of itself, may be so for this visitor alone: then the origin says so.
        exchange.private = exchange.private or caching.is_closed(fields)
        lasts = redirect.lasts and not exchange.private and "Set-Cookie" not in origin.headers
        kept = (LASTING_CACHED if lasts else b"no-store") if redirect.status in LASTING else b"no-cache"
        fields = caching.redirecting(fields, redirect.location, kept)
        if self._settings.local_mode:
            fields = local_mode.response_fields(fields, self._questions.place(exchange))
        return Page(redirect.status, HTTPStatus(redirect.status).phrase.encode(), fields, b"", 1)

    def _end_to_end(self, exchange: Exchange, origin: OriginResponse) -> list[Field]:
        fields = end_to_end(origin)
        if self._settings.local_mode:
            fields = local_mode.response_fields(fields, self._questions.place(exchange))
        return fields

    def _dressed(self, exchange: Exchange, fields: list[Field], value: bytes, reason: Reason) -> list[Field]:
        """The fields with what the decision means for caches, the unit cookie, and our own header."""
        if exchange.edited_head:
            fields = self._pages.head_of_edited(fields)
        if exchange.decision is not None:
            fields = caching.by_whole_address(fields, exchange.decision.reads)
        if exchange.toggles is not None:
            fields = caching.not_stored(fields)
        elif exchange.private:
            fields = self._kept_apart(exchange, fields, reason)
        if (cookie := self._unit_cookie(exchange)) is not None:
            fields.append((b"Set-Cookie", cookie))
        if exchange.state_cookie is not None:
            fields.append((b"Set-Cookie", exchange.state_cookie))
        if exchange.toggles is not None and exchange.toggles.explain:
            fields.append((b"X-Layout-Mutation-Explain", _explained(exchange.toggles, exchange.explanation)))
        if self._tells_time(exchange):
            took = timing.told(reason.value, decide_s=exchange.decide_s, rewrite_s=exchange.rewrite_s)
            fields.append((timing.FIELD, took))
        fields.append((_HEADER, value))
        return fields

    def _unit_cookie(self, exchange: Exchange) -> bytes | None:
        """What the browser is told of its unit id."""
        if exchange.visit is None:
            return None
        secure = exchange.visit.scheme == "https"
        if exchange.forgets_unit:
            return visit.unit_cookie("", secure=secure, days=0)
        if exchange.sets_unit and (unit := exchange.visit.new_unit) is not None:
            return visit.unit_cookie(unit, secure=secure, days=self._settings.unit_days)
        return None

    def _kept_apart(self, exchange: Exchange, fields: list[Field], reason: Reason) -> list[Field]:
        """The fields of a response that depended on the visitor: for one alone, or for all of a variant, where what makes
        the visitor's variant is all that it depended on."""
        decision, table = exchange.decision, exchange.table
        if self._variants is None or decision is None or table is None or reason not in _DETERMINED:
            return caching.for_one_visitor(fields)
        recollection, rollout = exchange.recollection, self._settings.rollout
        if exchange.sets_cookie or (recollection is not None and recollection.adds):
            return caching.for_one_visitor(fields)
        if rollout < 1 and decision.applies:
            return caching.for_one_visitor(fields)
        # What is derived follows from what is among `reads` too.
        reads = decision.reads - PAGE_ATTRIBUTES - table.company.derivation.rules.keys()
        return variants.for_a_variant(fields, self._variants, reads, exchange.request.headers)

    def _tells_time(self, exchange: Exchange) -> bool:
        who, asked = self._settings.server_timing, exchange.toggles
        operator = asked is not None and asked.operator
        return exchange.decision is not None and (who == "always" or (who == "token" and operator))

    # ---- shadow mode

    def _copied(self, exchange: Exchange, origin: OriginResponse) -> Reason:
        """Why the page passes: for what it is, or since the rules are only tried out, on a copy from now on."""
        refused = self._refused(exchange, origin)
        if refused is not None:
            return refused
        if self._tables.current is None:
            return Reason.NO_TABLE
        if self._switch.off:
            return Reason.SWITCHED_OFF
        exchange.copy = Copy(self._settings.page_bytes_max)
        return Reason.SHADOW

    async def _tried(self, exchange: Exchange, origin: OriginResponse, copy: Copy) -> None:
        """What would have become of a page that has left."""

        async def outcome_of_copy() -> Page | Reason:
            await self._pages.heard_of(exchange, origin, copy.whole)
            return await self._changed(exchange, origin)

        outcome = await self._guarded(exchange, outcome_of_copy(), None)
        if isinstance(outcome, Page):
            self._telemetry.shadowed(Reason.APPLIED, len(exchange.prefix), len(outcome.body))
        else:
            self._telemetry.shadowed(outcome or exchange.stage)

    # ---- the visitor's end

    async def _guarded(self, exchange: Exchange, step: Coroutine[Any, Any, Result], otherwise: Result) -> Result:
        """The fail-open seam: a step that fails for whatever reason is skipped, reported and counted."""
        try:
            return await step
        except Exception as error:  # noqa: BLE001  law 1: no bug of ours may cost a visitor the page
            self._telemetry.failed(exchange.stage, error, exchange.path)
            return otherwise

    async def _apologise(self, exchange: Exchange, visitor: Visitor, error: UpstreamError) -> Written:
        """The origin failed: say so where nothing of its response has left yet, else end the connection."""
        self._telemetry.upstream_failed(error.trouble.value, str(error), exchange.path)
        if not visitor.answered:
            return await self._tell(
                exchange, visitor, error.status, _APOLOGIES[error.status], reason=error.trouble.value
            )
        self._responded(exchange, visitor, error.trouble.value, error.status)
        return CLOSE

    async def _serve(self, exchange: Exchange, visitor: Visitor, fields: list[Field], body: bytes) -> Written:
        """A file of our own."""
        written = await visitor.send(200, b"OK", fields, body)
        self._responded(exchange, visitor, "own", 200)
        return written

    async def _tell(self, exchange: Exchange, visitor: Visitor, status: int, text: str, *, reason: str) -> Written:
        """A response of our own, where there is none of the origin's to give."""
        if status in {400, 408, 413}:
            visitor.close_after()
        fields = [(b"Content-Type", b"text/plain; charset=utf-8"), (b"Cache-Control", b"no-store")]
        written = await visitor.send(status, HTTPStatus(status).phrase.encode(), fields, (text + "\n").encode())
        self._responded(exchange, visitor, reason, status)
        return written

    def _responded(self, exchange: Exchange, visitor: Visitor, reason: str, status: int) -> None:
        self._events.visited(exchange, reason, status)
        self._telemetry.responded(reason, status, visitor.sent_bytes)
        if exchange.trace is not None:
            exchange.trace.responded(exchange, reason, status)
        if self._access_log is not None:
            self._access_log.responded(exchange, reason, status, visitor.sent_bytes)


_APOLOGIES = {
    502: "The site could not be reached.",
    504: "The site did not answer in time.",
}


def _explained(asked: Toggles, explanation: Mapping[str, Reason]) -> bytes:
    """What became of each mutation, after those of the operator's words that name nothing."""
    unknown = [f"{word}=not_understood" for word in asked.not_understood]
    text = ", ".join(unknown + [f"{mutation}={reason.value}" for mutation, reason in explanation.items()])
    return text[:EXPLANATION_CHARACTERS_MAX].encode("utf-8", "replace")
