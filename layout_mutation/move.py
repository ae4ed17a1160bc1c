"""`layout-mutation move`: everything of one store into another, verified; or both compared.

Counterpart: `control_plane.moving` does it; a control plane that is started on another store does it by itself. Never: a
password in what is printed.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from control_plane.moving.moves import Compared, Hooks, MoveError, Plan, compared, move, planned
from control_plane.moving.places import opened, place_of
from control_plane.schema.runner import SchemaError
from control_plane.store import StoreError
from layout_mutation.environment import add_data_dir, read_environment
from layout_mutation.inputs import UnusableError
from layout_mutation.stores import chain_of, named_store

EXAMPLES = """\
examples:
  layout-mutation move --from env:OLD_DATABASE_URL --to env:DATABASE_URL --check
      both side by side: what is where, and whether it could be moved; changes nothing
  layout-mutation move --from env:OLD_DATABASE_URL --to env:DATABASE_URL
      create what is missing there, carry everything over in one transaction, and prove that it arrived

A store is a postgresql:// address, or env:NAME for a variable that holds one, which keeps its password out of the list of
processes. Stop the control plane first, or start it with CONTROL_PLANE_MOVE_FROM instead of this; docs/moving.md.
exit codes: 0 moved (with --check: both are the same), 1 it may not be moved or did not arrive (with --check: they
differ), 2 wrong usage, 3 a store can't be reached
"""

Answer = TypeVar("Answer")


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


def answered(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run it, and what goes wrong with stores as one line and an exit code."""
    try:
        return asyncio.run(work())
    except (MoveError, SchemaError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except StoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except ValueError as error:
        raise UnusableError(str(error)) from None


async def _compare(source: str, target: str, environ: dict[str, str], *, as_json: bool) -> int:
    chain = chain_of(environ)
    async with opened(source, chain) as one, opened(target, chain) as other:
        plan = await planned(one, place_of(source), other, place_of(target))
        rows = await compared(one, other)
    if as_json:
        print(msgspec.json.encode({"plan": plan, "entities": rows}).decode())
    else:
        _print(plan, rows)
        print(plan.problem or f"the target is {plan.standing.value}")
    return 0 if all(row.same for row in rows) else 1


async def _move(source: str, target: str, environ: dict[str, str], *, as_json: bool) -> int:
    chain = chain_of(environ)
    hooks = Hooks(environ.get("CONTROL_PLANE_MOVE_BEFORE", ""), environ.get("CONTROL_PLANE_MOVE_AFTER", ""))
    async with opened(source, chain) as one, opened(target, chain, to_write=True) as other:
        moved = await move(one, place_of(source), other, place_of(target), hooks)
    if as_json:
        print(msgspec.json.encode(moved).decode())
    else:
        _print(moved.plan, moved.entities)
        print(f"moved {moved.records} records; both sides are the same")
    if moved.remark:
        print(f"error: {moved.remark}", file=sys.stderr)
    return 1 if moved.remark else 0


def _print(plan: Plan, rows: Sequence[Compared]) -> None:
    print(f"from {plan.source.place}\nto   {plan.target.place}")
    for row in rows:
        if row.source.count or row.target.count:
            same = "same" if row.same else "differs"
            print(f"  {row.entity:<24}{row.source.count:>10}{row.target.count:>10}  {same}")
