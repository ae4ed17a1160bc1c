"""How connections end while nobody who has asked goes without an answer: on which of them, and when.

Counterparts: `connections` has visitors' and `processes.listener` operators'; both wait here for the last of them.
Never: a word that is sent, or a request that is read.
"""

import asyncio
import select
from collections.abc import Callable

from aiohttp.web_protocol import RequestHandler

IDLE_GRACE_S = 1.0
"""How long an idle connection is left open after its process has begun to end: a request may be on its way."""
EMPTY_EVERY_S = 0.02


class Considerate(RequestHandler):
    """A connection that ends when nobody is asking on it."""

    __slots__ = ()

    @property
    def _is_amid_a_head(self) -> bool:
        """Whether a part of a request's head has been read."""
        raise NotImplementedError

    def close(self) -> None:
        """End after the present response; at once where there is none. (aiohttp leaves an idle connection open here.)

        A connection on which a request is just coming is left alone: it is answered first. Ask again.
        """
        idle = self._waiter is not None and not self._messages
        transport = self.transport
        if idle and transport is not None and (self._is_amid_a_head or speaks(transport)):
            return
        super().close()
        if idle and transport is not None:
            transport.close()


async def emptied(somebody: Callable[[], bool], end_idle: Callable[[], None], within_s: float) -> None:
    """Wait until nobody is here, at most so long; what is idle ends after a moment, in which a request that was on its way comes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    await _until(somebody, min(loop.time() + IDLE_GRACE_S, deadline))
    while somebody() and loop.time() < deadline:
        end_idle()
        await _until(somebody, min(loop.time() + IDLE_GRACE_S / 10, deadline))


async def _until(somebody: Callable[[], bool], at: float) -> None:
    loop = asyncio.get_running_loop()
    while somebody() and loop.time() < at:  # noqa: ASYNC110  aiohttp tells nobody of the last one
        await asyncio.sleep(EMPTY_EVERY_S)


def speaks(transport: asyncio.Transport) -> bool:
    """Whether bytes have come that nobody has read yet; also its end counts, which the loop is about to hear of."""
    waiting = select.poll()
    try:
        waiting.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(waiting.poll(0))
    except (OSError, ValueError):
        return False
