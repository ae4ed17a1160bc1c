"""`layout-mutation audit`: whether the audit and the history were tampered with, and the key that seals it.

Counterpart: `control_plane.auditing` does the work. Never: a change.
"""

import argparse
import asyncio
import base64
import sys

import msgspec

from control_plane.auditing import Anchor, AuditReport, verify
from control_plane.schema import address
from control_plane.settings import check_audit_keys, check_signing_key
from control_plane.store import StoreError
from control_plane.store.chain import KEY_BYTES, configured, derived_key
from control_plane.store.postgres import PostgresStore
from layout_mutation.environment import add_data_dir, read_environment, require
from layout_mutation.inputs import UnusableError

EXAMPLES = """\
examples:
  layout-mutation audit verify
      every entry's seal and place, and every version against the entry that sealed its content
  layout-mutation audit verify --anchor 1042:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      besides, whether entry 1042 is still the one that a backup or mirror knows: the audit may have been cut off
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
    anchors = [_anchor(text) for text in arguments.anchor]
    try:
        report = asyncio.run(verified(environ, anchors))
    except StoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    print(msgspec.json.encode(report).decode() if arguments.json else "\n".join(told(report)))
    return 0 if report.sound else 1


async def verified(environ: dict[str, str], anchors: list[Anchor]) -> AuditReport:
    """The report on the audit of the database that the environment names; raises UnusableError, StoreError."""
    url, keys = require(environ, "DATABASE_URL"), environ.get("CONTROL_PLANE_AUDIT_KEYS", "")
    signing_key = require(environ, "CONTROL_PLANE_SIGNING_KEY")
    try:
        check_signing_key(signing_key)
        check_audit_keys(keys)
        place = address.parse(url)
    except ValueError as error:
        raise UnusableError(str(error)) from None
    chain = configured(keys, signing_key)
    store = PostgresStore(place, connections_max=2, chain=chain)
    await store.open()
    try:
        return await verify(store, chain, anchors)
    finally:
        await store.close()


def told(report: AuditReport) -> list[str]:
    """What was found, in lines for people."""
    since = "the chain has not begun" if report.chained_since is None else f"chained since entry {report.chained_since}"
    seen = f"{report.entries} entries ({since}), {report.versions} versions"
    lines = [f"{'ok  ' if report.sound else 'FAIL'}  audit: {seen}, {report.faults_total or 'no'} faults"]
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
    if found.number < 1 or len(found.hash) != KEY_BYTES:
        raise UnusableError("--anchor is an entry's number and its hash of 64 hexadecimal digits, NUMBER:HASH")
    return found
