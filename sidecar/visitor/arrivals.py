"""Takes visitors' connections off the socket that the workers share, and no more of them than this worker can serve.

Beyond the limit nothing is refused: what nobody takes waits in the kernel's queue, for this worker or another. While somebody
waits there, connections that are only kept in case of another request make room, those first that have been idle longest: or
else whoever opens enough of them, and leaves them idle, keeps everybody out.
Counterparts: `connections` makes of each what it is, and says when one has ended; `processes` own the socket.
Never: a spin on a socket that cannot be accepted from.
"""

import asyncio
import errno
import select
import socket
from collections.abc import Callable

from sidecar.telemetry import Telemetry

AT_ONCE = 16
"""Taken in one turn of the loop; the next ones may be another worker's."""
RETRY_S = 0.5
"""How long nothing is taken after the system had no descriptor or memory for one, and until a full worker looks again whom
it can do without."""
DESCRIPTORS_KEPT = 64
"""Descriptors of a worker that are no visitor's: sockets to Redis, to the children, files, Python's own."""

_GONE = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR, errno.ECONNABORTED, errno.EPROTO}
"""Whoever was there has left, or another worker was faster."""


def connections_bound(wanted: int, descriptors: int) -> int:
    """How many connections a process may serve that may open so many descriptors: each may need one to the origin, too."""
    return max(1, min(wanted, (descriptors - DESCRIPTORS_KEPT) // 2))


class Arrivals:
    """The entrance of one worker. Made in a running event loop; `listening` belongs to it from now on."""

    def __init__(
        self,
        listening: socket.socket,
        connect: Callable[[], asyncio.Protocol],
        *,
        connections_max: int,
        telemetry: Telemetry,
        make_room: Callable[[int], int],
    ) -> None:
        """`make_room` ends so many idle connections at most, and says how many those were."""
        self._listening = listening
        self._make_room = make_room
        self._connect = connect
        self._max = connections_max
        self._telemetry = telemetry
        self._loop = asyncio.get_running_loop()
        self._taking = False
        self._closed = False
        self._retry: asyncio.TimerHandle | None = None
        self._reclaiming: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.here = 0
        """Connections that were taken and have not ended."""

    def open(self) -> None:
        """Take what comes, where that is possible at the moment."""
        if not self._closed and not self._taking and self._retry is None and self.here < self._max:
            self._taking = True
            _forget(self._reclaiming)
            self._loop.add_reader(self._listening.fileno(), self._take)

    def close(self) -> None:
        """Take nothing any more. Who is here stays; other processes may have the same socket open, and go on."""
        self._pause()
        self._closed = True
        self._listening.close()
        _forget(self._retry)
        _forget(self._reclaiming)

    def left(self) -> None:
        """A connection has ended."""
        self.here -= 1
        if not self._taking:
            self.open()

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            if self.here >= self._max:
                self._pause()
                self._telemetry.held_back.inc()
                self._reclaim()
                return
            try:
                connection, _ = self._listening.accept()
            except OSError as error:
                if error.errno not in _GONE:
                    self._wait(error)
                return
            self.here += 1
            task = self._loop.create_task(self._begin(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _begin(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            await self._loop.connect_accepted_socket(self._connect, connection)
        except OSError:  # it ended before it began
            connection.close()
            self.left()

    def _wait(self, error: OSError) -> None:
        """No descriptor, no memory: the same again at once would be a spin."""
        self._pause()
        self._telemetry.accept_failed(errno.errorcode.get(error.errno or 0, "?"))
        self._retry = self._loop.call_later(RETRY_S, self._again)

    def _reclaim(self) -> None:
        """Have idle connections make room for whoever waits; where none does, look again in a moment."""
        if self._taking or self._closed:
            return
        if _somebody_waits(self._listening):
            self._telemetry.reclaimed.inc(self._make_room(AT_ONCE))
        self._reclaiming = self._loop.call_later(RETRY_S, self._reclaim)

    def _again(self) -> None:
        self._retry = None
        self.open()

    def _pause(self) -> None:
        if self._taking:
            self._taking = False
            self._loop.remove_reader(self._listening.fileno())


def _forget(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _somebody_waits(listening: socket.socket) -> bool:
    """Whether there is a connection to be taken."""
    waiting = select.poll()
    waiting.register(listening.fileno(), select.POLLIN)
    return bool(waiting.poll(0))
