"""nginx and HAProxy in front of a sidecar, by the files of `deploy/`: what visitors send of ours never arrives, what operators
set does, and where no sidecar answers the site does."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pytest_asyncio import fixture

from layout_mutation.embedded.ports import free_port
from tests.end_to_end.operated import OPS_TOKEN, PAGE, Operated, operated
from tests.servers import new_server_folder
from tests.sidecar.wire import Answer, client

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
CHANGED = PAGE.replace(b">Old<", b">New<")
PATIENCE_S = 60.0
VISITOR = (
    f"X-Layout-Mutation-Token: {OPS_TOKEN}",
    "X-Layout-Mutation: off",
    "X-Layout-Mutation-Disable: hero",
    "X-Layout-Mutation-Explain: 1",
    "X-Layout-Mutation-Force: price=lower",
    "X-Forwarded-For: 203.0.113.9",
    "X-Real-IP: 203.0.113.9",
)


def adapted(source: Path, folder: Path, replaced: dict[str, str]) -> Path:
    """A copy of a file of deploy/, with the addresses of this test; each of them must be there."""
    text = source.read_text("utf-8")
    for old, new in replaced.items():
        assert old in text, f"{source}: {old}"
        text = text.replace(old, new)
    copy = folder / source.name
    copy.write_text(text)
    return copy


class Front:
    """A proxy in front that runs: its port, and what switches for everybody."""

    def __init__(
        self, port: int, folder: Path, process: asyncio.subprocess.Process, switch: Callable[[str, str], None]
    ) -> None:
        self.port, self.folder, self.process, self.switch = port, folder, process, switch

    async def get(self, *fields: str) -> Answer:
        async with client(self.port) as visitor:
            return await visitor.get("/tea", *fields, "Connection: close")

    async def until(self, happened: Callable[[Answer], bool]) -> Answer:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    answer = await self.get()
                    if happened(answer):
                        return answer
                await asyncio.sleep(0.05)


@asynccontextmanager
async def ran(
    program: str, *arguments: str, folder: Path, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    with (folder / "front.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program, *arguments, cwd=folder, stdout=log, stderr=log, env={**os.environ, **environment}
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@asynccontextmanager
async def nginx(program: str, folder: Path, behind: Operated) -> AsyncIterator[Front]:
    port = free_port()
    addresses = {
        "127.0.0.1:8080": f"127.0.0.1:{behind.running.port}",
        "127.0.0.1:3000": f"127.0.0.1:{behind.site.port}",
        "127.0.0.1:80;": f"127.0.0.1:{port};",
    }
    adapted(DEPLOY / "nginx" / "sidecar.conf", folder, addresses)
    adapted(DEPLOY / "nginx" / "switches.conf", folder, {})
    temporary = " ".join(f"{kind}_temp_path {kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    main = folder / "nginx.conf"
    main.write_text(
        "daemon off; pid nginx.pid; error_log stderr warn; worker_processes 1; events {}\n"
        f"http {{ access_log off; {temporary} include sidecar.conf; }}\n"
    )

    def switch(name: str, value: str) -> None:
        file = folder / "switches.conf"
        text = file.read_text()
        for variable, to in (("token", OPS_TOKEN if value else ""), (name, value)):
            before, mark, rest = text.partition(f"$layout_mutation_{variable} ")
            assert mark, variable
            head, _, tail = rest.partition('default "')
            text = before + mark + head + f'default "{to}"' + tail.partition('"')[2]
        file.write_text(text)
        os.kill(process.pid, signal.SIGHUP)

    async with ran(program, "-p", str(folder), "-c", str(main), folder=folder) as process:
        yield Front(port, folder, process, switch)


@asynccontextmanager
async def haproxy(program: str, folder: Path, behind: Operated) -> AsyncIterator[Front]:
    port = free_port()
    addresses = {
        "127.0.0.1:8080 port 8090": f"127.0.0.1:{behind.running.port} port {behind.running.admin}",
        "127.0.0.1:3000": f"127.0.0.1:{behind.site.port}",
        "bind 127.0.0.1:80\n": f"bind 127.0.0.1:{port}\n",
        "    maxconn 20000\n": "    maxconn 200\n    stats socket unix@haproxy.sock mode 600 level admin\n",
    }
    configuration = adapted(DEPLOY / "haproxy" / "haproxy.cfg", folder, addresses)
    adapted(DEPLOY / "haproxy" / "switches.map", folder, {})

    def switch(name: str, value: str) -> None:
        field = "X-Layout-Mutation" if name == "off" else f"X-Layout-Mutation-{name.capitalize()}"
        command = f"add map switches.map {field} {value}" if value else "clear map switches.map"
        said = _tell(folder / "haproxy.sock", command)
        assert not said.strip(), said

    async with ran(program, "-W", "-db", "-f", str(configuration), folder=folder, OPS_TOKEN=OPS_TOKEN) as process:
        yield Front(port, folder, process, switch)


def _tell(at: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(at))
        line.sendall(command.encode() + b"\n")
        said = b""
        while piece := line.recv(4096):
            said += piece
    return said.decode()


pytestmark = pytest.mark.asyncio(loop_scope="module")

FRONTS = {"nginx": nginx, "haproxy": haproxy}


@fixture(params=FRONTS, scope="module", loop_scope="module")
async def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, missing: Callable[[str, str], str]
) -> AsyncIterator[tuple[Front, Operated]]:
    """Each proxy in front, once; a test leaves it with all switches on."""
    name: str = request.param
    program, whole = missing(name, name), new_server_folder()
    folder = whole / "front"
    folder.mkdir(mode=0o755)
    async with (
        operated(tmp_path_factory.mktemp("operated"), trust_forwarded="true") as behind,
        FRONTS[name](program, folder, behind) as running,
    ):
        await running.until(lambda answer: answer.body == CHANGED)
        yield running, behind
    shutil.rmtree(whole)


async def test_what_a_visitor_sends_of_ours_never_arrives(front: tuple[Front, Operated]) -> None:
    running, _ = front
    answer = await running.get(*VISITOR)
    assert answer.body == CHANGED
    assert answer.verdict == b"applied; table=7; mutations=1"
    assert b"no-store" not in (answer.get(b"Cache-Control") or b"")
    assert answer.get(b"X-Layout-Mutation-Explain") is None
    assert answer.get(b"X-Saw-Own-Fields") == b"no"
    assert b"203.0.113.9" not in (answer.get(b"X-Saw-X-Forwarded-For") or b"")
    assert answer.get(b"X-Saw-X-Real-IP") == b"127.0.0.1"


async def test_a_module_is_switched_off_for_everybody_and_on_again(front: tuple[Front, Operated]) -> None:
    running, _ = front
    running.switch("disable", "hero")
    answer = await running.until(lambda answer: answer.body == PAGE)
    assert answer.get(b"Cache-Control") == b"no-store"
    assert answer.get(b"X-Saw-Own-Fields") == b"no"
    running.switch("disable", "")
    await running.until(lambda answer: answer.body == CHANGED)


@pytest.mark.parametrize(("name", "value", "changed"), [("off", "off", False), ("only", "hero", True)])
async def test_the_other_switches_act_too(front: tuple[Front, Operated], name: str, value: str, changed: bool) -> None:
    running, _ = front
    running.switch(name, value)

    def acts(answer: Answer) -> bool:
        """As it should, and not as the switch before: the program in front lets its former processes answer a little longer."""
        as_asked = answer.body == (CHANGED if changed else PAGE) and answer.get(b"Cache-Control") == b"no-store"
        return as_asked and (name != "off" or answer.verdict == b"passed; reason=switched_off")

    await running.until(acts)
    running.switch(name, "")
    await running.until(lambda answer: answer.body == CHANGED and answer.get(b"Cache-Control") != b"no-store")
    await running.until(lambda answer: answer.body == CHANGED and answer.get(b"Cache-Control") != b"no-store")


async def test_where_no_sidecar_answers_the_site_does(front: tuple[Front, Operated]) -> None:
    """The last one: the sidecar is gone afterwards."""
    running, behind = front
    behind.running.process.kill()
    await behind.running.process.wait()
    answer = await running.until(lambda answer: answer.verdict is None and answer.status == 200)
    assert answer.body == PAGE
