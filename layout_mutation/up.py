"""`layout-mutation up`: everything on this machine, in one go.

PostgreSQL and Valkey from wheels (or those of `DATABASE_URL` and `REDIS_URL`), the control plane, the sidecar, and
with `--demo` a shop to mutate. Counterparts: `installation.py` has the folder, `keyring.py` the keys, `parts.py` the
programs, `supervisor.py` runs them, `progress.py` shows it.

For trying out and for development. It never listens on anything but the loopback interface.
"""

import argparse
import os
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from control_plane.settings import StoreName
from layout_mutation import keyring
from layout_mutation.embedded.ports import is_free
from layout_mutation.ensemble import Ensemble
from layout_mutation.installation import Installation, installation, telling, telling_full_disk
from layout_mutation.parts import Options, Programs, Services, check_upstream
from layout_mutation.processes import RECORD, Interrupted, Interruption, RunError, stop_leftover
from layout_mutation.progress import StartProgress, show_trouble

OK, WRONG_USAGE, COULD_NOT_RUN = 0, 2, 3
LEFTOVER_S_MAX = 5.0  # it had a farewell already when its `up` was killed
WORKERS_MAX = 64

EXAMPLES = """\
examples:
  layout-mutation up --demo
      a small shop on http://127.0.0.1:8082, the same shop mutated on http://127.0.0.1:8080,
      admin and API on http://127.0.0.1:8081

  layout-mutation up --upstream http://127.0.0.1:3000
      your own site, mutated, on http://127.0.0.1:8080

  layout-mutation up --upstream https://www.example.org --port 9000
      a site elsewhere; the browser stays on http://127.0.0.1:9000

  DATABASE_URL=postgresql://me@db/lm REDIS_URL=redis://cache/0 layout-mutation up --demo
      with servers of your own in place of the embedded ones

The data folder (.layout-mutation) keeps everything: data, keys, logs. Delete it to begin again.
exit codes: 0 stopped when asked, 2 wrong usage, 3 could not run
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `up`."""
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument(
        "--upstream", metavar="URL", help="the site to put the sidecar in front of (or SIDECAR_UPSTREAM)"
    )
    origin.add_argument("--demo", action="store_true", help="start the demo shop, with a few mutations and an A/B test")
    parser.add_argument(
        "--data-dir", type=Path, metavar="FOLDER", help="where data, keys and logs live [.layout-mutation]"
    )
    for option, default, meaning in (
        ("--port", Options.port, "the site, mutated"),
        ("--admin-port", Options.admin_port, "admin and API"),
        ("--demo-port", Options.demo_port, "the demo shop as it is"),
    ):
        parser.add_argument(option, type=_port, default=default, metavar="PORT", help=f"{meaning} [{default}]")
    workers = Options.workers
    parser.add_argument("--workers", type=_count, default=workers, metavar="N", help=f"sidecar processes [{workers}]")
    parser.add_argument(
        "--store",
        choices=[name.value for name in StoreName],
        help="where everything is kept: PostgreSQL, or one SQLite file in the data folder [postgres, or CONTROL_PLANE_STORE]",
    )
    parser.add_argument("--verbose", action="store_true", help="show what the processes log")


def run(arguments: argparse.Namespace) -> int:
    """Run `up` until Ctrl-C. The exit code of the contract."""
    try:
        options = options_of(arguments, os.environ)
    except RunError as error:
        show_trouble(str(error), error.details)
        return WRONG_USAGE
    return bring_up(options, arguments.data_dir, os.environ, Programs())


def options_of(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Options:
    """The options as given; RunError when they do not fit together."""
    upstream = None if arguments.demo else arguments.upstream or environ.get("SIDECAR_UPSTREAM")
    if not arguments.demo and not upstream:
        raise RunError("say which site to mutate: --demo for the demo shop, or --upstream URL")
    options = Options(
        upstream=check_upstream(upstream) if upstream else None,
        port=arguments.port,
        admin_port=arguments.admin_port,
        demo_port=arguments.demo_port,
        workers=arguments.workers,
        verbose=arguments.verbose,
        store=_store(arguments.store or environ.get("CONTROL_PLANE_STORE") or StoreName.POSTGRES),
    )
    if len(set(options.ports.values())) < len(options.ports):
        raise RunError(f"{', '.join(options.ports)} must differ from each other")
    return options


def bring_up(options: Options, data_dir: Path | None, environ: Mapping[str, str], programs: Programs) -> int:
    """Start, watch, stop. Trouble becomes one line on standard error and exit code 3."""
    embedded = not (environ.get("DATABASE_URL") and environ.get("REDIS_URL"))
    with Interruption() as interruption:
        try:
            place = installation(data_dir, embedded=embedded)
            place.create()
            with place.locked() as killed_before, telling_full_disk(place.folder), StartProgress(Console()) as progress:
                if place.folder.parent != Path.cwd():
                    progress.note(f"data folder: {place.folder}")
                if stop_leftovers(place) or killed_before:
                    progress.note("the last run was killed: what it left running is stopped, its data is kept")
                require_ports(options)
                require_keys(place, environ)
                with telling(place.folder):
                    keys = keyring.load(place.dotenv, environ)
                services = Services(options, place, keys, environ, programs, interruption)
                Ensemble(services, progress, token_command(data_dir)).run()
        except Interrupted:
            pass
        except RunError as error:
            show_trouble(str(error), error.details)
            return COULD_NOT_RUN
    return OK


def stop_leftovers(place: Installation) -> bool:
    """Stop what a killed run left running; whether there was anything."""
    records = [(path, signal.SIGTERM) for path in sorted(place.records.iterdir())]
    records += [(place.valkey / RECORD, signal.SIGTERM), (place.postgres / RECORD, signal.SIGINT)]
    stopped = [stop_leftover(path, farewell, LEFTOVER_S_MAX) for path, farewell in records]
    return any(stopped)


def require_ports(options: Options) -> None:
    """Raises RunError naming the option whose port somebody else has."""
    for option, port in options.ports.items():
        if not is_free(port):
            raise RunError(f"port {port} is taken; choose another one with {option}")


def require_keys(place: Installation, environ: Mapping[str, str]) -> None:
    """Raises RunError when the embedded database is there and the file with its password is not."""
    if not environ.get("DATABASE_URL") and place.postgres.joinpath("cluster").exists() and not place.dotenv.exists():
        raise RunError(
            f"{place.dotenv} is gone, and with it the database's password; put it back or delete {place.folder}"
        )


def token_command(data_dir: Path | None) -> str:
    """What to type for a bearer token of this installation."""
    command = "layout-mutation token --role publisher"
    return command if data_dir is None else f"{command} --data-dir {shlex.quote(str(data_dir))}"


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number from 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= WORKERS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes: 1 to {WORKERS_MAX}")
    return int(text)


def _store(name: str) -> StoreName:
    try:
        return StoreName(name)
    except ValueError:
        known = " or ".join(StoreName)
        raise RunError(f"CONTROL_PLANE_STORE is {known}, not {name[:80]!r}") from None
