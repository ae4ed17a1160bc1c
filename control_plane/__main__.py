"""`python -m control_plane`: run the service until it is told to stop.

Exit codes: 0 stopped as asked, 2 settings that can't be used, 3 could not run. Never: settings from anywhere but the
environment and a `.env` file.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import structlog
import uvloop
from aiohttp import web

from control_plane import app
from control_plane.settings import ControlPlaneSettings
from service import logs
from service.settings import SettingsError, environment, load

EXIT_USAGE = 2
EXIT_COULD_NOT_RUN = 3

log = structlog.get_logger("main")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the control plane; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m control_plane",
        description="Runs the control plane: the API and the admin pages. Everything is set by environment variables "
        "(CONTROL_PLANE_*, DATABASE_URL, REDIS_URL; see .env.example).",
        epilog="example: DATABASE_URL=postgresql://127.0.0.1/layout_mutation python -m control_plane",
    )
    parser.parse_args(arguments)
    try:
        settings = load(ControlPlaneSettings, environment())
        application = app.create(settings)
    except (SettingsError, ValueError) as error:
        print(f"control-plane: {error}", file=sys.stderr)
        return EXIT_USAGE
    logs.configure(level=settings.log_level, room="control_plane")
    try:
        uvloop.run(_serve(settings, application))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        print(f"control-plane: can't listen on {settings.listen}: {reason}", file=sys.stderr)
        return EXIT_COULD_NOT_RUN
    return 0


async def _serve(settings: ControlPlaneSettings, application: web.Application) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host, port = settings.address
    async with app.serving(application, host, port) as chosen:
        log.info("listening", host=host, port=chosen)
        await stop.wait()
        log.info("stopping")


if __name__ == "__main__":
    sys.exit(main())
