"""Visitors who are remembered: a browser that keeps its cookies, in front of a sidecar whose clock is moved by hand.

Counterparts: `test_remembering.py`, `test_privacy.py`. Never: a test.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any

from rules.table import DecisionTable
from tests.sidecar.one_headline import PAGE
from tests.sidecar.wire import (
    NOON,
    Answer,
    Client,
    Origin,
    Script,
    Sidecar,
    answering,
    client,
    headline,
    html,
    origin,
    serving,
)

PUBLIC = "Cache-Control: public, max-age=60"
KEY = "first-" * 6

BUYING = {
    "kind": "journey",
    "id": "buying",
    "steps": [{"id": "look", "pageSlug": "/product/*"}, {"id": "basket", "pageSlug": "/basket"}],
}
LOOKED = headline(id="looked", pageSlug="/offers", trigger={"on": "journey", "journey": "buying", "step": "look"})


class Browser:
    """Keeps the cookies that it is given."""

    def __init__(self, connection: Client) -> None:
        self.connection = connection
        self.cookies: dict[str, str] = {}

    async def get(self, target: str, *fields: str, method: str = "GET", body: bytes = b"") -> Answer:
        cookies = [f"Cookie: {'; '.join(f'{name}={value}' for name, value in self.cookies.items())}"]
        answer = await self.connection.get(
            target, *fields, *(cookies if self.cookies else []), method=method, body=body
        )
        for field in answer.all(b"Set-Cookie"):
            for name, morsel in SimpleCookie(field.decode()).items():
                self.cookies.pop(name, None)
                if morsel["max-age"] != "0":
                    self.cookies[name] = morsel.value
        return answer


class Visits:
    """A site, the sidecar in front of it, a browser, and the time."""

    def __init__(self, site: Origin, sidecar: Sidecar, browser: Browser, time: "Time") -> None:
        self.site, self.sidecar, self.browser, self.time = site, sidecar, browser, time
        self.get = browser.get


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)


@asynccontextmanager
async def visiting(rules: DecisionTable, script: Script | None = None, **settings: Any) -> AsyncIterator[Visits]:
    time = Time()
    async with (
        origin(script or answering(html(PAGE, PUBLIC))) as site,
        serving(site.url, tables=rules, now=time, **{"state_keys": KEY, **settings}) as sidecar,
        client(sidecar.port) as connection,
    ):
        yield Visits(site, sidecar, Browser(connection), time)


def is_remembered(answer: Answer) -> bool:
    return any(field.startswith(b"lm_state=") and b"Max-Age=0" not in field for field in answer.all(b"Set-Cookie"))
