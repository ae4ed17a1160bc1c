"""Work that may take minutes, asked for by programs: answered at once where it is short, else by a place to ask (202, `Location`).

How long is waited, a program says itself: `Prefer: wait=N` and `Prefer: respond-async` (RFC 7240). What is found at that place is what the
work would have been answered, problem or result. Counterpart: `control_plane.errands` does it; `routes.py` says for which routes.
Never: a request that is held longer than WAIT_S_MAX, which balancers cut off; work that ends because nobody waits for it.
"""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal

import msgspec
from aiohttp import web
from msgspec import Struct

from control_plane.api.answers import json_answer
from control_plane.api.problems import Problem, RequestError, answered
from control_plane.errands import Asked
from control_plane.refusals import Refusal, Refused
from control_plane.services import Services
from control_plane.tokens import Actor

Guarded = Callable[[web.Request, Services, Actor], Awaitable[web.StreamResponse]]

PATH = "/api/layout-mutation/errands"
WAIT_S = 10.0  # without a preference
WAIT_S_MAX = 30.0  # half of what balancers commonly wait
ASK_AGAIN_S = 2
PREFER_CHARACTERS_MAX = 1_000
_KEPT_HEADERS = ("Retry-After",)
_PREFERENCE = re.compile(r'\s*([\w!#$%&\'*+.^`|~-]+)\s*(?:=\s*"?(\w*)"?)?\s*(?:;.*)?')


class ErrandAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """One piece of work. `result` is there where it is done, `problem` where it failed."""

    id: str
    what: Literal["backup", "backup_verify", "audit_verify"]
    subject: str
    """What it is done with, such as a backup's name; empty where there is only one such thing."""
    actor: str
    """Who asked first."""
    instance: str
    """The control plane that does it: no other one knows of it."""
    state: Literal["running", "done", "failed"]
    begun_at: datetime
    ended_at: datetime | None = None
    result: Any = None
    """What the route answers where it answers at once."""
    problem: Problem | None = None


class Preferences(Struct, frozen=True):
    """What a request says of waiting (RFC 7240, sections 4.1 and 4.3)."""

    wait_s: float | None = None
    asynchronous: bool = False

    @property
    def seconds(self) -> float:
        """How long it is waited for."""
        if self.wait_s is None:
            return 0.0 if self.asynchronous else WAIT_S
        return min(self.wait_s, WAIT_S_MAX)


class _Outcome(Struct, frozen=True):
    """An answer that was made, as often as it is asked for."""

    status: int
    body: bytes
    content_type: str
    headers: dict[str, str]

    def answer(self) -> web.Response:
        return web.Response(
            status=self.status, body=self.body, content_type=self.content_type, headers=dict(self.headers)
        )


def sooner_or_later(handler: Guarded, what: str, *, join: bool = False) -> Guarded:
    """A handler that is waited for only so long. `join`: who asks for the same as is under way is told of that one."""

    async def handle(request: web.Request, services: Services, actor: Actor) -> web.StreamResponse:
        async def work() -> _Outcome:
            made = await answered(request, lambda _: handler(request, services, actor))
            body = made.body if isinstance(made, web.Response) else None
            headers = {name: made.headers[name] for name in _KEPT_HEADERS if name in made.headers}
            return _Outcome(made.status, body if isinstance(body, bytes) else b"null", made.content_type, headers)

        subject = request.match_info.get("name", "")
        asked = services.errands.ask(what, work, subject=subject, actor=actor.subject, join=join)
        if asked is None:
            detail = "as many pieces of long work are under way here as are done at once; ask again when one has ended"
            raise RequestError(503, "busy", detail, {"Retry-After": str(ASK_AGAIN_S)})
        preferred = preferences(request)
        asked = await services.errands.until_ended(asked, preferred.seconds)
        return _with_preference(_now(asked) or _later(asked, services), preferred)

    return handle


async def errand(request: web.Request, services: Services, actor: Actor) -> web.StreamResponse:
    """How it stands with one; a preference to wait is honoured here too."""
    asked = services.errands.asked(request.match_info["id"])
    if asked is None:
        detail = (
            "this instance knows no such errand: another one may, and each forgets them after a day and when it ends"
        )
        raise Refused(Refusal.NOT_FOUND, detail)
    preferred = preferences(request)
    if preferred.wait_s is not None:
        asked = await services.errands.until_ended(asked, preferred.seconds)
    found = _described(asked, services)
    headers = {"Retry-After": str(ASK_AGAIN_S)} if found.state == "running" else None
    return _with_preference(json_answer(found, headers=headers), preferred)


def preferences(request: web.Request) -> Preferences:
    """What the request prefers; what is not understood is ignored, and of two the first counts (RFC 7240, section 2)."""
    given = ",".join(request.headers.getall("Prefer", []))[:PREFER_CHARACTERS_MAX]
    found = dict[str, str]()
    for part in given.split(","):
        match = _PREFERENCE.fullmatch(part)
        if match is not None:
            found.setdefault(match[1].lower(), match[2] or "")
    wait = found.get("wait", "")
    return Preferences(
        float(wait[:9]) if wait.isascii() and wait.isdecimal() else None, asynchronous="respond-async" in found
    )


def _now(asked: Asked) -> web.Response | None:
    """The answer of work that has ended."""
    return asked.outcome.answer() if isinstance(asked.outcome, _Outcome) else None


def _later(asked: Asked, services: Services) -> web.Response:
    headers = {"Location": f"{PATH}/{asked.id}", "Retry-After": str(ASK_AGAIN_S)}
    return json_answer(_described(asked, services), status=202, headers=headers)


def _described(asked: Asked, services: Services) -> ErrandAnswer:
    outcome = asked.outcome if isinstance(asked.outcome, _Outcome) else None
    state: Literal["running", "done", "failed"] = "running"
    result, problem = None, None
    if outcome is not None and outcome.status < 400:
        state, result = "done", msgspec.json.decode(outcome.body)
    elif outcome is not None:
        state, problem = "failed", msgspec.json.decode(outcome.body, type=Problem)
    return ErrandAnswer(
        id=asked.id,
        what=asked.what,  # type: ignore[arg-type]  # `routes.py` has the words
        subject=asked.subject,
        actor=asked.actor,
        instance=services.alerts.instance,
        state=state,
        begun_at=asked.begun_at,
        ended_at=asked.ended_at,
        result=result,
        problem=problem,
    )


def _with_preference(response: web.Response, preferred: Preferences) -> web.Response:
    """Say which preferences counted (RFC 7240, section 3)."""
    applied = ["respond-async"] if preferred.asynchronous and response.status == 202 else []
    if preferred.wait_s is not None:
        applied.append(f"wait={preferred.seconds:.0f}")
    if applied:
        response.headers["Preference-Applied"] = ", ".join(applied)
    return response


__all__ = ["ErrandAnswer", "Preferences", "errand", "preferences", "sooner_or_later"]
