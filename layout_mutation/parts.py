"""What `up` runs, part by part, and with which environment: the planes and the demo site as child processes.

Counterpart: `supervisor.py`, which starts, watches and stops parts. The embedded servers have the same shape (`Part`)
and come from `embedded/`.

Never decides when something runs. A service is configured by its environment and by nothing else.
"""

import http.client
import json
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import layout_mutation
from control_plane.settings import StoreName
from layout_mutation.embedded.ports import LOOPBACK
from layout_mutation.installation import Installation
from layout_mutation.processes import ChildProcess, Interruption, Program, RunError, stop_leftover

PROBE_S_MAX = 2.0  # one look at a service that may be busy starting
PYTHON = (sys.executable, "-P", "-m")  # -P: a folder `rules/` where `up` was called is not our `rules`

ROOT = Path(layout_mutation.__file__).parents[1]  # the clone, or site-packages
DEMO_RULES = ROOT / "demo" / "rules.json"


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of the services, and the rules file that comes with the demo site. Tests pass stand-ins."""

    control_plane: tuple[str, ...] = (*PYTHON, "control_plane")
    sidecar: tuple[str, ...] = (*PYTHON, "sidecar")
    demo: tuple[str, ...] = (*PYTHON, "demo")
    demo_rules: Path = DEMO_RULES


@dataclass(frozen=True)
class Options:
    """What the person asked for. `upstream` None means the demo site."""

    upstream: str | None
    port: int = 8080
    admin_port: int = 8081
    demo_port: int = 8082
    workers: int = 2
    verbose: bool = False
    store: StoreName = StoreName.POSTGRES

    @property
    def site_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://{LOOPBACK}:{self.admin_port}"

    @property
    def origin_url(self) -> str:
        """The site without mutations."""
        return (self.upstream or f"http://{LOOPBACK}:{self.demo_port}").rstrip("/")

    @property
    def ports(self) -> dict[str, int]:
        """Option name -> the port it stands for, of those that will be used."""
        ports = {"--port": self.port, "--admin-port": self.admin_port}
        return ports if self.upstream else ports | {"--demo-port": self.demo_port}


class Part(Protocol):
    """One running piece of the whole."""

    @property
    def name(self) -> str: ...

    @property
    def log(self) -> Path: ...

    @property
    def child(self) -> ChildProcess: ...

    def prepare(self) -> None:
        """Everything that must be done before `spawn`, leftovers of a killed run included. May take a second."""

    def spawn(self) -> None:
        """Start the process; returns at once."""

    def is_ready(self) -> bool:
        """Whether it does its work, asked while it runs."""

    def stop(self) -> None:
        """End it. Safe to call twice."""


class Service:
    """A part that speaks HTTP."""

    def __init__(self, program: Program, probe: str, interruption: Interruption | None = None) -> None:
        self._program = program
        self._interruption = interruption
        self._probe = urlsplit(probe)
        self._child = ChildProcess(program)

    @property
    def name(self) -> str:
        return self._program.name

    @property
    def log(self) -> Path:
        return self._program.log

    @property
    def child(self) -> ChildProcess:
        return self._child

    def prepare(self) -> None:
        stop_leftover(self._program.record, self._program.farewell, self._program.grace_s)

    def spawn(self) -> None:
        self._child.spawn()

    def is_ready(self) -> bool:
        """Whether its probe answers 2xx."""
        connection = http.client.HTTPConnection(self._probe.netloc, timeout=PROBE_S_MAX)
        try:
            connection.request("GET", self._probe.path or "/")
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        self._child.stop(self._interruption)


@dataclass(frozen=True, slots=True)
class Services:
    """The three services of one installation, each with no more of the keys than it needs."""

    options: Options
    place: Installation
    keys: Mapping[str, str]
    environ: Mapping[str, str]
    programs: Programs
    interruption: Interruption

    def control_plane(self) -> Service:
        """Admin and API on `--admin-port`."""
        given = {
            "CONTROL_PLANE_LISTEN": f"{LOOPBACK}:{self.options.admin_port}",
            "CONTROL_PLANE_DATA_DIR": str(self.place.control_plane),
            "CONTROL_PLANE_STORE": self.options.store.value,
            "CONTROL_PLANE_ALONE": "true",
            "CONTROL_PLANE_ORIGINS": json.dumps(origins(self.options)),
            "CONTROL_PLANE_SITE_URLS": json.dumps({"*": self.options.site_url}),
            "CONTROL_PLANE_PUBLIC_URL": self.options.admin_url,
        }
        environment = without(self._inherited() | dict(self.keys), "SIDECAR_EVENTS_KEY") | given
        return self._service(
            "control plane", self.programs.control_plane, environment, f"{self.options.admin_url}/readyz"
        )

    def sidecar(self, internal_port: int) -> Service:
        """The site on `--port`. It gets no key that could change the site."""
        given = {
            "SIDECAR_UPSTREAM": self.options.origin_url,
            "SIDECAR_LISTEN": f"{LOOPBACK}:{self.options.port}",
            "SIDECAR_ADMIN_LISTEN": f"{LOOPBACK}:{internal_port}",
            "SIDECAR_WORKERS": str(self.options.workers),
            "SIDECAR_SNAPSHOT_DIR": str(self.place.sidecar),
        }
        if self.options.origin_url.startswith("https:"):
            given["SIDECAR_LOCAL_MODE"] = "1"
        environment = without(self._inherited() | dict(self.keys), "CONTROL_PLANE_", "DATABASE_URL") | given
        return self._service("sidecar", self.programs.sidecar, environment, f"http://{LOOPBACK}:{internal_port}/readyz")

    def demo(self) -> Service:
        """The demo site on `--demo-port`. It knows nothing of us and gets none of our keys."""
        command = (*self.programs.demo, "--listen", f"{LOOPBACK}:{self.options.demo_port}")
        environment = without(self._inherited(), "CONTROL_PLANE_", "SIDECAR_", "DATABASE_URL", "REDIS_URL")
        return self._service("demo site", command, environment, f"{self.options.origin_url}/")

    def _service(self, name: str, command: tuple[str, ...], environment: dict[str, str], probe: str) -> Service:
        file_name = name.replace(" ", "-")
        program = Program(
            name=name,
            command=command,
            record=self.place.records / file_name,
            log=self.place.logs / f"{file_name}.log",
            environment=environment | {"PYTHONUNBUFFERED": "1"},
            folder=self.place.folder,
        )
        return Service(program, probe, self.interruption)

    def _inherited(self) -> dict[str, str]:
        """The environment to hand on, with our packages importable when `up` runs from a clone."""
        if str(ROOT) in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
            return dict(self.environ)
        paths = [str(ROOT), *filter(None, [self.environ.get("PYTHONPATH")])]
        return {**self.environ, "PYTHONPATH": ":".join(paths)}


def without(environment: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """`environment` without the variables that begin with one of `prefixes`."""
    return {name: value for name, value in environment.items() if not name.startswith(prefixes)}


def origins(options: Options) -> dict[str, str]:
    """Site host -> origin, for the preview: the host that visitors see, the origin's own, and `*` for a bare path."""
    own = urlsplit(options.origin_url).hostname or LOOPBACK
    return dict.fromkeys((LOOPBACK, "localhost", own, "*"), options.origin_url)


def check_upstream(url: str) -> str:
    """The URL, if it names an origin.

    Raises:
        RunError: it does not; the message says what is missing.
    """
    parts = urlsplit(url)
    try:
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 80) > 0
    except ValueError:
        usable = False
    if not usable:
        raise RunError(f"--upstream {url!r} is not the address of a site: write http://host:port or https://host")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise RunError(f"--upstream {parts.hostname} has too much: a site's address has no path, query or user")
    return url
