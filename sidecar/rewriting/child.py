"""One child process as its worker sees it: start, ask, hear, end.

Counterpart: `rewriter.py` is what runs in the child; `isolation.py` owns the child and keeps the clock.
All calls are made on the event loop's thread, which must be the thread that lives longest: the kernel ties the child to
the thread that started it (prctl(2)).

Never: a deadline, a retry, or an opinion about a page.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import cast

from sidecar.rewriting.confinement import LENGTH_BYTES, MESSAGE_BYTES_MAX, framed

COMMAND = (sys.executable, "-P", "-m", "sidecar.rewriting.rewriter")
SOCKET_BUFFER_BYTES = 512 * 1024
"""A typical page goes over in one system call; larger ones in several, as the kernel's own limit has it."""

REAP_INTERVAL_S = 0.005
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPYCACHEPREFIX")
KEPT_PREFIXES = ("MALLOC_",)
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024 * 1024),
    "MALLOC_TOP_PAD_": str(16 * 1024 * 1024),
}
"""glibc gives the memory of a page back to the system after each and faults it in again for the next: a third of the
round trip of 100 KB (measured: 870 µs without, 550 µs with). A variable that is set outside wins."""


class Child(asyncio.Protocol):
    """A running rewriter. Callbacks come from the event loop, `on_end` exactly once and nothing after it.

    `on_ready()` when it has started, `on_reply(message)` for each answer, `on_end(why)` when it has ended or spoke
    nonsense; after `end()` there are no callbacks at all.
    """

    def __init__(
        self,
        *,
        on_ready: Callable[["Child"], None],
        on_reply: Callable[["Child", bytes], None],
        on_end: Callable[["Child", str], None],
    ) -> None:
        self.ready = False
        self._on_ready = on_ready
        self._on_reply = on_reply
        self._on_end = on_end
        self._inbox = bytearray()
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._over = False

    async def start(self, command: Sequence[str] = COMMAND) -> None:
        """Start the process; returns before it is ready. Raises OSError if the system has no room for another."""
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
            self._process = _spawn(command, theirs.fileno())
            # What the child says at once may be heard before this returns: callers learn everything by callback.
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int | None:
        """The process id, None before it was started."""
        return None if self._process is None else self._process.pid

    def ask(self, message: bytes) -> None:
        """Send one request; the answer comes by `on_reply`."""
        assert self._transport is not None
        self._transport.write(framed(message))

    def end(self) -> None:
        """Kill it and forget it; `reaped` waits until it is gone."""
        self._over = True
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        if self._transport is not None:
            self._transport.abort()

    def hang_up(self) -> None:
        """Close our end of the socket: an idle child then ends by itself."""
        self._over = True
        if self._transport is not None:
            self._transport.close()

    async def reaped(self) -> str:
        """Wait until the process has ended; how, in words."""
        if self._process is None:
            return "never started"
        while (code := self._process.poll()) is None:  # noqa: ASYNC110 - the system offers no event everywhere
            await asyncio.sleep(REAP_INTERVAL_S)
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is one by its methods only
        if self._over:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        while not self._over and len(self._inbox) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(self._inbox[:LENGTH_BYTES], "big")
            if end > MESSAGE_BYTES_MAX:
                self._lost("it announced an answer that is too long")
                return
            if len(self._inbox) < end:
                return
            message = bytes(self._inbox[LENGTH_BYTES:end])
            del self._inbox[:end]
            self._heard(message)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost("it ended" if error is None else f"it ended: {error}")

    def _heard(self, message: bytes) -> None:
        if self.ready and message:
            self._on_reply(self, message)
        elif not self.ready and not message:
            self.ready = True
            self._on_ready(self)
        else:
            self._lost("it answered out of turn")

    def _lost(self, why: str) -> None:
        if not self._over:
            self.end()
            self._on_end(self, why)


def environment() -> dict[str, str]:
    """What the child may know: where programs and modules are, how memory is handled. No address, no key, no token."""
    kept = MALLOC | {
        name: value for name, value in os.environ.items() if name in KEPT_VARIABLES or name.startswith(KEPT_PREFIXES)
    }
    # Whatever way this process found its modules, the child finds the same ones.
    kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path) or os.curdir
    return kept


def _spawn(command: Sequence[str], descriptor: int) -> subprocess.Popen[bytes]:
    """Start the child with one descriptor beyond the standard three. vfork: a millisecond, whatever our size."""
    # The child inherits the blocked signals: a Ctrl-C during its first moments, before it ignores them, is not its own.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        return subprocess.Popen(  # noqa: S603 - a fixed program
            [*command, "--fd", str(descriptor), "--parent", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(descriptor,),
            env=environment(),
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
