"""`layout-mutation export`: everything that a store holds as one file.

Counterparts: `load.py` is `layout-mutation import`; `control_plane.moving.exports` has the format. Never: the rules file;
`GET /api/layout-mutation/export` gives that.
"""

import argparse
import sys
from datetime import datetime
from pathlib import Path

from control_plane.moving.exports import write
from control_plane.moving.places import opened
from layout_mutation.environment import add_data_dir, read_environment
from layout_mutation.stores import answered, chain_of, default_store, file_keys
from service.clock import now

EXAMPLES = """\
examples:
  layout-mutation export --to everything.jsonl.zst
      mutations with all versions, audit, published tables, settings, alerts, ...: all of it, as of one moment
  layout-mutation export --from env:OLD_DATABASE_URL
      into a file of this folder that is named by the time

The service may run meanwhile. The file is lines of JSON, compressed by zstd, and encrypted where
CONTROL_PLANE_BACKUP_RECIPIENTS names who may read it; docs/moving.md describes it.
exit codes: 0 written, 2 wrong usage, 3 the store can't be reached or the file can't be written
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `export`."""
    parser.add_argument("--to", type=Path, metavar="FILE", help="the file, replaced whole [one named by the time]")
    parser.add_argument(
        "--from", dest="source", metavar="STORE", help="an address, a path, or env:NAME [the store of the environment]"
    )
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the file. The exit code of the contract."""
    environ = read_environment(arguments.data_dir)
    source = default_store("--from", arguments.source, environ, arguments.data_dir)
    at = now()
    path = arguments.to or Path(f"layout-mutation-{at:%Y%m%dT%H%M%SZ}.jsonl.zst")
    try:
        return answered(lambda: _export(source, path, at, environ))
    except OSError as error:
        print(f"error: {error.filename or path}: {error.strerror or error}", file=sys.stderr)
        return 3


async def _export(source: str, path: Path, at: datetime, environ: dict[str, str]) -> int:
    keys = file_keys(environ)
    async with opened(source, chain_of(environ)) as store:
        trailer = await write(store, path, keys, at)
    print(f"wrote {path}: {trailer.records:,} records{', encrypted' if keys.recipients else ''}")
    return 0
