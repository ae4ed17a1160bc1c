"""`layout-mutation import`: a store filled from a file that `layout-mutation export` wrote.

Counterpart: `export.py`; `control_plane.moving` carries and compares. Never: half a file, or two installations in one store.
"""

import argparse
from pathlib import Path

from control_plane.moving.exports import ExportFile
from control_plane.moving.moves import compared, move, planned
from control_plane.moving.places import Place, StoreKind, opened, place_of
from layout_mutation.environment import add_data_dir, read_environment
from layout_mutation.inputs import UnusableError
from layout_mutation.stores import (
    answered,
    chain_of,
    default_store,
    file_keys,
    hooks_of,
    told_of_comparison,
    told_of_move,
)

EXAMPLES = """\
examples:
  layout-mutation import everything.jsonl.zst
      create the database and its schema where they are missing, fill it, and prove that everything is there
  layout-mutation import everything.jsonl.zst --into env:NEW_DATABASE_URL
  layout-mutation import everything.jsonl.zst --check
      the file and the store side by side; changes nothing

A store that holds another installation's data is refused. What is there already stays, so a repetition is harmless.
A backup is such a file too. A rules file, {"mutations": …}, goes to POST /api/layout-mutation/import instead.
exit codes: 0 everything is there (with --check: both are the same), 1 it may not be mixed or did not arrive (with
--check: they differ), 2 wrong usage or a file that can't be used, 3 the store can't be reached
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `import`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="what `layout-mutation export` or a backup wrote")
    parser.add_argument(
        "--into", dest="target", metavar="STORE", help="an address, a path, or env:NAME [the store of the environment]"
    )
    parser.add_argument("--check", action="store_true", help="only compare, and say whether it could be imported")
    parser.add_argument("--json", action="store_true", help="the comparison, or what was done, as JSON")
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Import or compare. The exit code of the contract."""
    environ = read_environment(arguments.data_dir)
    target = default_store("--into", arguments.target, environ, arguments.data_dir)
    if _is_json(arguments.file):
        raise UnusableError(f"{arguments.file}: a rules file goes to POST /api/layout-mutation/import")
    work = _compare if arguments.check else _import
    return answered(lambda: work(arguments.file, target, environ, as_json=arguments.json))


def _is_json(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(1) == b"{"
    except OSError as error:
        raise UnusableError(f"{path}: {error.strerror or error}") from None


async def _compare(path: Path, target: str, environ: dict[str, str], *, as_json: bool) -> int:
    file = ExportFile(path, file_keys(environ))
    async with opened(target, chain_of(environ)) as store:
        plan = await planned(file, _place(path), store, place_of(target))
        return told_of_comparison(plan, await compared(file, store), as_json=as_json)


async def _import(path: Path, target: str, environ: dict[str, str], *, as_json: bool) -> int:
    file = ExportFile(path, file_keys(environ))
    await file.position()  # nothing is created for a file that can't be used
    chain = chain_of(environ)
    async with opened(target, chain, to_write=True) as store:
        moved = await move(file, _place(path), store, place_of(target), hooks_of(environ), chain=chain)
    return told_of_move(moved, as_json=as_json)


def _place(path: Path) -> Place:
    return Place(StoreKind.FILE, str(path))
