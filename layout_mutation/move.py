"""`layout-mutation move`: everything of one store into another, verified; or both compared.

Counterpart: `control_plane.moving` does it; a control plane that is started on another store does it by itself. Never: a
password in what is printed.
"""

import argparse

from control_plane.moving.moves import compared, move, planned
from control_plane.moving.places import opened, place_of
from layout_mutation.environment import add_data_dir, read_environment
from layout_mutation.stores import answered, chain_of, hooks_of, named_store, told_of_comparison, told_of_move

EXAMPLES = """\
examples:
  layout-mutation move --from env:OLD_DATABASE_URL --to env:DATABASE_URL --check
      both side by side: what is where, and whether it could be moved; changes nothing
  layout-mutation move --from env:OLD_DATABASE_URL --to env:DATABASE_URL
      create what is missing there, carry everything over in one transaction, and prove that it arrived

A store is a postgresql:// address, the path of an SQLite file, or env:NAME for a variable that holds either, which keeps
passwords out of the list of processes. Stop the control plane first, or start it with CONTROL_PLANE_MOVE_FROM instead of this; docs/moving.md.
exit codes: 0 moved (with --check: both are the same), 1 it may not be moved or did not arrive (with --check: they
differ), 2 wrong usage, 3 a store can't be reached
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `move`."""
    parser.add_argument("--from", dest="source", required=True, metavar="STORE", help="where everything is")
    parser.add_argument("--to", dest="target", required=True, metavar="STORE", help="where it is to be")
    parser.add_argument("--check", action="store_true", help="only compare both, and say whether it could be moved")
    parser.add_argument("--json", action="store_true", help="the comparison, or what was done, as JSON")
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Move or compare. The exit code of the contract."""
    environ = read_environment(arguments.data_dir)
    source, target = (
        named_store(option, text, environ)
        for option, text in (("--from", arguments.source), ("--to", arguments.target))
    )
    if arguments.check:
        return answered(lambda: _compare(source, target, environ, as_json=arguments.json))
    return answered(lambda: _move(source, target, environ, as_json=arguments.json))


async def _compare(source: str, target: str, environ: dict[str, str], *, as_json: bool) -> int:
    chain = chain_of(environ)
    async with opened(source, chain) as one, opened(target, chain) as other:
        plan = await planned(one, place_of(source), other, place_of(target))
        return told_of_comparison(plan, await compared(one, other), as_json=as_json)


async def _move(source: str, target: str, environ: dict[str, str], *, as_json: bool) -> int:
    chain = chain_of(environ)
    async with opened(source, chain) as one, opened(target, chain, to_write=True) as other:
        moved = await move(one, place_of(source), other, place_of(target), hooks_of(environ), chain=chain)
    return told_of_move(moved, as_json=as_json)
