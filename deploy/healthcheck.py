"""The container's health: does the plane in here answer?

    healthcheck.py [URL]        without a URL, the plane's own /healthz; whichever plane this container runs

Counterpart: HEALTHCHECK in the Dockerfile. Never: needs curl or anything beyond the standard library, or asks Redis or
PostgreSQL: a sidecar without them still serves pages, and restarting it would only make things worse.
"""

import os
import sys
from collections.abc import Mapping
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

TIMEOUT_S = 2.0
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def addresses(environ: Mapping[str, str]) -> list[str]:
    """The health pages of both planes; in a container one of them is served."""
    listens = [environ.get("SIDECAR_ADMIN_LISTEN"), environ.get("CONTROL_PLANE_LISTEN")]
    return [f"http://{reachable(listen)}/healthz" for listen in listens if listen]


def reachable(listen: str) -> str:
    """HOST:PORT to connect to, of HOST:PORT that is listened on."""
    host, _, port = listen.rpartition(":")
    return f"{ANY_ADDRESS.get(host, host)}:{port}"


def answers(url: str) -> bool:
    """Whether `url` answers with a status below 400, asked without any proxy."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=TIMEOUT_S):
            return True
    except (URLError, OSError, ValueError):
        return False


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """0 healthy, 1 not: what Docker reads."""
    return 0 if any(answers(url) for url in arguments or addresses(environ)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
