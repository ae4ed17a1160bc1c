"""One run of everything: which part starts when, the demo's mutations, the addresses, the end.

Counterpart: `up.py` prepares the ground (folder, lock, keys) and calls `Ensemble.run`; `supervisor.py` does the work.
Never writes a key anywhere.
"""

import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

from control_plane import tokens
from control_plane.settings import StoreName
from layout_mutation import keyring
from layout_mutation.embedded.ports import free_port
from layout_mutation.embedded.postgres import EmbeddedPostgres
from layout_mutation.embedded.valkey import EmbeddedValkey
from layout_mutation.parts import Part, Service, Services
from layout_mutation.progress import StartProgress, show_addresses
from layout_mutation.seeding import seed, shows_mutations
from layout_mutation.supervisor import Supervisor

REACH_S_MAX = 2.0
FIRST_TABLE_S_MAX = 5.0


class Ensemble:
    """All parts of one installation. `token_command` is what to type for a bearer token."""

    def __init__(self, services: Services, progress: StartProgress, token_command: str) -> None:
        self._services = services
        self._options = services.options
        self._place = services.place
        self._keys = services.keys
        self._progress = progress
        self._token_command = token_command
        self._internal_port = free_port()
        self._supervisor = Supervisor(progress, services.interruption)

    def run(self) -> None:
        """Start, announce, watch until a stop is asked for; whatever happens, leave nothing running.

        Raises:
            RunError: a part does not start or keeps falling.
            Interrupted: a stop was asked for while it was starting.
        """
        try:
            self._start()
            self._progress.finish()
            show_addresses(self._progress.console, self._addresses())
            self._supervisor.watch(verbose=self._options.verbose)
        finally:
            self._supervisor.stop()

    def _start(self) -> None:
        """Start everything, side by side where nothing waits for the other."""
        supervisor = self._supervisor
        control_plane, sidecar = self._services.control_plane(), self._services.sidecar(self._internal_port)
        origin, valkey, postgres = self._origin(), self._valkey(), self._postgres()
        for part in (*origin, *valkey, *postgres):
            supervisor.launch(part)
        for part in valkey:
            supervisor.await_ready(part)
        supervisor.launch(sidecar)
        for part in postgres:
            supervisor.await_ready(part)
        supervisor.launch(control_plane)
        for part in (*origin, control_plane):
            supervisor.await_ready(part)
        seeded = self._seed()
        supervisor.await_ready(sidecar)
        if seeded:
            self._await_first_table()

    def _origin(self) -> tuple[Service, ...]:
        """The demo site, or nothing; an upstream that does not answer is worth a line, and no more."""
        if self._options.upstream is None:
            return (self._services.demo(),)
        parts = urlsplit(self._options.upstream)
        address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        try:
            socket.create_connection(address, timeout=REACH_S_MAX).close()
        except OSError as error:
            self._progress.note(f"{self._options.upstream} does not answer yet ({error.strerror or error})")
        return ()

    def _postgres(self) -> tuple[Part, ...]:
        """The embedded PostgreSQL, unless `DATABASE_URL` names another or everything is kept in a file."""
        if self._options.store is not StoreName.POSTGRES:
            return ()
        found = urlsplit(self._embedded_url("DATABASE_URL"))
        if not found.port:
            return ()
        return (
            EmbeddedPostgres(
                self._place.postgres,
                found.port,
                password=found.password or "",
                log=self._log("postgres"),
                interruption=self._services.interruption,
            ),
        )

    def _valkey(self) -> tuple[Part, ...]:
        """The embedded Valkey, unless `REDIS_URL` names another."""
        found = urlsplit(self._embedded_url("REDIS_URL"))
        if not found.port:
            return ()
        return (
            EmbeddedValkey(
                self._place.valkey,
                found.port,
                password=found.password or "",
                log=self._log("valkey"),
                interruption=self._services.interruption,
            ),
        )

    def _embedded_url(self, name: str) -> str:
        """The URL of the server that is ours to start; empty where the environment or the file names another."""
        given = self._services.environ.get(name)
        return "" if given or not keyring.is_embedded(self._keys[name]) else self._keys[name]

    def _log(self, name: str) -> Path:
        return self._place.logs / f"{name}.log"

    def _seed(self) -> bool:
        """The demo's mutations, once. Whether they were imported now."""
        if self._options.upstream is not None or self._place.seeded.exists():
            return False
        issuer, audience = self._claims()
        secret = self._keys["CONTROL_PLANE_JWT_SECRET"]
        bearer = tokens.issue(secret, role="admin", subject="demo", issuer=issuer, audience=audience)
        seeded = seed(self._options.admin_url, bearer, self._services.programs.demo_rules.read_bytes())
        self._place.seeded.touch()
        return seeded

    def _await_first_table(self) -> None:
        """Let the addresses appear when the site is mutated, not a moment before. A slow table is no failure."""
        deadline = time.monotonic() + FIRST_TABLE_S_MAX
        interruption = self._services.interruption
        while not interruption.asked and time.monotonic() < deadline and not shows_mutations(self._options.site_url):
            interruption.pause(0.05)

    def _claims(self) -> tuple[str, str]:
        """Issuer and audience of our tokens: the control plane's own, unless the environment sets others for it."""
        environ = self._services.environ
        return (
            environ.get("CONTROL_PLANE_JWT_ISSUER") or tokens.ISSUER,
            environ.get("CONTROL_PLANE_JWT_AUDIENCE") or tokens.AUDIENCE,
        )

    def _addresses(self) -> list[tuple[str, str]]:
        """Label and address of everything a person may want next."""
        admin = self._options.admin_url
        issuer, audience = self._claims()
        secret = self._keys["CONTROL_PLANE_JWT_SECRET"]
        sign_in = tokens.sign_in_link(secret, admin, issuer=issuer, audience=audience)
        return [
            ("Site", f"{self._options.site_url}/"),
            ("Without mutations", f"{self._options.origin_url}/"),
            ("Admin", f"{admin}/admin/layout-mutations"),
            ("Sign in, once", sign_in),
            ("API", f"{admin}/api/layout-mutation/"),
            ("OpenAPI", f"{admin}/api/openapi.json"),
            ("API token", self._token_command),
            ("Sidecar inside", f"http://127.0.0.1:{self._internal_port}/metrics"),
            ("Data, keys, logs", str(self._place.folder)),
        ]
