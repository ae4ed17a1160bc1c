"""What a catastrophe happens to: a PostgreSQL of its own, Valkey, control planes and a sidecar as processes, the shop, visitors.

Counterparts: `tests.end_to_end.stack` runs the planes, `tests.end_to_end.faults.stage` has the shop and its visitors, `client` is
who works with the API. Never: a catastrophe of its own; tests bring them.
"""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import msgspec

from control_plane import tokens
from layout_mutation.embedded.ports import free_port
from layout_mutation.embedded.postgres import EmbeddedPostgres
from tests.end_to_end.chaos.client import Client, Line
from tests.end_to_end.faults import pages
from tests.end_to_end.faults.stage import Crowd, Origin
from tests.end_to_end.stack import API, ControlPlane, Stack, inherited, until

Done = TypeVar("Done")

DATABASE = "installation"
DOCTOR_S_MAX = 60.0


class Stage:
    """One installation, from an empty folder. `control_plane`: further variables of its control planes."""

    def __init__(
        self,
        folder: Path,
        crowd: Crowd,
        origin: Origin,
        *,
        postgres: EmbeddedPostgres | None = None,
        **control_plane: str,
    ) -> None:
        self.folder, self.crowd = folder, crowd
        self.postgres = postgres or EmbeddedPostgres(
            folder / "postgres", free_port(), password=secrets.token_hex(16), durable=False
        )
        self._settings = {"CONTROL_PLANE_BACKUP_EVERY": "off", **control_plane}
        self._origin = origin
        self._more: list[ControlPlane] = []

    def start(self) -> None:
        """Start everything, with one page changed; comes back when pages are served and changes can be made."""
        self.postgres.start()
        self.stack = Stack(
            self.folder,
            database_url=self.url_of(DATABASE),
            upstream=self._origin.url,
            workers=1,
            control_plane=self._settings,
            **pages.SETTINGS,
        )
        self.stack.start()
        self._bearer = tokens.issue(self.stack.keys.jwt_secret, role="admin", subject="client", ttl_seconds=12 * 3600)
        self.planes = [self.stack.control_plane]
        self.stack.publish(pages.rules(1))

    def stop(self) -> None:
        """End everything. Safe to call at any time."""
        for plane in self._more:
            plane.stop()
        if hasattr(self, "stack"):
            self.stack.stop()
        self.postgres.stop()

    # ---------------------------------------------------------------- the control plane

    @property
    def plane(self) -> ControlPlane:
        """The first instance."""
        return self.stack.control_plane

    def another(self, name: str, **environment: str) -> ControlPlane:
        """One more instance of the installation, with a data folder of its own; not started."""
        folder = self.folder / name
        folder.mkdir()
        first = {name: value for name, value in self.plane.environment.items() if name not in OWN}
        plane = ControlPlane(folder, self.stack.keys, **{**first, **environment})
        self._more.append(plane)
        return plane

    @property
    def data(self) -> Path:
        """The first instance's data folder."""
        return Path(self.plane.environment["CONTROL_PLANE_DATA_DIR"])

    def start_plane(self, plane: ControlPlane | None = None) -> None:
        """Start an instance that does not run; comes back when it answers."""
        plane = plane or self.plane
        plane.spawn()
        plane.wait_until_ready()

    def restart_plane(self, client: Client, **environment: str) -> None:
        """End the first instance as an operator does, and start it with other variables; comes back when it answers."""
        with client.nobody_there():
            self.plane.stop()
            self.plane.environment.update(environment)
            self.start_plane()

    def client(self) -> Client:
        """Somebody who works with all instances that are there."""
        return Client(self._bearer, lambda: [plane.port for plane in self.planes], {"edition": 1})

    def ask(self, path: str, *, method: str = "GET", document: Any = None, plane: ControlPlane | None = None) -> Any:
        """What an instance answers, None for 404; fails on anything but 2xx."""
        line = Line(self._bearer, lambda: [(plane or self.planes[0]).port])
        try:
            status, fields, answer = line.ask(method, path, document)
            while status == 202 and "location" in fields:  # long work: it is asked after until it has ended
                where = fields["location"].removeprefix(f"{API}/")
                told = msgspec.json.decode(line.ask("GET", where, Prefer="wait=30")[2])
                if told["state"] == "done":
                    return told["result"]
                assert told["state"] == "running", told
        finally:
            line.close()
        if status == 404:
            return None
        assert 200 <= status < 300, f"{method} {path}: {status} {answer!r}"
        return msgspec.json.decode(answer)

    def health(self, plane: ControlPlane | None = None) -> Any:
        """What is up, and who answers."""
        return self.ask("health", plane=plane)

    def answers(self, state: str, *, within_s: float, plane: ControlPlane | None = None) -> float:
        """Wait until the database (`primary`) or the `mirror` answers, with nothing left in the outbox of the first."""

        def does() -> bool:
            mirror = self.health(plane)["mirror"]
            return bool(mirror["state"] == state and (state == "mirror" or not mirror["outbox"]))

        return until(does, within_s, what=f"an answer by the {state}")

    def doctor(self) -> list[str]:
        """What `layout-mutation doctor` finds wrong, a line each."""
        keys = {"SIDECAR_TABLE_PUBLIC_KEYS": self.stack.keys.public}
        environment = {**inherited(), **self.plane.environment, **keys}
        command = [sys.executable, "-m", "layout_mutation", "doctor", "--json", "--data-dir", str(self.folder / "none")]
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=DOCTOR_S_MAX, check=False, cwd=self.folder
        )
        checks = msgspec.json.decode(done.stdout)
        return [f"{check['name']}: {check['detail']}" for check in checks if not check["fine"]]

    # ---------------------------------------------------------------- the database

    def url_of(self, database: str) -> str:
        """The URL of a database of the server."""
        return self.postgres.url_of(database)

    def sql(self, *statements: str, database: str = DATABASE) -> None:
        """Carry out statements as whoever owns everything, in this order, each by itself."""

        async def carried_out() -> None:
            connection = await asyncpg.connect(self.url_of(database), timeout=20)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        run(carried_out())

    def rows(self, query: str, *, database: str = DATABASE) -> list[Mapping[str, Any]]:
        """The rows that a question has as its answer."""

        async def asked() -> list[Mapping[str, Any]]:
            connection = await asyncpg.connect(self.url_of(database), timeout=20)
            try:
                return [dict(row) for row in await connection.fetch(query)]
            finally:
                await connection.close()

        return run(asked())

    def kill_postgres(self) -> None:
        """SIGKILL to the server, and wait until it is gone."""
        child = self.postgres.child
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        until(lambda: child.exit_code() is not None, what="the end of PostgreSQL")

    def restart_postgres(self) -> None:
        """Let it begin again, where it was killed or has ended; comes back when it takes connections."""
        self.postgres.stop()
        self.postgres.start()


OWN = frozenset(
    {"CONTROL_PLANE_SIGNING_KEY", "CONTROL_PLANE_JWT_SECRET", "CONTROL_PLANE_DATA_DIR", "CONTROL_PLANE_LISTEN"}
)
"""Variables that each instance is given by itself."""


def run(work: Coroutine[Any, Any, Done]) -> Done:
    """Carry it out; tests here have no event loop."""
    return asyncio.run(work)
