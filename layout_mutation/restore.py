"""`layout-mutation restore`: a database filled from a backup, so that one command brings an installation back.

Counterpart: `backup.py` makes them; `control_plane.backups.restoring` does the work. Never: over data that is there without a
backup of it and a person who typed the database's name.
"""

import argparse
import sys
from pathlib import Path

import msgspec

from control_plane.backups.backups import given_file, make
from control_plane.backups.configured import Configured
from control_plane.backups.occasions import BEFORE_REPLACING
from control_plane.backups.restoring import NotEmptyError, Restored, into_database, into_store, replacing
from control_plane.moving.places import is_path, opened, place_of
from control_plane.schema import address
from control_plane.schema.runner import plan
from control_plane.store.postgres import PostgresStore
from layout_mutation.environment import add_data_dir, read_environment, require
from layout_mutation.inputs import UnusableError
from layout_mutation.stores import answered, chain_of, default_store, kept_of
from service.clock import now

EXAMPLES = """\
examples:
  layout-mutation restore latest && layout-mutation control-plane
      an installation whose database and disk are gone is up again: with CONTROL_PLANE_BACKUP_URL and the keys in the environment
  layout-mutation restore layout-mutation-20300101T000000Z-7b0c6d0e-7.backup --into env:NEW_DATABASE_URL
  layout-mutation restore latest --replace
      over the data that is there: it is backed up first, and the database's name has to be typed

The database and its schema are made where they are missing, and brought to this version. All of it comes back, or nothing does.
exit codes: 0 restored, 1 the database holds data and --replace was not given or not confirmed, or the schema needs a
person, 2 wrong usage or a file that can't be used, 3 the database or a place can't be reached
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `restore`."""
    parser.add_argument("file", metavar="FILE", help="a file, a name that `backup list` shows, or latest")
    parser.add_argument("--into", dest="target", metavar="STORE", help="an address, a path, or env:NAME [DATABASE_URL]")
    parser.add_argument("--replace", action="store_true", help="also where there is data, which is backed up first")
    parser.add_argument("--json", action="store_true", help="what was restored, as JSON")
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Restore. The exit code of the contract."""
    environ = read_environment(arguments.data_dir)
    target = default_store("--into", arguments.target, environ, arguments.data_dir)
    require(environ, "CONTROL_PLANE_SIGNING_KEY")  # the audit goes on, sealed with the installation's key
    kept = kept_of(environ, arguments.data_dir)
    if arguments.replace and is_path(target):
        raise UnusableError("--replace is for databases; move a file that is in the way yourself")

    async def work() -> int:
        async with given_file(kept, arguments.file) as file:
            try:
                restored = await _restore(file, kept, target, environ, replace=arguments.replace)
            except NotEmptyError as error:
                more = "move the file aside first" if is_path(target) else "--replace backs it up and replaces it"
                print(f"error: {error}; {more}", file=sys.stderr)
                return 1
        return 1 if restored is None else _told(restored, target, as_json=arguments.json)

    return answered(work)


async def _restore(
    file: Path, kept: Configured, target: str, environ: dict[str, str], *, replace: bool
) -> Restored | None:
    chain = chain_of(environ)
    if is_path(target):
        async with opened(target, chain, to_write=True) as store:
            return await into_store(file, kept.keys, store, chain, now())
    if not replace:
        return await into_database(file, kept.keys, target, chain, now())
    if not _confirmed(address.parse(target).database):
        return None

    async def back_up() -> str:
        store = PostgresStore(address.parse(target), connections_max=2, chain=chain)
        try:
            await store.open()
            await store.fit()
            schema = (await plan(target)).current
            return (await make(store, kept, occasion=BEFORE_REPLACING, at=now(), schema=schema)).name
        finally:
            await store.close()

    return await replacing(file, kept.keys, target, chain, now(), back_up=back_up)


def _confirmed(database: str) -> bool:
    print(
        f"This replaces all data in the database {database}, after backing it up. Type its name to go on:",
        file=sys.stderr,
    )
    typed = sys.stdin.readline().strip()
    if typed != database:
        print("error: nothing was changed: that is not its name", file=sys.stderr)
    return typed == database


def _told(restored: Restored, target: str, *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.encode(restored).decode())
        return 0
    age = now() - restored.made_at
    print(f"restored {restored.records:,} records of {restored.made_at:%Y-%m-%d %H:%M:%S} UTC into {place_of(target)}")
    print(f"what was changed in the {age.total_seconds() / 3_600:.1f} hours since then is not in it")
    if restored.backup_of_replaced:
        print(f"what was there before is in {restored.backup_of_replaced}")
    return 0
