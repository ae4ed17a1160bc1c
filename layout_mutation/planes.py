"""`layout-mutation sidecar` and `layout-mutation control-plane`: one plane alone, configured by the environment."""

import argparse
import importlib

CONTROL_PLANE = "control-plane"
_PLANES = {"sidecar": "sidecar.__main__", CONTROL_PLANE: "control_plane.__main__"}

EXAMPLES = """\
examples:
  SIDECAR_UPSTREAM=http://127.0.0.1:3000 layout-mutation sidecar
  DATABASE_URL=postgresql://… REDIS_URL=redis://… CONTROL_PLANE_SIGNING_KEY=… CONTROL_PLANE_JWT_SECRET=… \\
      layout-mutation control-plane
  layout-mutation control-plane --restore everything.zst
      up again with an export or a backup and an empty database: filled first, then served; the same command is good for later starts

.env.example lists every variable. A file .env in the current folder is read too; real variables win.
exit codes: 0 stopped when asked, 1 --restore on a store that holds other data, 2 a setting or a file that can't be used, 3 could not run
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything comes from the environment, but for the file that a control plane begins with."""
    if parser.prog.endswith(CONTROL_PLANE):
        importlib.import_module(_PLANES[CONTROL_PLANE]).add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run a plane until it is told to stop."""
    module = importlib.import_module(_PLANES[arguments.command])
    restore: str | None = getattr(arguments, "restore", None)
    code: int = module.main([] if restore is None else ["--restore", restore])
    return code
