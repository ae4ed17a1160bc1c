"""The command `doctor`: why a page can't be rewritten, or what is wrong with this installation.

With `--url` it looks at a page. Without, it goes through the list of checks of what the environment names.
"""

import argparse
import http.client
import sys
from pathlib import Path

import msgspec

from layout_mutation.doctor.adopting import adopt
from layout_mutation.doctor.checks import Asked
from layout_mutation.doctor.examinations import examined
from layout_mutation.doctor.page import page_checks
from layout_mutation.environment import add_data_dir, read_environment
from layout_mutation.stores import service_folder
from service.clock import now

EXAMPLES = """\
examples:
  layout-mutation doctor --url http://127.0.0.1:3000/offers
      can this page be rewritten, and if not why
  layout-mutation doctor
      the database and its schema or the file that everything is in, the mirror and what waits in it, the audit against all that
      knows it, what the store holds, Redis, the published table
  layout-mutation doctor --heal
      repair of the schema what nothing can be lost by, and say what is left for a person
  layout-mutation doctor --adopt
      put the mirror of this instance, which has to be stopped, aside: at its next start it takes what the database has
  layout-mutation doctor --json

exit codes: 0 all is well, 1 it found trouble, 2 wrong usage, 3 the page can't be fetched
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `doctor`."""
    parser.add_argument("--url", metavar="URL", help="say whether this page can be rewritten")
    parser.add_argument("--heal", action="store_true", help="repair what nothing can be lost by")
    parser.add_argument("--adopt", action="store_true", help="put the mirror aside and take what the database has")
    parser.add_argument("--json", action="store_true", help="the findings as JSON")
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look, print what was found. The exit code of the contract."""
    if arguments.adopt:
        return _adopt(arguments.data_dir)
    if arguments.url:
        try:
            checks = page_checks(arguments.url)
        except (OSError, http.client.HTTPException, UnicodeError) as error:  # the last: no host is called so
            # What a broken server said may have line ends in it.
            print(f"error: {arguments.url} can't be fetched: {' '.join(str(error).split())}", file=sys.stderr)
            return 3
    else:
        checks = examined(Asked(read_environment(arguments.data_dir), arguments.heal, arguments.data_dir))
    if arguments.json:
        print(msgspec.json.encode(checks).decode())
    else:
        for check in checks:
            print(f"{'ok  ' if check.fine else 'FAIL'}  {check.name}: {check.detail}")
    return 0 if all(check.fine for check in checks) else 1


def _adopt(data_dir: Path | None) -> int:
    folder = service_folder(read_environment(data_dir), data_dir)
    try:
        aside = adopt(folder, now())
    except OSError as error:
        print(f"error: {folder}: {error.strerror or error}", file=sys.stderr)
        return 3
    if aside is None:
        print(f"there is no mirror in {folder}; name the folder by CONTROL_PLANE_DATA_DIR or --data-dir")
        return 1
    print(f"the mirror is now {aside}; start the control plane, and it takes what the database has")
    return 0
