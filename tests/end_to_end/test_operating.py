"""What docs/operating.md and docs/runbook.md tell people to type is typed here, and shows what they say it shows."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from pytest_asyncio import fixture

from control_plane.settings import ControlPlaneSettings
from service.settings import variables
from sidecar.settings import SidecarSettings
from tests.end_to_end.controlled import installed, without_database
from tests.end_to_end.operated import Operated, operated, shell
from tests.end_to_end.test_proxy_processes import everywhere

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("operating", "runbook")
SETTINGS = {"plain": {}, "shadow": {"shadow": "true"}, "rollout": {"rollout": "0.01"}}
"""How the sidecar of a block is set up, by the word behind `sh`."""
CONTROL_PLANES = {"control": installed, "outage": without_database}
"""The control plane of a block, likewise."""

BLOCK = re.compile(r"(?ms)^```sh (\w+)\n(.*?)^```$")
BLOCKS = [
    pytest.param(kind, block, id=f"{name}-{number}-{kind}")
    for name in DOCUMENTS
    for number, (kind, block) in enumerate(BLOCK.findall((ROOT / "docs" / f"{name}.md").read_text("utf-8")))
]


Sidecars = Callable[[str], Awaitable[Operated]]


@fixture(scope="module", loop_scope="module")
async def sidecars(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sidecars]:
    """A sidecar of each kind for all blocks, started when the first asks for it: each block leaves it as it was."""
    kept: dict[str, Operated] = {}
    async with AsyncExitStack() as stack:

        async def of(kind: str) -> Operated:
            if kind not in kept:
                running = operated(tmp_path_factory.mktemp(kind), **SETTINGS[kind])
                kept[kind] = await stack.enter_async_context(running)
            return kept[kind]

        yield of


@asynccontextmanager
async def environment(
    kind: str, folder: Path, sidecars: Sidecars, request: pytest.FixtureRequest
) -> AsyncIterator[dict[str, str]]:
    """What the commands of a block find."""
    if kind in SETTINGS:
        sidecar = await sidecars(kind)
        yield sidecar.environment
        await everywhere(sidecar.running, [])
        return
    async with CONTROL_PLANES[kind](folder, request.getfixturevalue("redis_url")) as given:
        yield given


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("kind", "block"), BLOCKS)
async def test_a_block_of_commands_shows_what_the_document_says(
    kind: str, block: str, tmp_path: Path, sidecars: Sidecars, request: pytest.FixtureRequest
) -> None:
    commands = "\n".join(line for line in block.splitlines() if not line.startswith("#"))
    shown = [line.removeprefix("# ") for line in block.splitlines() if line.startswith("# ")]
    assert shown, "say what it shows"
    async with environment(kind, tmp_path, sidecars, request) as given:
        code, output = await shell(f"cd {tmp_path}\n{commands}", given)
    assert code == 0, output
    for line in shown:
        assert line in output, f"{line!r} is not in:\n{output}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_block_says_against_what_it_is_run(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
    opened = re.findall(r"(?m)^```(.*)$", text)
    assert opened[1::2] == [""] * (len(opened) // 2)
    assert {kind.removeprefix("sh ") for kind in opened[::2]} <= SETTINGS.keys() | CONTROL_PLANES.keys()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_it_names_is_there(name: str) -> None:
    path = ROOT / "docs" / f"{name}.md"
    text = path.read_text("utf-8")
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []
    known = {variable.name for variable in variables(SidecarSettings)}
    known |= {variable.name for variable in variables(ControlPlaneSettings)}
    assert set(re.findall(r"\b(?:SIDECAR|CONTROL_PLANE)_[A-Z_]+\b", text)) <= known
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "control_plane").rglob("*.py"))
    listed = re.findall(r"(?m)^\| ((?:`[a-z_]+…?` ?)+)\|", text)
    assert [word for word in re.findall(r"`([a-z_]+)", " ".join(listed)) if f'"{word}' not in sources] == []
    reference = (ROOT / "README_layout-mutation.md").read_text("utf-8")
    assert set(re.findall(r"layout_mutation_\w+", text)) <= set(re.findall(r"layout_mutation_\w+", reference))
