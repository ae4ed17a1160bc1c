"""One request while it is being answered: what came in, and what has been found out so far.

Counterpart: `proxy` fills it in, step by step; whatever step fails, what is here is enough to send the origin's page.
Never: a step of its own; it only remembers.
"""

import re
from typing import Any, Protocol

from aiohttp import web
from msgspec import Struct

from rules.decision import Decision
from rules.previews import taken
from rules.reasons import Reason
from rules.remembering import Memory
from rules.state import State
from rules.table import DecisionTable
from sidecar.context.toggles import Toggles
from sidecar.context.visit import Visit
from sidecar.heads.headers import Field
from sidecar.heads.validators import UNCHANGED, Conditions
from sidecar.origin.sites import Site
from sidecar.shadow import Copy

_AUTHORITY_END = re.compile(r"[/?#]")
"""RFC 3986 3.2: a slash that comes later is of the query."""


class Exchange:
    """Used by one task from the first byte to the last."""

    __slots__ = (
        "authority",
        "conditions",
        "content",
        "copy",
        "counts",
        "decide_began",
        "decide_s",
        "decision",
        "edited_head",
        "explanation",
        "forgets_unit",
        "own_table",
        "page",
        "prefix",
        "preview_token",
        "previewed",
        "private",
        "recollection",
        "request",
        "rewrite_began",
        "rewrite_s",
        "sets_unit",
        "site",
        "stage",
        "state_cookie",
        "table",
        "target",
        "toggles",
        "trace",
        "visit",
    )

    def __init__(self, request: web.BaseRequest, authority: str) -> None:
        self.request = request
        target, self.authority = _target(request.raw_path, authority)
        self.target, self.preview_token = taken(target)
        """Path and query as the site knows them, and what a preview link has beside them."""
        self.site: Site | None = None
        """Whose origins are asked; None until that is known, and for a host that is not served."""
        self.previewed = False
        """The page is for one person with such a link."""
        self.own_table: DecisionTable | None = None
        """Rules of this request alone, where the link has a draft."""
        self.visit: Visit | None = None
        self.toggles: Toggles | None = None
        self.conditions: Conditions = UNCHANGED
        self.table: DecisionTable | None = None
        self.decision: Decision | None = None
        self.stage = Reason.DECIDE_FAILED
        """The reason to give if the step that is going on should fail."""
        self.prefix = b""
        """What has been read of the origin's body, still encoded."""
        self.content: bytes | Reason | None = None
        """The whole body without its content coding, or why there is none; None while nobody has asked."""
        self.page: dict[str, Any] | None = None
        """What the origin says of its page, where rules read that."""
        self.private = False
        """The answer depended on the visitor."""
        self.sets_unit = False
        """The visitor gets a unit id: an experiment asked for one."""
        self.forgets_unit = False
        """The visitor brings a unit id without the consent to keep one: the browser is told to forget it."""
        self.edited_head = False
        """The answer to a HEAD whose GET would be rewritten: it must not describe the origin's bytes."""
        self.counts = request.method in {"GET", "HEAD"}
        """The response is a page that a visitor sees, as far as is known: such a page is remembered."""
        self.recollection: Recollection | None = None
        """What is remembered of the visitor, before this page and with it."""
        self.state_cookie: bytes | None = None
        """The Set-Cookie value that tells the browser; None for nothing new."""
        self.explanation: dict[str, Reason] = {}
        """Mutation id -> what became of it."""
        self.decide_s = 0.0
        self.rewrite_s = 0.0
        """What deciding and rewriting took, in seconds."""
        self.decide_began = 0.0
        self.rewrite_began = 0.0
        """When they began, by time.perf_counter; 0 for never."""
        self.trace: Trace | None = None
        """Where traces are told: this request's."""
        self.copy: Copy | None = None
        """What goes by of the body, where it is to be tried out afterwards."""

    def untouched(self) -> None:
        """Forget what a decision means for the response: it is the origin's."""
        self.private = self.sets_unit = self.forgets_unit = self.edited_head = False
        self.state_cookie = None

    @property
    def sets_cookie(self) -> bool:
        """Whether the browser is told to keep or forget something."""
        return self.sets_unit or self.forgets_unit or self.state_cookie is not None

    @property
    def path(self) -> str:
        """The path alone: what may be logged of an address."""
        return self.target.partition("?")[0]

    @property
    def line(self) -> bytes:
        """The request line as the origin gets it."""
        return f"{self.request.method} {self.target} HTTP/1.1".encode("utf-8", "surrogateescape")


class Trace(Protocol):
    """What `sidecar.tracing.spans.SpanTrace` is to a request. Never raises."""

    @property
    def trace_id(self) -> str: ...

    def asks(self) -> list[Field]: ...

    def answered(self, status: int) -> None: ...

    def responded(self, exchange: Exchange, reason: str, status: int) -> None: ...

    def left(self, exchange: Exchange) -> None: ...


class Tracing(Protocol):
    """What `sidecar.tracing.spans.SpanTracing` is to the proxy. Never raises."""

    def begin(self, exchange: Exchange) -> Trace | None: ...


class Recollection(Struct, frozen=True):
    """What is remembered of the visitor of one request."""

    memory: Memory
    """What the table wants to be remembered."""
    brought: bool
    """Whether the request has a state cookie, whatever it holds."""
    before: State
    after: State
    """With this page, where it counts."""
    adds: bool
    """The page could add something, whoever asks."""
    consents: bool


class Page(Struct, frozen=True):
    """A response that is ours: a rewritten page, or a 304 for one."""

    status: int
    reason: bytes
    fields: list[Field]
    body: bytes
    mutations: int


class Passing(Struct, frozen=True):
    """The origin's response as it goes on: its body, and these fields."""

    reason: Reason
    fields: list[Field]


def _target(raw: str, authority: str) -> tuple[str, str]:
    """(path and query, Host) of a request target; an absolute one names the host itself (RFC 9112 3.2.2)."""
    if raw.startswith("/") or not raw.lower().startswith(("http://", "https://")):
        return raw, authority
    _, _, rest = raw.partition("://")
    end = _AUTHORITY_END.search(rest)
    named, path = (rest, "/") if end is None else (rest[: end.start()], rest[end.start() :])
    return path if path.startswith("/") else f"/{path}", named.rpartition("@")[2]
