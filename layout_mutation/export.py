"""`layout-mutation export`: everything that a store holds as one file.

Counterparts: `load.py` is `layout-mutation import`; `control_plane.moving.exports` has the format. Never: the rules file;
`GET /api/layout-mutation/export` gives that.
"""

import argparse
import sys
from pathlib import Path

from control_plane.moving.exports import write, write_file
from control_plane.moving.places import opened
from layout_mutation.environment import add_data_dir, read_environment
from layout_mutation.inputs import UnusableError
from layout_mutation.stores import answered, chain_of, default_store

EXAMPLES = """\
examples:
  layout-mutation export --to everything.jsonl
      mutations with all versions, audit, published tables, settings, alerts, ...: all of it, as of one moment
  layout-mutation export --from env:OLD_DATABASE_URL --to everything.jsonl

The service may run meanwhile. The file is for this program; docs/moving.md describes it.
exit codes: 0 written, 2 wrong usage, 3 the store can't be reached or the file can't be written
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `export`."""
    parser.add_argument("--to", type=Path, metavar="FILE", help="the file, replaced whole [standard output]")
    parser.add_argument(
        "--from", dest="source", metavar="STORE", help="an address, a path, or env:NAME [the store of the environment]"
    )
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the file. The exit code of the contract."""
    environ = read_environment(arguments.data_dir)
    source = default_store("--from", arguments.source, environ)
    if arguments.to is None and sys.stdout.isatty():
        raise UnusableError("--to FILE: name a file, or lead standard output into one")
    try:
        return answered(lambda: _export(source, arguments.to, environ))
    except OSError as error:
        print(f"error: {error.filename or 'standard output'}: {error.strerror or error}", file=sys.stderr)
        return 3


async def _export(source: str, path: Path | None, environ: dict[str, str]) -> int:
    async with opened(source, chain_of(environ)) as store:
        if path is None:
            await write(store, sys.stdout.buffer)
        else:
            count = await write_file(store, path)
            print(f"wrote {path}: {count} records")
    return 0
