"""`layout-mutation backup`: all that the database holds as one file, here and where backups go besides; a list; a trial; one deleted.

Counterpart: `restore.py` is the way back; `control_plane.backups` does the work. Never: a change to what is backed up, but the
account that is kept of backups; one deleted whose name was not typed in full.
"""

import argparse
import sys

import msgspec

from control_plane.alerts import Alerts
from control_plane.backups import restoring
from control_plane.backups.backups import LATEST, Backup, Backups, given_file, listed
from control_plane.backups.configured import Configured
from control_plane.backups.occasions import BY_HAND, SCHEDULED
from control_plane.moving.places import is_path, opened
from layout_mutation.environment import add_data_dir, read_environment, require
from layout_mutation.inputs import UnusableError
from layout_mutation.stores import answered, chain_of, default_store, kept_of
from service.clock import now

MADE, LIST, VERIFY, DELETE = "make", "list", "verify", "delete"

EXAMPLES = """\
examples:
  layout-mutation backup
      everything, as of one moment, into CONTROL_PLANE_BACKUP_DIR and to CONTROL_PLANE_BACKUP_URL. It is kept apart from those that
      are made regularly: the newest CONTROL_PLANE_BACKUP_KEEP_APART that were made by hand stay
  layout-mutation backup --scheduled
      for a timer of your own: it rotates with those that the service makes (CONTROL_PLANE_BACKUP_KEEP)
  layout-mutation backup --to /mnt/backups
  layout-mutation backup --to s3://bucket/prefix
  layout-mutation backup list --json
  layout-mutation backup verify latest
      restore it into a throw-away database, compare counts and checksums, verify the audit, drop the database
  layout-mutation backup delete layout-mutation-20300101T120000Z-7b0c6d0e-7-by-hand.backup
      in every place where it is

The service may run meanwhile. A backup is lines of JSON, compressed: `zstd -dc FILE | jq` reads one that is not encrypted.
exit codes: 0 fine, 1 the backup can't be relied on, or the list is empty, 2 wrong usage or a file that can't be used,
3 the database or a place can't be reached
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `backup`."""
    parser.add_argument("what", nargs="?", choices=[MADE, LIST, VERIFY, DELETE], default=MADE, help="[make]")
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="with verify: a file, a name from the list, or latest; with delete: a name",
    )
    parser.add_argument("--scheduled", action="store_true", help="with make: a timer makes it, so that it rotates")
    parser.add_argument("--to", metavar="PLACE", help="a folder, or s3://bucket/prefix, instead of what is configured")
    parser.add_argument("--json", action="store_true", help="what was made, found or tried, as JSON")
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make, list, try or delete. The exit code of the contract."""
    environ = read_environment(arguments.data_dir)
    kept = kept_of(environ, arguments.data_dir, arguments.to)
    if arguments.file is not None and arguments.what not in (VERIFY, DELETE):
        raise UnusableError("FILE goes with `backup verify` and `backup delete` only")
    if arguments.scheduled and arguments.what != MADE:
        raise UnusableError("--scheduled goes with making one only")
    if arguments.file is None and arguments.what == DELETE:
        raise UnusableError("`backup delete` takes the name of one, in full; `backup list` has them")
    if arguments.what == LIST:
        return answered(lambda: _list(kept, as_json=arguments.json))
    url = default_store("DATABASE_URL", None, environ, arguments.data_dir)
    if arguments.what == VERIFY:
        return answered(lambda: _verify(kept, arguments.file or LATEST, url, environ, as_json=arguments.json))
    if arguments.what == DELETE:
        return answered(lambda: _delete(kept, arguments.file, url, environ, as_json=arguments.json))
    occasion = SCHEDULED if arguments.scheduled else BY_HAND
    return answered(lambda: _make(kept, url, environ, occasion, as_json=arguments.json))


async def _make(kept: Configured, url: str, environ: dict[str, str], occasion: str, *, as_json: bool) -> int:
    require(environ, "CONTROL_PLANE_SIGNING_KEY")  # what is noted of it is sealed
    alerts = Alerts()
    async with opened(url, chain_of(environ)) as store:
        backup = await Backups(store, kept, alerts, clock=now).make(occasion)
    missing = kept.remote is not None and "remote" not in backup.places
    if as_json:
        print(msgspec.json.encode(backup).decode())
    else:
        print(f"wrote {kept.folder.path / backup.name}: {backup.records:,} records, {backup.size:,} bytes")
        if kept.remote is not None and not missing:
            print(f"sent to {kept.remote.url}")
        if backup.apart:
            print(f"kept apart from the regular ones, until {kept.keep.apart} newer ones were made by hand")
    for alert in alerts.open():
        print(f"error: {alert.summary} {alert.detail}", file=sys.stderr)
    return 3 if missing else 0


async def _delete(kept: Configured, name: str, url: str, environ: dict[str, str], *, as_json: bool) -> int:
    require(environ, "CONTROL_PLANE_SIGNING_KEY")
    async with opened(url, chain_of(environ)) as store:
        places = await Backups(store, kept, Alerts(), clock=now).remove(name)
    print(msgspec.json.encode({"name": name, "places": places}).decode() if as_json else f"deleted {name}")
    return 0


async def _list(kept: Configured, *, as_json: bool) -> int:
    backups, problem = await listed(kept)
    if as_json:
        print(msgspec.json.encode(backups).decode())
    else:
        for one in backups:
            print(_line(one))
        if not backups:
            print("there is no backup")
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return 3
    return 0 if backups else 1


async def _verify(kept: Configured, name: str, url: str, environ: dict[str, str], *, as_json: bool) -> int:
    async with given_file(kept, name) as file:
        database = "" if is_path(url) else url  # a file's backups are tried in SQLite
        verified = await restoring.verify(file, kept.keys, database, chain_of(environ))
    if as_json:
        print(msgspec.json.encode(verified).decode())
    elif verified.ok:
        where = "SQLite" if verified.where == "sqlite" else "a throw-away database"
        print(
            f"{verified.name}: restored into {where}; {verified.records:,} records are as they were, the audit is sound"
        )
    else:
        print(f"error: {verified.name}: {verified.problem}", file=sys.stderr)
    return 0 if verified.ok else 1


def _line(one: Backup) -> str:
    places = "+".join(one.places)
    apart = f"kept apart ({one.occasion.replace('_', ' ')})" if one.apart else ""
    return f"{one.made_at:%Y-%m-%d %H:%M:%S} UTC  {one.size:>14,} bytes  {places:<14}  {apart:<29}  {one.name}"
