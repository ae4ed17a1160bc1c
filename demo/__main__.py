"""`python -m demo`: open the shop on one address until SIGTERM or SIGINT.

Counterpart: `app.build_app` builds what is served here. Never decides what a page says.

Exit codes: 0 closed when asked, 2 wrong usage, 3 the address can't be listened on.
"""

import argparse
import asyncio
import errno
import os
import signal
import sys
from functools import partial

from aiohttp import web

from demo.app import build_app

CLOSING_GRACE_S = 1.0
"""How long a page that is still being streamed may hold up the closing."""


def main() -> int:
    """Parse the command line and serve. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Larkmoor Tea, a small shop to try mutations on.",
        epilog="Example: python -m demo --listen 127.0.0.1:8082",
    )
    parser.add_argument(
        "--listen",
        type=listen_address,
        default=("127.0.0.1", 8082),
        metavar="HOST:PORT",
        help="where to listen; port 0 takes a free one (default 127.0.0.1:8082)",
    )
    parser.add_argument(
        "--slow-chunk-ms",
        type=milliseconds,
        default=200,
        metavar="MS",
        help="pause before each later chunk of /slow, which has about 15 (default 200)",
    )
    arguments = parser.parse_args()
    host, port = arguments.listen
    app = build_app(chunk_pause=partial(asyncio.sleep, arguments.slow_chunk_ms / 1000))
    return asyncio.run(serve(app, host, port))


async def serve(app: web.Application, host: str, port: int) -> int:
    """Serve until a signal comes; print the address once it answers. Returns the exit code, 0 or 3."""
    closing = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, closing.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSING_GRACE_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        print(f"Larkmoor Tea is open at http://{authority(host, bound)}/ (Ctrl-C closes it)", flush=True)
        await closing.wait()
    except OSError as error:
        print(f"demo: can't listen on {authority(host, port)}: {listen_problem(error)}", file=sys.stderr)
        return 3
    finally:
        await runner.cleanup()
    return 0


def listen_address(text: str) -> tuple[str, int]:
    """`127.0.0.1:8082` or `[::1]:8082` as (host, port)."""
    host, separator, port = text.rpartition(":")
    if not (separator and host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, for example 127.0.0.1:8082")
    return host.removeprefix("[").removesuffix("]"), int(port)


def milliseconds(text: str) -> int:
    """A whole number of milliseconds, 0 to 60000."""
    if not (text.isascii() and text.isdigit() and int(text) <= 60_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of milliseconds from 0 to 60000")
    return int(text)


def authority(host: str, port: int) -> str:
    """Host and port as they stand in an address: an IPv6 host in brackets (RFC 3986 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen_problem(error: OSError) -> str:
    """What went wrong and what to do, on one line."""
    if error.errno == errno.EADDRINUSE:
        return "the port is taken; stop what listens there or choose another with --listen"
    if error.errno is not None and error.errno > 0:
        return f"{os.strerror(error.errno).lower()}; choose another address with --listen"
    return "the host is not known here; choose another with --listen"


if __name__ == "__main__":
    sys.exit(main())
