"""What a visitor would get: a page before and after, and why each mutation applies or does not.

The same `rules.decision` and `rules.html` as at the edge, so what is previewed is what is served. Rewriting happens in a
child process with a deadline. Counterpart: the admin's preview and `POST /apply`. Never: anything saved or published.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from control_plane import codec
from control_plane.company import company
from control_plane.judge import Judge
from control_plane.origin_pages import OriginPages, SiteAddress, resolve
from control_plane.publishing import Publishing
from control_plane.rewriter import Order, Rewriter, case_of
from control_plane.store import Kind, Store
from rules.compiler import compile_table
from rules.context import Context
from rules.decision import decide
from rules.errors import RulesError
from rules.inference import query_of
from rules.model import LayoutMutation, RulesFile, Status
from rules.reasons import Outcome, Reason
from rules.redirects import Redirect
from rules.switch_words import not_understood
from rules.table import DecisionTable
from service.descriptions import described
from service.opinions import Opinion


class Visit(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Who looks at the page, as far as that is not the address."""

    now: Annotated[datetime, Meta(tz=True)] | None = None
    """The time of the visit; the present one where it is left out."""
    layout_id: str | None = None
    """The origin's `X-Layout-Id` where it is left out."""
    attributes: dict[str, Any] = {}
    """What conditions read; see the registry in `rules.context`."""
    forced: dict[str, str] = {}
    """Experiment id -> variation key."""
    assigned: dict[str, str] = {}
    """What the visit remembers: `<experiment>__<bucketVersion>` -> variation key."""
    disabled: list[str] = []
    """Words for what is off: a module's id, `mutation:ID`, `experiment:ID`, `layer:micro`, `page:/offers/**`, `*`."""
    only: list[str] | None = None
    """Words for what alone stays on."""


PRESENT = Visit()


class Previewed(Struct, frozen=True, kw_only=True):
    """A page before and after."""

    url: str
    status: int
    before: bytes
    after: bytes
    charset: str | None
    outcomes: tuple[Outcome, ...]
    passed: str
    """Empty, or the Reason word why the page stays as it is."""
    detail: str
    assignments: dict[str, str]
    table_version: int
    not_understood: tuple[str, ...] = ()
    """Words of the visit's `disabled` and `only` that name nothing."""
    redirect: Redirect | None = None
    """Where the visit is sent instead of getting the page; then the page stays as it is."""
    opinion: Opinion | None = None
    """The second opinion on a page that was changed, where it was asked for."""


class Preview:
    """Shows pages without serving them."""

    def __init__(
        self,
        store: Store,
        publishing: Publishing,
        pages: OriginPages,
        rewriter: Rewriter,
        judge: Judge,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._publishing = publishing
        self._pages = pages
        self._rewriter = rewriter
        self._judge = judge
        self._clock = clock

    def sites(self) -> Mapping[str, str]:
        """Site -> origin, as configured."""
        return self._pages.origins

    async def page(
        self, url: str, *, visit: Visit = PRESENT, draft: LayoutMutation | None = None, judged: bool = False
    ) -> Previewed:
        """A page of a registered origin.

        Args:
            url: `https://site/path?query`, or `/path` of the site `*`.
            visit: who looks.
            draft: a mutation as if it were saved and switched on, in place of the saved one with its id.
            judged: ask for a second opinion too.

        Raises:
            Refused: `preview_…`.
            RulesError: the draft can't be used.
        """
        table, version = await self._table(draft)
        found = await self._pages.fetch(url)
        visit = msgspec.structs.replace(visit, layout_id=visit.layout_id or found.layout_id)
        context = described(
            self._context(found.url, visit), table, page=found.body, charset=found.charset, header=found.said
        )
        shown = await self._shown(table, version, context, found.url, found.status, found.body, found.charset)
        return msgspec.structs.replace(shown, opinion=await self._opinion(table, context, shown)) if judged else shown

    async def html(
        self,
        page: bytes,
        *,
        url: str,
        charset: str | None = None,
        visit: Visit = PRESENT,
        draft: LayoutMutation | None = None,
    ) -> Previewed:
        """A page that is handed in, as if it were at `url`; nothing is fetched. Raises as `page`."""
        table, version = await self._table(draft)
        context = described(self._context(url, visit), table, page=page, charset=charset)
        return await self._shown(table, version, context, url, 200, page, charset)

    async def _shown(
        self,
        table: DecisionTable,
        version: int,
        context: Context,
        url: str,
        status: int,
        page: bytes,
        charset: str | None,
    ) -> Previewed:
        decision = decide(table, context)
        after, outcomes, passed, detail = (
            page,
            decision.outcomes,
            Reason.NO_RULES.value,
            "no mutation applies to this visit",
        )
        if decision.redirect is not None:
            passed, detail = "", ""
        elif decision.groups:
            done = await self._rewriter.rewrite(Order(page, decision.groups, charset))
            after, passed, detail = done.page, done.passed, done.detail
            outcomes = _merged(decision.outcomes, done.outcomes)
        return Previewed(
            url=url,
            status=status,
            before=page,
            after=after,
            charset=charset,
            outcomes=outcomes,
            passed=passed,
            detail=detail,
            assignments=dict(decision.assignments),
            table_version=version,
            not_understood=not_understood(context),
            redirect=decision.redirect,
        )

    async def _opinion(self, table: DecisionTable, context: Context, shown: Previewed) -> Opinion | None:
        if shown.passed:
            return None
        order = Order(shown.before, decide(table, context).groups, shown.charset)
        return await self._judge.opinion(case_of(order, await self._rewriter.rewrite(order)))

    async def _table(self, draft: LayoutMutation | None) -> tuple[DecisionTable, int]:
        """The published rules, or those with the draft among them."""
        current = await self._publishing.current()
        version = 0 if current is None else current.version
        if draft is None and current is not None:
            return current, version
        rules = await self._rules_with(draft)
        try:
            return await asyncio.to_thread(compile_table, rules, version=max(version, 1), now=self._clock()), version
        except RulesError as error:
            raise RulesError(error.problem, error.path.replace("$.mutations[0]", "$", 1)) from None

    async def _rules_with(self, draft: LayoutMutation | None) -> RulesFile:
        served: list[LayoutMutation] = codec.decode_all(Kind.MUTATION, await self._store.served())
        if draft is not None:
            shown = (
                draft if draft.status is Status.EXPERIMENTAL else msgspec.structs.replace(draft, status=Status.ACTIVE)
            )
            served = [
                msgspec.structs.replace(shown, is_active=True),
                *(mutation for mutation in served if mutation.id != draft.id),
            ]
        return msgspec.structs.replace(await company(self._store, *served), mutations=served)

    def _context(self, url: str, visit: Visit) -> Context:
        place = self._place(url)
        path = place.target.partition("?")[0]
        query = query_of(place.target)
        given: dict[str, Any] = {"host": place.site, "path": path, "url": place.url, "query": query}
        if visit.layout_id is not None:
            given["layoutId"] = visit.layout_id
        return Context(
            site=place.site,
            path=path,
            now=visit.now or self._clock(),
            layout_id=visit.layout_id,
            attributes={**given, **visit.attributes},
            forced=visit.forced,
            assigned=visit.assigned,
            disabled=frozenset(visit.disabled),
            only=None if visit.only is None else frozenset(visit.only),
        )

    def _place(self, url: str) -> SiteAddress:
        """The address as rules see it; nothing is fetched here, so any site will do."""
        return resolve(url, {"*": "http://localhost", **self._pages.origins})


def _merged(decided: tuple[Outcome, ...], done: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """What was decided, and for what was carried out what came of it; why it was chosen goes before."""
    results = {outcome.mutation_id: outcome for outcome in done}
    return tuple(
        _with_choice(outcome, results[outcome.mutation_id])
        if outcome.reason is Reason.APPLIED and outcome.mutation_id in results
        else outcome
        for outcome in decided
    )


def _with_choice(decided: Outcome, done: Outcome) -> Outcome:
    return Outcome(done.mutation_id, done.reason, ", ".join(filter(None, (decided.detail, done.detail))))
