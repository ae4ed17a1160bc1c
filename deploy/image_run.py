"""A built tree, started as a container would be: read-only root, no root user, no capabilities, process 1.

Counterpart: `image_check.py` builds the tree; the engine's containers are those of docker-compose.yml, in front of a
PostgreSQL and a Valkey from wheels. Never: a network of its own; everything listens on loopback, on free ports.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple
from urllib.request import urlopen

from deploy.compose_env import fresh
from deploy.dockerfile import Stage
from deploy.healthcheck import answers
from layout_mutation.embedded.postgres import EmbeddedPostgres
from layout_mutation.embedded.valkey import EmbeddedValkey
from layout_mutation.seeding import seed

READY_S_MAX = 60.0
STOP_S_MAX = 30.0
POLL_S = 0.1

MARK = "data-image-check"
MUTATION = {
    "id": "01900000-0000-7000-8000-000000000001",
    "name": "Seen by image-check",
    "site": "*",
    "layoutId": "*",
    "pageSlug": "*",
    "mutationType": "set",
    "mutationPayload": {
        "operations": [
            {"verb": "setAttribute", "target": {"selector": "body"}, "name": MARK, "value": "1"},
        ]
    },
    "isActive": True,
    "status": "active",
}


class Image:
    """What `docker run` knows of an image: its files and what the Dockerfile said about starting it."""

    def __init__(self, stage: Stage, root: Path, environ: Mapping[str, str], folder: str) -> None:
        self.root, self.environ, self.folder = root, dict(environ), folder
        entrypoint, health = stage.last("ENTRYPOINT"), stage.last("HEALTHCHECK")
        user, volume = stage.last("USER"), stage.last("VOLUME")
        if not (entrypoint and health and user and volume):
            raise AssertionError("the image needs ENTRYPOINT, HEALTHCHECK, USER and VOLUME")
        self.entrypoint, self.health = entrypoint.command, health.command
        self.user, self.volume = user.text, volume.words[0]
        assert self.user.split(":")[0] not in ("0", "root"), "the image runs as root"

    def command(self, command: Sequence[str]) -> list[str]:
        """`command` in the image: its root read-only, /tmp and the volume empty and writable, its user, no capability."""
        user, _, group = self.user.partition(":")
        root = shlex.quote(str(self.root))
        mounts = [
            f"mount --bind {root} {root}",
            f"mount -t proc proc {root}/proc",
            f"mount --rbind /dev {root}/dev",
            f"mount -t tmpfs -o mode=1777,size=64m tmpfs {root}/tmp",
            f"mount -t tmpfs -o mode=0700,uid={user},gid={group},size=64m tmpfs {root}{self.volume}",
            f"mount -o remount,bind,ro {root}",
        ]
        rights = ["--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
        inside = f"cd {shlex.quote(self.folder)} && exec {shlex.join(['setpriv', *rights, *command])}"
        start = shlex.join(["chroot", str(self.root), "/bin/sh", "-c", inside])
        script = " && ".join([*mounts, f"exec {start}"])
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", script]

    @contextmanager
    def container(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> Iterator["Container"]:
        """A running container; stopped at the end as `docker stop` does, and expected to obey."""
        process = subprocess.Popen(self.command(command), env={**self.environ, **environ}, stdin=subprocess.DEVNULL)
        running = Container(name, process)
        try:
            yield running
            running.stop()
        finally:
            process.kill()
            process.wait()


class Container:
    """One process 1 and its name in messages."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        self.name, self._process = name, process

    @property
    def first(self) -> int:
        """Process 1 of the container, by its number on this machine."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text(encoding="ascii")
        assert children.split(), f"{self.name} is not running"
        return int(children.split()[0])

    def status(self, field: str) -> list[str]:
        """A line of /proc/PID/status of process 1, as words."""
        lines = Path(f"/proc/{self.first}/status").read_text(encoding="utf-8").splitlines()
        return next(line.split()[1:] for line in lines if line.startswith(f"{field}:"))

    def wait(self, ready: Callable[[], bool], what: str) -> None:
        """Until `ready`, or an error when the container ends or takes too long."""
        deadline_s = time.monotonic() + READY_S_MAX
        while not ready():
            assert self._process.poll() is None, f"{self.name} ended with exit code {self._process.returncode}"
            assert time.monotonic() < deadline_s, f"{self.name}: no {what} in {READY_S_MAX:.0f} s"
            time.sleep(POLL_S)

    def stop(self) -> None:
        """SIGTERM to process 1, which has no default action there: the program itself must obey."""
        os.kill(self.first, signal.SIGTERM)
        try:
            code = self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not stop on SIGTERM") from None
        assert code in (0, 128 + signal.SIGTERM), f"{self.name} stopped with exit code {code}"


def check_running(stage: Stage, root: Path, environ: Mapping[str, str], folder: str) -> None:
    """Start demo, control plane and sidecar from the image, and see a mutation arrive on a page of the demo.

    Raises AssertionError saying what did not work.
    """
    image = Image(stage, root, environ, folder)
    keys = fresh()
    ports = free_ports(4)
    site, internal, api, origin = (f"127.0.0.1:{port}" for port in ports)
    with ExitStack() as stack:
        databases = Path(mkdtemp(prefix="layout-mutation-servers-"))
        stack.callback(subprocess.run, ["rm", "-rf", str(databases)], check=True)
        databases.chmod(0o711)
        postgres = EmbeddedPostgres(databases / "postgres", password=keys["POSTGRES_PASSWORD"], durable=False)
        valkey = EmbeddedValkey(databases / "valkey", password=keys["VALKEY_PASSWORD"], durable=False)
        redis_url = stack.enter_context(valkey).url
        shared = {"REDIS_URL": redis_url, "LAYOUT_MUTATION_ENVIRONMENT": "image-check"}
        control_plane = shared | {
            "DATABASE_URL": stack.enter_context(postgres).url,
            "CONTROL_PLANE_LISTEN": api,
            "CONTROL_PLANE_SIGNING_KEY": keys["CONTROL_PLANE_SIGNING_KEY"],
            "CONTROL_PLANE_JWT_SECRET": keys["CONTROL_PLANE_JWT_SECRET"],
            "SIDECAR_ADMIN_LISTEN": "",
        }
        sidecar = shared | {
            "SIDECAR_UPSTREAM": f"http://{origin}",
            "SIDECAR_LISTEN": site,
            "SIDECAR_ADMIN_LISTEN": internal,
            "SIDECAR_TABLE_PUBLIC_KEYS": keys["SIDECAR_TABLE_PUBLIC_KEYS"],
            "SIDECAR_WORKERS": "1",
            "CONTROL_PLANE_LISTEN": "",
        }
        demo = stack.enter_context(image.container("demo", ["python", "-m", "demo", "--listen", origin], {}))
        demo.wait(lambda: answers(f"http://{origin}/"), "page")
        for name, settings in (("control-plane", control_plane), ("sidecar", sidecar)):
            running = stack.enter_context(image.container(name, [*image.entrypoint, name], settings))
            running.wait(partial(healthy, image, settings), "health")
            assert running.status("Uid")[0] == image.user.split(":")[0], f"{name} runs as another user"
            assert int(running.status("CapEff")[0], 16) == 0, f"{name} has capabilities"
        check_pages(image, control_plane, site=f"http://{site}", api=f"http://{api}", origin=f"http://{origin}")


def check_pages(image: Image, settings: Mapping[str, str], *, site: str, api: str, origin: str) -> None:
    """The origin's page comes through the sidecar; a mutation written at the control plane changes it."""
    direct, through = page(origin), page(site)
    assert through.said.startswith("passed"), f"the sidecar says {through.said!r} of a page that no rule is for"
    assert MARK not in direct.text + through.text, "the page has the mutation before it was written"
    asked = subprocess.run(
        image.command([*image.entrypoint, "token", "--role", "admin"]),
        env={**image.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seed(api, asked.stdout.strip(), json.dumps({"mutations": [MUTATION]}).encode())
    deadline_s = time.monotonic() + READY_S_MAX
    while MARK not in page(site).text:
        assert time.monotonic() < deadline_s, f"a mutation does not reach the page: {page(site).said}"
        time.sleep(POLL_S)
    assert MARK not in page(origin).text, "the origin itself changed"
    print(f"    a mutation reached the page: X-Layout-Mutation: {page(site).said}")


class Page(NamedTuple):
    """A page and what the sidecar says it did with it."""

    text: str
    said: str


def page(url: str) -> Page:
    """The home page at `url`."""
    with urlopen(f"{url}/", timeout=10) as answer:
        return Page(answer.read().decode("utf-8", "replace"), answer.headers.get("X-Layout-Mutation", ""))


def healthy(image: Image, environ: Mapping[str, str]) -> bool:
    """Whether the image's own HEALTHCHECK says so, asked as an engine does: in the image, with the container's variables."""
    asked = subprocess.run(image.command(image.health), env={**image.environ, **environ}, check=False)
    return asked.returncode == 0


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that are free now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in sockets]
