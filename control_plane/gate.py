"""What goes to visitors is tried before: on a page of its own, with a second opinion on what came of it.

A mutation that is switched on is carried out on a sample page, as if it applied to everybody, and the result is judged by
a parser that is none of the rewriter's. Where that one sees something else changed, the mutation is refused; where there is
no page to be had or no opinion, it goes on, and its author is told so.
Counterparts: `mutations.py` asks before it saves; `rewriter.py`, `judge.py` and `origin_pages.py` do the work.
Never: a page of a site that is not registered, a write of its own, or a delay beyond its bound.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping

import msgspec
import structlog
from msgspec import Struct

from control_plane.judge import Judge
from control_plane.origin_pages import ANY_SITE, OriginPage, OriginPages
from control_plane.refusals import Refused
from control_plane.rewriter import Order, Rewriter, case_of
from rules.errors import RulesError
from rules.group import Group
from rules.model import LayoutMutation, RedirectMutation, RulesFile, Status
from rules.pages import compile_page, compile_site
from rules.rows import Row, company_of, compile_row
from service.opinions import Verdict

PATIENCE_S = 4.0
"""For the sample page and all that is done with it; an author waits no longer for a check that may say nothing."""
REMEMBERED_S = 60.0
REMEMBERED_MAX = 256
GROUPS_MAX = 10
"""Variations, or cases, of one mutation that are tried."""

log = structlog.get_logger("gate")


class Finding(Struct, frozen=True):
    """What was found. `differs`: where in the document, and what; `told`: a sentence for the author, empty for nothing."""

    told: str = ""
    path: str = ""
    differs: str = ""


NOT_TRIED = Finding()


class Gate:
    """Tries mutations on pages of the registered origins."""

    def __init__(self, pages: OriginPages, rewriter: Rewriter, judge: Judge, *, patience_s: float = PATIENCE_S) -> None:
        self._pages = pages
        self._rewriter = rewriter
        self._judge = judge
        self._patience_s = patience_s
        self._remembered: OrderedDict[bytes, tuple[float, Finding]] = OrderedDict()

    async def admit(self, mutation: LayoutMutation, company: RulesFile) -> str:
        """What an author should hear of the trial; raises RulesError where the second opinion differs.

        `company`: what the mutation may refer to. What was found is remembered for
        a minute, so that a mutation can be tried before a transaction and asked about inside it.
        """
        finding = await self.finding(mutation, company)
        if finding.differs:
            raise RulesError(finding.differs, finding.path)
        return finding.told

    async def finding(self, mutation: LayoutMutation, company: RulesFile) -> Finding:
        """What a trial shows; never raises."""
        address = sample_address(mutation, self._pages.origins)
        if address is None or not goes_to_visitors(mutation) or isinstance(mutation, RedirectMutation):
            return NOT_TRIED  # of a redirect: it changes no page that anybody could look at
        key = msgspec.msgpack.encode((_unstamped(mutation), company))
        now = time.monotonic()
        found = self._remembered.get(key)
        if found is None or now - found[0] > REMEMBERED_S:
            found = self._remembered[key] = (now, await self._within_bounds(mutation, company, address))
            while len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        return found[1]

    async def _within_bounds(self, mutation: LayoutMutation, company: RulesFile, address: str) -> Finding:
        try:
            async with asyncio.timeout(self._patience_s):
                page = await self._pages.fetch(address)
                return await self._tried(mutation, company, page)
        except TimeoutError:
            return Finding(f"not tried on {address}: that took longer than {self._patience_s:g} s")
        except Refused as refused:
            return Finding(f"not tried on {address}: {refused.detail}")
        except RulesError:
            return NOT_TRIED  # whoever saves it says what is wrong with it
        except Exception as error:  # a bug of the check must not keep a site from being changed
            log.exception("gate_failed", error=type(error).__name__, mutation=mutation.id)
            return Finding(f"not tried on {address}: a fault of ours, which is in the log")

    async def _tried(self, mutation: LayoutMutation, company: RulesFile, page: OriginPage) -> Finding:
        if mutation.layout_id not in ("*", page.layout_id or ""):
            return Finding(f"not tried on {page.url}: its layoutId is {page.layout_id!r}")
        row = await asyncio.to_thread(lambda: compile_row(mutation, company_of(company), "$"))
        told: list[str] = []
        for path, group in _groups(row):
            order = Order(page.body, (group,), page.charset)
            done = await self._rewriter.rewrite(order)
            if done.passed:
                told.append(f"{page.url} stays as it is: {done.passed}")
                continue
            opinion = await self._judge.opinion(case_of(order, done))
            if opinion.verdict is Verdict.DIFFERS:
                differs = f"on {page.url} a second parser sees something else changed, or not changed: {opinion.detail}"
                return Finding("", path, differs)
            if opinion.verdict is Verdict.NO_OPINION:
                told.append(f"no second opinion on {page.url}: {opinion.doubt} {opinion.detail}".rstrip())
        return Finding("; ".join(dict.fromkeys(told)) or f"a second parser agrees on {page.url}")


def goes_to_visitors(mutation: LayoutMutation) -> bool:
    """Whether it is switched on."""
    return mutation.is_active and mutation.status in (Status.ACTIVE, Status.EXPERIMENTAL)


def sample_address(mutation: LayoutMutation, origins: Mapping[str, str]) -> str | None:
    """An address of a registered site that the mutation is about: an exact path, or the plain beginning of a pattern."""
    path = mutation.page_slug.partition("*")[0] or "/"
    try:
        is_page, is_site = compile_page(mutation.page_slug, "$.pageSlug"), compile_site(mutation.site, "$.site")
    except RulesError:
        return None
    if not is_page(path):
        return None
    site = next((site for site in sorted(origins) if site != ANY_SITE and is_site(site)), None)
    if site is not None:
        return f"https://{site}{path}"
    if ANY_SITE not in origins:
        return None
    return path if mutation.site == ANY_SITE else f"https://{mutation.site}{path}" if "*" not in mutation.site else None


def _groups(row: Row) -> Iterable[tuple[str, Group]]:
    """What the mutation may do to a page, each with its place in the document; blanks have their fallbacks."""
    named: list[tuple[str, Group | None]] = [("", row.group)]
    named += [(f".variations.{key}", group) for key, group in row.variations.items()]
    if row.cases is not None:
        named += [(f".cases.{key}", group) for key, group in row.cases.groups.items()]
        named += [(".otherwise", row.cases.otherwise)]
    there = [(place, group) for place, group in named if group is not None]
    return [(f"$.mutationPayload{place}", group.of_visit({})) for place, group in there[:GROUPS_MAX]]


def _unstamped(mutation: LayoutMutation) -> LayoutMutation:
    return msgspec.structs.replace(mutation, version=1, created_by="", timestamp=None, rollback_pointer=None)
