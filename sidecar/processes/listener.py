"""The end of the wire where operators are: takes their connections, and lets go of the socket without leaving anybody unanswered.

Whoever connected before another generation took over, and asks a moment later, is answered here and told that the connection ends;
who asks afterwards is the other's. Counterparts: `admin` has the answers, `supervision` says from when to when; `visitor.arrivals` is
its like for visitors. Never: a bound on operators. They are few, and on this machine or network.
"""

import asyncio
import errno
import socket

import structlog
from aiohttp import web

from sidecar.visitor.endings import Considerate, emptied

AT_ONCE = 64
"""Taken in one turn of the loop."""
RETRY_S = 0.5
"""How long nothing is taken after the system had no descriptor or memory for one."""
ANSWER_S_MAX = 10.0
"""How long answers in progress are waited for: some ask every worker in turn, and one that is hung takes two seconds."""

_GONE = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR, errno.ECONNABORTED, errno.EPROTO}
"""Whoever was there has left, or the other generation was faster."""

_log = structlog.get_logger("sidecar.processes.listener")


class Connection(Considerate):
    """One operator's connection."""

    __slots__ = ("_amid_a_head", "_listener")

    def __init__(self, listener: "Listener", server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop=loop, access_log=None)  # type: ignore[arg-type]  # as aiohttp documents it
        self._listener = listener
        self._amid_a_head = False

    @property
    def _is_amid_a_head(self) -> bool:
        return self._amid_a_head

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._amid_a_head = not self._messages and self._current_request is None

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send it, and say where this is the last one."""
        if self._listener.is_closing:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)


class Listener:
    """Answers what is asked on one socket, by an application."""

    def __init__(self, application: web.Application) -> None:
        self.is_closing = False
        """Nobody is let in any more, and each answer is the last one on its connection."""
        self.listens = False
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        self._listening: socket.socket | None = None
        self._arriving: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._hurried = False

    async def open(self, listening: socket.socket) -> None:
        """Take what comes on this socket, which belongs to the listener from now on."""
        await self._runner.setup()
        self._listening = listening
        self.listens = True
        self._go_on()

    async def close(self, within_s: float = ANSWER_S_MAX) -> None:
        """Take what waits, and nothing any more; return when everybody who has asked is answered, at most so much later.

        Other processes may have the same socket open, and go on.
        """
        self.is_closing = True
        if self._listening is not None and self.listens:
            self._take()
            self._pause()
            self.listens = False
            self._listening.close()
            await emptied(self._somebody, self._end_idle, within_s)
        await self._runner.cleanup()

    def hurry(self) -> None:
        """Wait for nobody: somebody insisted."""
        self._hurried = True

    def _somebody(self) -> bool:
        """Whether anybody is to be waited for: who is here, or has been taken and is about to be."""
        return not self._hurried and bool(self._arriving or self._server.connections)

    def _end_idle(self) -> None:
        self._server.pre_shutdown()

    @property
    def _server(self) -> web.Server:
        server = self._runner.server
        assert server is not None, "open"
        return server

    # ---- connections

    def _go_on(self) -> None:
        self._retry = None
        if self._listening is not None:
            asyncio.get_running_loop().add_reader(self._listening.fileno(), self._take)

    def _pause(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        elif self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening.fileno())

    def _take(self) -> None:
        if self._listening is None:
            return
        for _ in range(AT_ONCE):
            try:
                connection, _address = self._listening.accept()
            except OSError as error:
                if error.errno not in _GONE and self._retry is None:
                    self._wait(error)
                return
            task = asyncio.create_task(self._begin(connection, self._server))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    def _wait(self, error: OSError) -> None:
        """No descriptor, no memory: the same again at once would be a spin."""
        _log.warning("operators_wait", error=errno.errorcode.get(error.errno or 0, "?"), again_in_s=RETRY_S)
        self._pause()
        self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._go_on)

    async def _begin(self, connection: socket.socket, server: web.Server) -> None:
        loop = asyncio.get_running_loop()
        try:
            connection.setblocking(False)
            await loop.connect_accepted_socket(lambda: Connection(self, server, loop), connection)
        except OSError:  # it ended before it began
            connection.close()
