"""The process of one generation: a supervisor with its workers and the internal listener, from one start to its end.

`python -m sidecar.processes.supervision`, started by the door, never by a person. It reads the settings, takes the sockets
that the door has kept or opens its own, says when every worker serves, and does what the door says until that is gone.
Counterparts: `door`, at the other end of the wire; `supervisor`, `admin` and `listener` do the work. Never: a signal of its own but
SIGTERM, which a service manager may send to everybody.
"""

from service import imports

if __name__ == "__main__":
    imports.begin()

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

import structlog

from service import logs
from service.settings import SettingsError, environment, load
from sidecar.processes.admin import Admin
from sidecar.processes.door import BEAT, KILL, LEAVE, OFF, ON, OPERATORS, STOP, VISITORS
from sidecar.processes.listener import Listener
from sidecar.processes.supervisor import Supervisor
from sidecar.settings import SidecarSettings, address

BEAT_S = 1.0
"""How often the door hears that this process goes on."""
BACKLOG = 4096
"""Connections that wait to be accepted; the kernel may allow less."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to stop; returns the exit code of the whole (`sidecar.__main__` has them)."""
    options = _options(arguments)
    door = socket.socket(fileno=options.door_fd)
    os.set_inheritable(options.door_fd, False)
    try:
        # A worker that replaces another one later must find these settings, not what `.env` says by then.
        os.environ.update(environment())
        settings = load(SidecarSettings, os.environ)
        logs.configure(level=settings.log_level, room="sidecar")
        kept = json.loads(options.sockets)
        visitors = taken_or_opened(kept.get(VISITORS), settings.listen)
        operators = taken_or_opened(kept.get(OPERATORS), settings.admin_listen)
    except SettingsError as error:
        sys.stderr.write(f"sidecar: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"sidecar: {error}\n")
        return 3
    lost = json.loads(options.lost)
    generation = Generation(settings, visitors, operators, door, switched_off=options.switched_off, lost=lost)
    return asyncio.run(generation.run(successor=options.successor))


def taken_or_opened(kept: Sequence[object] | None, listen: str) -> socket.socket:
    """A socket that listens on `listen`: the one that was kept, where it does; an address that is empty fits every one."""
    if kept is not None:
        listening = socket.socket(fileno=int(str(kept[1])))
        if kept[0] in {"", listen}:
            listening.listen(BACKLOG)
            listening.setblocking(False)
            return listening
        listening.close()  # a port at which nobody answers must not stay open
    return listening_on(listen)


def listening_on(listen: str) -> socket.socket:
    """A socket that listens on `host:port`; OSError says which address and why not."""
    host, port = address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(f"can't listen on {listen}: {error.strerror or error}") from error
    listening.setblocking(False)
    return listening


class Generation:
    """One supervisor and its workers, as the door sees them."""

    def __init__(
        self,
        settings: SidecarSettings,
        visitors: socket.socket,
        operators: socket.socket,
        door: socket.socket,
        *,
        switched_off: bool,
        lost: Mapping[str, int],
    ) -> None:
        self._settings = settings
        self._visitors = visitors
        self._operators = operators
        self._door = door
        self._supervisor = Supervisor(settings, visitors, switched_off=switched_off, lost=lost)
        self._listener = Listener(Admin(self._supervisor).application)
        self._told = asyncio.Event()
        self._has_successor = False
        """Another generation serves already."""
        self._log = structlog.get_logger("sidecar.processes.supervision")

    async def run(self, *, successor: bool) -> int:
        """From the start of the workers to their end; the exit code. A successor gives up when a worker does not come up."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._obey, STOP)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        listening, beating = loop.create_task(self._listen()), loop.create_task(self._beat())
        if not successor:
            await self._listener.open(self._operators)
        self._supervisor.start()
        code = 0 if await self._started(may_fail=not successor) else 3
        if code == 0 and not self._told.is_set():
            if successor:
                await self._listener.open(self._operators)
            self._say_ready()
            await self._told.wait()
        if self._has_successor:
            await self._listener.close()
        await self._supervisor.stop(unready_s=0.0 if self._has_successor or code else self._settings.unready_s)
        await self._listener.close()
        listening.cancel()
        beating.cancel()
        self._log.info("stopped", successor=self._has_successor)
        return code

    async def _started(self, *, may_fail: bool) -> bool:
        """Wait until every worker serves, or somebody says stop; False where one failed that may not."""
        loop = asyncio.get_running_loop()
        waits = [loop.create_task(self._supervisor.first_started()), loop.create_task(self._told.wait())]
        if not may_fail:
            waits.append(loop.create_task(self._supervisor.first_failed()))
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        failed = not may_fail and waits[2].done() and not waits[0].done()
        for wait in waits:
            wait.cancel()
        return not failed

    async def _listen(self) -> None:
        """Do what the door says; its silence says stop."""
        reader, writer = await asyncio.open_connection(sock=self._door.dup())
        # A door that had not heard everything ends by a reset.
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            while word := await reader.readline():
                self._obey(word)
        if not self._told.is_set():
            self._log.error("door_gone", fix="this sidecar ends; start it again")
            self._obey(STOP)

    async def _beat(self) -> None:
        """Let the door hear that this event loop goes round; a door that takes nothing at the moment misses nothing."""
        while True:
            with contextlib.suppress(OSError):
                self._door.send(BEAT, socket.MSG_DONTWAIT)
            await asyncio.sleep(BEAT_S)

    def _obey(self, word: bytes) -> None:
        match word:
            case _ if word in {OFF, ON}:
                self._supervisor.switch(off=word == OFF)
            case _ if word == KILL:
                self._told.set()
                self._listener.hurry()
                self._supervisor.kill()
            case _:
                self._has_successor = self._has_successor or word == LEAVE
                self._told.set()

    def _say_ready(self) -> None:
        self._log.info(
            "ready",
            listen=_name(self._visitors),
            admin=_name(self._operators),
            workers=self._settings.worker_count,
            pid=os.getppid(),
            shadow=self._settings.shadow,
        )
        names = json.dumps({VISITORS: self._settings.listen, OPERATORS: self._settings.admin_listen}).encode()
        with contextlib.suppress(OSError):  # a door that has just ended is noticed by its silence
            socket.send_fds(self._door, [names + b"\n"], [self._visitors.fileno(), self._operators.fileno()])


def _name(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Keeps workers. `python -m sidecar` starts it.")
    parser.add_argument("--door-fd", type=int, required=True, help="the inherited end of a stream socket pair")
    parser.add_argument(
        "--sockets", default="{}", help='what the door has kept: {"visitors": [address, descriptor], …}'
    )
    parser.add_argument("--successor", action="store_true", help="another generation serves at the moment")
    parser.add_argument("--switched-off", action="store_true", help="a signal has switched everything off")
    parser.add_argument("--lost", default="{}", help='supervisors before this one that were lost: {"hung": 1, …}')
    return parser.parse_args(arguments)


if __name__ == "__main__":
    imports.end()
    sys.exit(main())
