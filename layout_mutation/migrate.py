"""`layout-mutation migrate`: the database, or the file that stands for one, brought to this version's schema, or what that would take.

Counterpart: `control_plane.schema.runner` migrates databases, `control_plane.store.local.migrating` files. Never: data that is there
migrated without a copy of it, unless a person says so.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import msgspec

from control_plane.backups.backups import before_migration
from control_plane.schema import address
from control_plane.schema.runner import Plan, SchemaError, Step, migrate, plan
from control_plane.store import Chain, StoreError
from control_plane.store.local import LocalStore
from control_plane.store.local.examining import plan as plan_of_file
from layout_mutation.environment import add_data_dir, read_environment, require
from layout_mutation.inputs import UnusableError
from layout_mutation.stores import chain_of, kept_of, local_file
from service.clock import now

EXAMPLES = """\
examples:
  layout-mutation migrate --check
      what would be done, which tables are locked meanwhile and for how long; changes nothing; exit code 1 if there
      is something to do
  layout-mutation migrate
      create the database and the schema where they are missing, apply what is pending; data that is there is backed up first
  CONTROL_PLANE_STORE=local layout-mutation migrate --check
      the same for the file in CONTROL_PLANE_DATA_DIR; the service brings it up to date by itself, with a copy of it beside it

README_migration.md says of each migration what it does, why, and how to undo it.
exit codes: 0 up to date, 1 --check found pending migrations or the schema needs a person, 2 DATABASE_URL is not set
or no address, 3 the database can't be reached, or the file can't be used
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `migrate`."""
    parser.add_argument("--check", action="store_true", help="only say what would be done")
    parser.add_argument("--json", action="store_true", help="the plan, or what was done, as JSON")
    parser.add_argument("--without-backup", action="store_true", help="don't back up the data that is there before")
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Migrate or show the plan. The exit code of the contract."""
    environ = read_environment(arguments.data_dir)
    file = local_file(environ, arguments.data_dir)
    if file is not None:
        return _of_file(file, chain_of(environ), check=arguments.check, as_json=arguments.json)
    url = require(environ, "DATABASE_URL")
    try:
        address.parse(url)
    except ValueError as error:
        raise UnusableError(str(error)) from None
    try:
        if arguments.check:
            return _check(asyncio.run(plan(url)), as_json=arguments.json)
        before = None
        if not arguments.without_backup:
            before = before_migration(url, kept_of(environ, arguments.data_dir), chain_of(environ), now)
        return _done(asyncio.run(migrate(url, before=before)), as_json=arguments.json)
    except SchemaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except StoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3


def _of_file(file: Path, chain: Chain, *, check: bool, as_json: bool) -> int:
    """The same for the file that everything is kept in; the file is copied before, beside itself."""
    try:
        found = plan_of_file(file)
        if check:
            return _check(found, as_json=as_json, is_database=False)
        asyncio.run(_opened_once(LocalStore(file, chain=chain)))
        return _done(found.pending, as_json=as_json)
    except SchemaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except StoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3


async def _opened_once(store: LocalStore) -> None:
    try:
        await store.open()
    finally:
        await store.close()


def _check(found: Plan, *, as_json: bool, is_database: bool = True) -> int:
    if as_json:
        print(msgspec.json.encode(found).decode())
    else:
        exists = "" if found.database_exists else " (to be created)"
        what = "database" if is_database else "file"
        print(f"{what} {found.database}{exists}: schema {found.current} of {found.latest}")
        for step in found.pending:
            print(f"  {step.number:04} {step.name}: {step.what}")
            print(f"       {step.duration}; locks {', '.join(step.locks) or 'nothing that is in use'}")
        if found.problem:
            print(f"error: {found.problem}", file=sys.stderr)
    return 1 if found.pending or found.problem or not found.database_exists else 0


def _done(steps: tuple[Step, ...], *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.encode(steps).decode())
    else:
        for step in steps:
            print(f"applied {step.number:04} {step.name}: {step.what}")
        if not steps:
            print("up to date")
    return 0
