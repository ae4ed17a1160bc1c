"""`python -m control_plane`: run the service until it is told to stop.

Exit codes: 0 stopped as asked, 1 --restore on a store that holds other data, or whose schema needs a person, 2 settings or a file
that can't be used, 3 could not run. Never: settings from anywhere but the
environment and a `.env` file.
"""

from service import imports

if __name__ == "__main__":
    imports.begin()

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
from control_plane.backups.lines import BackupError, PlaceError
from control_plane.backups.restoring import NotEmptyError
from control_plane.schema.runner import SchemaError
from control_plane.settings import ControlPlaneSettings
from control_plane.starting_point import begin
from control_plane.store import StoreError
from service import logs
from service.clock import now
from service.settings import SettingsError, environment, load

EXIT_NO = 1
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
    add_arguments(parser)
    given = parser.parse_args(arguments)
    try:
        settings = load(ControlPlaneSettings, environment())
        application = app.create(settings)
    except (SettingsError, ValueError) as error:
        return _ended(EXIT_USAGE, error)
    logs.configure(level=settings.log_level, room="control_plane")
    if given.restore is not None and (code := _begun(given.restore, settings)):
        return code
    try:
        uvloop.run(_serve(settings, application))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        print(f"control-plane: can't listen on {settings.listen}: {reason}", file=sys.stderr)
        return EXIT_COULD_NOT_RUN
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the only option: what else there is to say is in the environment."""
    parser.add_argument(
        "--restore",
        metavar="FILE",
        help="fill an empty store from an export or a backup first: a file, a name that `layout-mutation backup list` shows, or latest; "
        "a store that has all of it already is gone on with, any other is left as it is (exit code 1)",
    )


def _begun(file: str, settings: ControlPlaneSettings) -> int:
    """Fill the store from a file; the exit code where that ends the start, or 0."""
    try:
        asyncio.run(begin(file, settings, now()))
    except (NotEmptyError, SchemaError) as error:
        return _ended(EXIT_NO, error)
    except (PlaceError, StoreError) as error:
        return _ended(EXIT_COULD_NOT_RUN, error)
    except BackupError as error:
        return _ended(EXIT_USAGE, error)
    return 0


def _ended(code: int, error: Exception) -> int:
    print(f"control-plane: {error}", file=sys.stderr)
    return code


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
    imports.end()
    sys.exit(main())
