"""`layout-mutation sidecar` and `layout-mutation control-plane`: one plane alone, configured by the environment."""

import argparse
import importlib

_PLANES = {"sidecar": "sidecar.__main__", "control-plane": "control_plane.__main__"}

EXAMPLES = """\
examples:
  SIDECAR_UPSTREAM=http://127.0.0.1:3000 layout-mutation sidecar
  DATABASE_URL=postgresql://… REDIS_URL=redis://… CONTROL_PLANE_SIGNING_KEY=… CONTROL_PLANE_JWT_SECRET=… \\
      layout-mutation control-plane

.env.example lists every variable. A file .env in the current folder is read too; real variables win.
exit codes: 0 stopped when asked, 2 a setting that can't be used, 3 could not run
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Neither plane takes options: everything comes from the environment."""


def run(arguments: argparse.Namespace) -> int:
    """Run a plane until it is told to stop."""
    module = importlib.import_module(_PLANES[arguments.command])
    code: int = module.main([])
    return code
