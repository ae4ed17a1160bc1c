"""One page, rewritten: gathered within bounds, decoded, changed, and dressed as the client likes it.

Counterparts: `rewriting` changes the bytes, `codings` undoes and redoes their coding, `headers`, `validators` and
`content_security` say what is true of the new ones.
Never: sends anything, or loses a byte that was read; until a `Page` is returned the origin's response is whole.
"""

import asyncio
from functools import partial
from time import perf_counter
from typing import Protocol

import aiohttp

from rules.decision import Decision
from rules.group import Group
from rules.html import PassedThrough, Rewritten, Script, handed_over
from rules.model import Delivery
from rules.reasons import Reason
from sidecar.exchange import Exchange, Page
from sidecar.heads import codings, content_security, eligibility, headers, validators
from sidecar.heads.headers import Field
from sidecar.origin.upstream import OriginResponse
from sidecar.rewriting.memo import MemoKey
from sidecar.runtime import browser_script
from sidecar.telemetry import Telemetry

THREAD_BYTES_MIN = 256 * 1024
"""A body above this is coded in a thread: about a millisecond, which the event loop shouldn't stand still for."""
CODED_BYTES_MIN = 1024
"""A page below this is not compressed where the origin did not: with its head it is one packet, or nearly."""
_BY_CODING = (b"Accept-Encoding",)


class PageRewriter(Protocol):
    """What `sidecar.rewriting.rewriting.Rewriting` is to the proxy. Never raises."""

    async def rewrite(self, key: MemoKey, body: bytes, groups: tuple[Group, ...]) -> Rewritten | PassedThrough: ...

    def coded(self, key: MemoKey, page: bytes, coding: str) -> bytes | None: ...

    def keep_coded(self, key: MemoKey, page: bytes, coding: str, coded: bytes) -> None: ...

    def status(self) -> dict[str, object]: ...


class Pages:
    """Makes pages for one worker, within a bound of bytes and of waiting."""

    def __init__(
        self, rewriting: PageRewriter, telemetry: Telemetry, *, bytes_max: int, wait_s: float, compresses: bool
    ) -> None:
        """`compresses`: whether a page that came without a coding may get one."""
        self._rewriting = rewriting
        self._telemetry = telemetry
        self._bytes_max = bytes_max
        self._wait_s = wait_s
        self._compresses = compresses

    async def rewritten(
        self, exchange: Exchange, origin: OriginResponse, decision: Decision, fields: list[Field]
    ) -> Page | Reason:
        """The page as it is to be, or why it passes. `fields` are the origin's, end to end."""
        if content_security.is_too_long(fields):
            self._telemetry.refused(
                Reason.TOO_LARGE, "its policies are too many, or have too many parts", exchange.path
            )
            return Reason.TOO_LARGE
        content = await self._content(exchange, origin)
        if isinstance(content, Reason):
            return content
        nonce = content_security.style_nonce(fields) if content_security.has_policy(fields) else None
        script = _script_for(decision, fields)
        charset = eligibility.charset_of(origin.headers.get("Content-Type", ""))
        key = MemoKey(f"{exchange.authority}{exchange.target}", decision.key, charset, nonce, script)
        exchange.rewrite_began = began = perf_counter()
        answer = await self._rewriting.rewrite(key, content, decision.groups)
        exchange.rewrite_s = perf_counter() - began
        self._telemetry.rewrite_s.observe(exchange.rewrite_s)
        exchange.explanation.update((outcome.mutation_id, outcome.reason) for outcome in answer.outcomes)
        if isinstance(answer, PassedThrough):
            self._report(answer, exchange)
            return answer.reason
        if answer.calls_script and script is not None:
            fields = content_security.allowing_script(fields, script)
        return await self._dressed(exchange, origin, key, fields, answer)

    def revalidated(self, origin: OriginResponse, fields: list[Field], etag: str, mutations: int) -> Page:
        """Our own 304, for the page of ours by that ETag, whose origin's validator the origin has just confirmed."""
        fields = without_content(self._varying(headers.after_edit(fields), was_coded=False))
        return Page(304, origin.reason, [*fields, (b"ETag", etag.encode("utf-8", "surrogateescape"))], b"", mutations)

    def head_of_edited(self, fields: list[Field]) -> list[Field]:
        """The fields of the answer to a HEAD whose GET would be rewritten: nothing about bytes that nobody has made."""
        is_coded = any(name.lower() == b"content-encoding" for name, _ in fields)
        return self._varying(headers.coded(headers.after_edit(fields), ""), was_coded=is_coded)

    async def hear(self, exchange: Exchange, origin: OriginResponse, *, whole: bool) -> None:
        """What the origin says of its page, into `exchange.page`; by its head alone where not the `whole` is to be read."""
        said = origin.headers.getall(handed_over.HEADER, ())
        content = await self._content(exchange, origin) if whole else Reason.METHOD
        if isinstance(content, Reason):
            found = handed_over.in_header(said)
        else:
            charset = eligibility.charset_of(origin.headers.get("Content-Type", ""))
            read = partial(handed_over.handed_over, content, charset=charset, header=said)
            found = await asyncio.to_thread(read) if len(content) > THREAD_BYTES_MIN else read()
        exchange.page = found.attributes or None
        for place in found.refused:
            self._telemetry.handed_over_refused(place, exchange.path)

    async def heard_of(self, exchange: Exchange, origin: OriginResponse, body: bytes | None) -> None:
        """The page that has gone by, as if it had been read; None: it was too large."""
        exchange.prefix = body or b""
        exchange.content = Reason.TOO_LARGE if body is None else await self._decoded(exchange, origin)

    async def _content(self, exchange: Exchange, origin: OriginResponse) -> bytes | Reason:
        """The page without its coding, or why not; read once, and what was read stays in `exchange.prefix`."""
        if exchange.content is None:
            exchange.content = await self._read(exchange, origin)
        return exchange.content

    async def _read(self, exchange: Exchange, origin: OriginResponse) -> bytes | Reason:
        refused = await self._gather(exchange, origin)
        return refused if refused is not None else await self._decoded(exchange, origin)

    async def _decoded(self, exchange: Exchange, origin: OriginResponse) -> bytes | Reason:
        """The page in `exchange.prefix` without its coding, or why not."""
        coding = eligibility.coding_of(origin.headers) or ""
        try:
            return await self._undone(exchange.prefix, coding)
        except codings.TooLargeError:
            return Reason.TOO_LARGE
        except codings.BrokenBodyError as error:
            self._telemetry.refused(Reason.BROKEN_BODY, str(error), exchange.path)
            return Reason.BROKEN_BODY

    async def _gather(self, exchange: Exchange, origin: OriginResponse) -> Reason | None:
        """Read the whole body into `exchange.prefix`, or say why not; what was read stays there."""
        content = origin.content
        if content.exception() is None and content.is_eof():
            exchange.prefix = content.read_nowait(-1)
            return None if len(exchange.prefix) <= self._bytes_max else Reason.TOO_LARGE
        pieces: list[bytes] = []
        room = self._bytes_max
        try:
            async with asyncio.timeout(self._wait_s):
                while room >= 0 and not content.at_eof():
                    pieces.append(await content.readany())
                    room -= len(pieces[-1])
        except TimeoutError:
            return Reason.TOO_SLOW
        except (aiohttp.ClientError, OSError):
            return Reason.BROKEN_BODY  # the origin broke off; the visitor sees that too, when the rest is read
        finally:
            exchange.prefix = b"".join(pieces)
        return None if room >= 0 else Reason.TOO_LARGE

    async def _undone(self, body: bytes, coding: str) -> bytes:
        if coding and len(body) > THREAD_BYTES_MIN:
            return await asyncio.to_thread(codings.undo, body, coding, bytes_max=self._bytes_max)
        return codings.undo(body, coding, bytes_max=self._bytes_max)

    async def _dressed(
        self, exchange: Exchange, origin: OriginResponse, key: MemoKey, fields: list[Field], answer: Rewritten
    ) -> Page:
        mutations = sum(outcome.reason is Reason.APPLIED for outcome in answer.outcomes)
        etag = validators.derive(
            decision_key=key.decision,
            layout_id=origin.headers.get("X-Layout-Id"),
            origin=origin.headers.get("ETag"),
            body=exchange.prefix,
        )
        came_as = eligibility.coding_of(origin.headers) or ""
        fields = self._varying(headers.after_edit(fields), was_coded=bool(came_as))
        if origin.status == 200 and exchange.request.method == "GET":
            fields.append((b"ETag", etag.encode("utf-8", "surrogateescape")))
            if_none_match = exchange.request.headers.getall("If-None-Match", ())
            # With a cookie the page goes out whole: a cache may merge a 304 into what it keeps for all (RFC 9111 4.3.4).
            fresh = exchange.toggles is None and not exchange.sets_cookie
            if if_none_match and fresh and validators.names(", ".join(if_none_match), etag):
                return Page(304, b"Not Modified", without_content(fields), b"", mutations)
        if answer.style_hashes:
            fields = content_security.allowing_styles(fields, answer.style_hashes, key.nonce)
        coding = self._coding(exchange, came_as, len(answer.page))
        body = await self._coded(key, answer.page, coding) if coding else answer.page
        if len(body) >= len(answer.page):
            coding, body = "", answer.page
        return Page(
            origin.status,
            origin.reason,
            headers.coded(fields, coding) if came_as or coding else fields,
            body,
            mutations,
        )

    def _varying(self, fields: list[Field], *, was_coded: bool) -> list[Field]:
        """The fields of a rewritten page, or of a 304 for one: whether it is coded depends on what the visitor takes."""
        return headers.varying_by(fields, _BY_CODING) if was_coded or self._compresses else fields

    def _coding(self, exchange: Exchange, came_as: str, size: int) -> str:
        """The coding of a page of `size` bytes; `""` for none."""
        if not came_as and (not self._compresses or size < CODED_BYTES_MIN):
            return ""
        accepted = exchange.request.headers.getall("Accept-Encoding", ())
        return headers.preferred_coding(", ".join(accepted), came_as.rpartition(", ")[2]) if accepted else ""

    async def _coded(self, key: MemoKey, page: bytes, coding: str) -> bytes:
        known = self._rewriting.coded(key, page, coding)
        if known is not None:
            return known
        if len(page) > THREAD_BYTES_MIN:
            made = await asyncio.to_thread(codings.redo, page, coding)
        else:
            made = codings.redo(page, coding)
        self._rewriting.keep_coded(key, page, coding, made)
        return made

    def _report(self, answer: PassedThrough, exchange: Exchange) -> None:
        """An unchanged page is only worth a line where somebody has to look for the cause."""
        if answer.reason is Reason.REWRITE_FAILED:
            self._telemetry.count_failure(answer.reason)
        if answer.reason not in {Reason.NOTHING_MATCHED, Reason.NO_CHANGE}:
            self._telemetry.refused(answer.reason, answer.detail, exchange.path)


def _script_for(decision: Decision, fields: list[Field]) -> Script | None:
    """How this page calls the browser script, if the decision needs it and the page's policies let it in."""
    if all(group.delivery is Delivery.EDGE for group in decision.groups):
        return None
    return content_security.script_for(fields, browser_script.SCRIPT.address, browser_script.SCRIPT.integrity)


def without_content(fields: list[Field]) -> list[Field]:
    """A 304's fields: nothing about content, and no policy, whose new nonce would not fit the page that is kept."""
    return headers.without(
        fields,
        {
            b"content-encoding",
            b"content-type",
            b"content-security-policy",
            b"content-security-policy-report-only",
        },
    )
