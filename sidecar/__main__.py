"""`python -m sidecar`: the supervisor with its workers, or (`--worker N`, started by it) one of the workers.

Configuration is `SIDECAR_*` in the environment or in `.env`. Exit codes: 0 stopped as asked, 2 the settings can't be
used, 3 it could not run (a port is taken).
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial

import structlog
import uvloop
from aiohttp import web

from service import logs
from service.settings import SettingsError, environment, load
from sidecar.processes.admin import Admin
from sidecar.processes.control import SWITCH_OFF, SWITCH_ON
from sidecar.processes.supervisor import Supervisor
from sidecar.processes.workers import work
from sidecar.settings import SidecarSettings, address

BACKLOG = 4096
"""Connections that wait to be accepted; the kernel may allow less."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to stop; returns the exit code."""
    options = _options(arguments)
    try:
        settings = load(SidecarSettings, environment())
    except SettingsError as error:
        print(f"sidecar: {error}", file=sys.stderr)
        return 2
    if options.worker is not None:
        logs.configure(level=settings.log_level, room="sidecar")
        structlog.contextvars.bind_contextvars(worker=options.worker)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(
                work(
                    settings,
                    number=options.worker,
                    listen_fd=options.listen_fd,
                    control_fd=options.control_fd,
                    switched_off=options.switched_off,
                )
            )
        return 0
    logs.configure(level=settings.log_level, room="sidecar")
    try:
        visitors = listening_on(settings.listen)
        operators = listening_on(settings.admin_listen)
    except OSError as error:
        print(f"sidecar: {error}", file=sys.stderr)
        return 3
    return asyncio.run(_supervise(settings, visitors, operators))


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


async def _supervise(settings: SidecarSettings, visitors: socket.socket, operators: socket.socket) -> int:
    log = structlog.get_logger("sidecar.processes.supervisor")
    supervisor = Supervisor(settings, visitors)
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            supervisor.kill()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked)
    for number, off in ((SWITCH_OFF, True), (SWITCH_ON, False)):
        asyncio.get_running_loop().add_signal_handler(number, partial(supervisor.switch, off=off))
    runner = web.AppRunner(Admin(supervisor).application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, operators).start()
    supervisor.start()
    started = asyncio.create_task(supervisor.first_started())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((started, stopped), return_when=asyncio.FIRST_COMPLETED)
    if started.done():
        log.info(
            "ready",
            listen=_name(visitors),
            admin=_name(operators),
            workers=settings.worker_count,
            pid=os.getpid(),
            shadow=settings.shadow,
        )
    await stopped
    started.cancel()
    await supervisor.stop()
    await runner.cleanup()
    log.info("stopped")
    return 0


def _name(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sidecar",
        description="A reverse proxy that changes the layout of the pages it carries.",
        epilog="SIDECAR_UPSTREAM=http://127.0.0.1:3000 python -m sidecar",
    )
    for name in ("--worker", "--listen-fd", "--control-fd"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--switched-off", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
