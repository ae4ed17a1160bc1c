"""A preview link at the edge: one person is shown a draft, or a variation, and nothing of it stays.

A token is checked with the public keys of tables alone. Its draft is compiled with every check there is, in a thread, among
the rules of the page that is asked for. Whatever is wrong with a token or a draft, the page is what everybody sees, and counted.
Counterparts: `rules.previews` is what both planes know of a token, `proxy` answers with what is found here.
Never: a token that the origin sees, a response that a cache keeps, a cookie, or a redirect.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from msgspec import structs

from rules import previews
from rules.errors import RulesError
from rules.previews import Refusal
from rules.table import DecisionTable
from sidecar.context.toggles import Toggles
from sidecar.exchange import Exchange
from sidecar.tables.tables import Verify
from sidecar.telemetry import Telemetry

SHOWN = "shown"
NOBODYS = Toggles(operator=False)


class Previews:
    """Opens the tokens of one worker. `verify` knows the public keys of tables."""

    def __init__(self, verify: Verify, telemetry: Telemetry, *, now: Callable[[], datetime]) -> None:
        self._verify = verify
        self._telemetry = telemetry
        self._now = now
        self._compiling = asyncio.Semaphore(1)

    async def show(self, exchange: Exchange, token: str, table: DecisionTable | None, *, site: str, path: str) -> None:
        """Have the page be what the token says, where it says something that can be used."""
        found = previews.opened(token, verify=self._verify, now_s=self._now().timestamp())
        if isinstance(found, Refusal):
            self._telemetry.previewed(found.value)
            return
        if found.rules:
            try:
                async with self._compiling:  # however many hold a link, visitors have the rest of the machine
                    own = await asyncio.to_thread(previews.with_draft, table, found.rules, site, path)
            except RulesError as error:
                self._telemetry.previewed(Refusal.INVALID_RULES.value, str(error), exchange.path)
                return
            exchange.own_table = own
        toggles = exchange.toggles or NOBODYS
        exchange.toggles = structs.replace(toggles, forced={**found.forced, **toggles.forced})
        exchange.previewed, exchange.counts = True, False
        self._telemetry.previewed(SHOWN)
