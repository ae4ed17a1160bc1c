"""`layout-mutation audit`: whether the audit and the history were tampered with, and the key that seals it.

Counterpart: `control_plane.auditing` does the work. Never: a change.
"""

import argparse
import asyncio
import base64
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from control_plane import anchors
from control_plane.auditing import Anchor, AuditReport, verify
from control_plane.auditing.report import Known
from control_plane.backups.places import HASH_BYTES
from control_plane.schema import address
from control_plane.schema.runner import SchemaError
from control_plane.settings import check_audit_keys, check_signing_key
from control_plane.store import Chain, Position, Store, StoreError
from control_plane.store.chain import KEY_BYTES, configured, derived_key
from control_plane.store.local import LocalStore
from control_plane.store.local.examining import examine
from control_plane.store.mirror.keeping import FILE_NAME
from control_plane.store.postgres import PostgresStore
from layout_mutation.environment import add_data_dir, read_environment, require
from layout_mutation.inputs import UnusableError
from layout_mutation.stores import kept_of, local_file, service_folder

EXAMPLES = """\
examples:
  layout-mutation audit verify
      every entry's seal and place, every version against the entry that sealed its content, and all of it against what the
      mirror, the backups in their places and the last look of this machine know: an audit that was cut off is told by those
  layout-mutation audit verify --anchor 1042:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      besides, whether entry 1042 is still the one that somebody else wrote down
  layout-mutation audit key
      the key that the audit is sealed with while CONTROL_PLANE_AUDIT_KEYS is empty, for that variable: set it
      before the signing key is replaced

exit codes: 0 all is well, 1 something was tampered with, 2 a setting is missing or can't be used, 3 the database can't be reached
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `audit`."""
    parser.add_argument("what", choices=("verify", "key"), help="look at the audit, or print the key it is sealed with")
    parser.add_argument(
        "--anchor", action="append", default=[], metavar="NUMBER:HASH", help="an entry that is known elsewhere"
    )
    parser.add_argument("--json", action="store_true", help="what was found as JSON")
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Verify, or print the key. The exit code of the contract."""
    environ = read_environment(arguments.data_dir)
    if arguments.what == "key":
        print(base64.b64encode(derived_key(_signing_secret(environ))).decode())
        return 0
    given = [_anchor(text) for text in arguments.anchor]
    try:
        report = asyncio.run(verified(environ, arguments.data_dir, given))
    except SchemaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except StoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    print(msgspec.json.encode(report).decode() if arguments.json else "\n".join(told(report)))
    return 0 if report.sound else 1


async def verified(environ: dict[str, str], data_dir: Path | None, given: Sequence[Anchor] = ()) -> AuditReport:
    """The report on the audit of the store that the environment names, compared with `given` and with all that knows it here.

    Raises UnusableError, StoreError, SchemaError.
    """
    signing_key, keys = require(environ, "CONTROL_PLANE_SIGNING_KEY"), environ.get("CONTROL_PLANE_AUDIT_KEYS", "")
    try:
        check_signing_key(signing_key)
        check_audit_keys(keys)
        store, chain = _store(environ, data_dir, configured(keys, signing_key))
    except ValueError as error:
        raise UnusableError(str(error)) from None
    try:
        await store.open()
        known = await known_of(await store.position(), environ, data_dir)
        return await verify(store, chain, (*given, *known.anchors), known.away)
    finally:
        await store.close()


async def known_of(position: Position, environ: Mapping[str, str], data_dir: Path | None) -> Known:
    """What is known outside the store of an installation's audit: to its backups, to the mirror here, and to the last look here."""
    if position.installation is None:
        return Known()
    whose, folder = position.installation.id, service_folder(environ, data_dir)
    known = await anchors.of_backups(kept_of(environ, data_dir), whose)
    found, away = [*known.anchors, *anchors.of_last_look(folder, whose)], list(known.away)
    mirror = folder / FILE_NAME
    if local_file(environ, data_dir) is None and mirror.exists():
        try:
            found += anchors.of_file(await asyncio.to_thread(examine, mirror, closely=False), whose)
        except StoreError as error:
            away.append(f"{anchors.THE_MIRROR}: {error}")
    return Known(tuple(found), tuple(away))


def _store(environ: dict[str, str], data_dir: Path | None, chain: Chain) -> tuple[Store, Chain]:
    file = local_file(environ, data_dir)
    if file is None:
        return PostgresStore(address.parse(require(environ, "DATABASE_URL")), connections_max=2, chain=chain), chain
    if not file.exists():
        raise StoreError(f"there is no file {file}")
    return LocalStore(file, chain=chain), chain


def told(report: AuditReport) -> list[str]:
    """What was found, in lines for people."""
    since = "the chain has not begun" if report.chained_since is None else f"chained since entry {report.chained_since}"
    seen = f"{report.entries} entries ({since}), {report.versions} versions"
    lines = [f"{'ok  ' if report.sound else 'FAIL'}  audit: {seen}, {report.faults_total or 'no'} faults"]
    if report.anchors:
        superseded = f", {report.anchors_superseded} of them from before a restore" if report.anchors_superseded else ""
        heads = "1 head that is" if report.anchors == 1 else f"{report.anchors} heads that are"
        lines.append(f"      compared with {heads} known elsewhere{superseded}")
    lines += [f"      not asked: {words}" for words in report.anchors_away]
    if report.given_up:
        lines.append(f"      {report.given_up} entries are sealed with a key that was given up as lost")
    if report.contents_unsealed:
        lines.append(f"      {report.contents_unsealed} versions are from before contents were sealed")
    for fault in report.faults:
        at = "" if fault.number is None else f"entry {fault.number}: "
        lines.append(f"FAIL  {at}{fault.what.value.replace('_', ' ')}: {fault.detail}")
    return lines


def _signing_secret(environ: dict[str, str]) -> bytes:
    text = require(environ, "CONTROL_PLANE_SIGNING_KEY")
    try:
        check_signing_key(text)
    except ValueError as error:
        raise UnusableError(str(error)) from None
    return base64.b64decode(text)


def _anchor(text: str) -> Anchor:
    number, _, digits = text.partition(":")
    try:
        found = Anchor("--anchor", int(number), bytes.fromhex(digits))
    except ValueError:
        found = Anchor("", 0, b"")
    if found.number < 1 or not HASH_BYTES <= len(found.hash) <= KEY_BYTES:
        raise UnusableError("--anchor is an entry's number and 16 to 64 hexadecimal digits of its hash, NUMBER:HASH")
    return found
