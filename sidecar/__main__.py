"""`python -m sidecar`: the door, which starts a supervisor with its workers, and others in its place when asked to.

Configuration is `SIDECAR_*` in the environment or in `.env`. SIGTERM and SIGINT stop (twice: at once), SIGHUP restarts
without a gap, with settings and program as they are then; SIGUSR1 and SIGUSR2 switch everything off and on. Exit codes: 0
stopped as asked, 2 the settings can't be used, 3 it could not run (a port is taken).
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from service import imports
from sidecar.processes.heard import HEARD


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to stop; returns the exit code."""
    # A signal waits until somebody hears it: in the middle of an import it could be lost without a trace.
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    imports.begin()
    from service import logs  # noqa: PLC0415 - see above
    from sidecar.processes import door  # noqa: PLC0415 - see above

    imports.end()
    argparse.ArgumentParser(
        prog="python -m sidecar",
        description="A reverse proxy that changes the layout of the pages it carries.",
        epilog="SIDECAR_UPSTREAM=http://127.0.0.1:3000 python -m sidecar",
    ).parse_args(arguments)
    logs.configure(level="info", room="sidecar")
    return door.main(os.environ)


if __name__ == "__main__":
    sys.exit(main())
