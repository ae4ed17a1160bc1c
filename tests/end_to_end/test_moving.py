"""What docs/moving.md tells people to type is typed here, and shows what it says it shows."""

import asyncio
import re
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from control_plane.settings import ControlPlaneSettings
from layout_mutation.docs import CHAPTERS
from service.settings import variables
from tests.end_to_end.moved import ROOT, execute, fill, moved, new_signing_key, other_database
from tests.end_to_end.operated import shell

DOCUMENT = ROOT / "docs" / "moving.md"
TEXT = DOCUMENT.read_text("utf-8")
BLOCK = re.compile(r"(?ms)^```sh (moving|slowly)\n(.*?)^```$")
"""`slowly` are those that start two services: for `--soak`."""
CHAPTER = re.compile(r"(?m)^##+ (.+)$")


def blocks() -> Iterator[object]:
    for match in BLOCK.finditer(TEXT):
        heading = CHAPTER.findall(TEXT, 0, match.start())[-1]
        marks = [pytest.mark.soak] if match[1] == "slowly" else []
        yield pytest.param(match[2], id=heading.lower().replace(" ", "-"), marks=marks)


@pytest.fixture(scope="module")
def signing_key() -> str:
    return new_signing_key()


@pytest.fixture(scope="module")
def template(
    postgres_server: str, valkey_server: str, signing_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The name of a database with an installation, which each block gets a copy of."""
    name = f"moved_{secrets.token_hex(4)}"

    async def make() -> None:
        await execute(postgres_server, f"CREATE DATABASE {name}")
        await fill(other_database(postgres_server, name), valkey_server, signing_key, tmp_path_factory.mktemp("made"))

    with ThreadPoolExecutor(max_workers=1) as thread:  # the event loop of this one belongs to the tests
        thread.submit(asyncio.run, make()).result()
        yield name
        thread.submit(asyncio.run, execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")).result()


@pytest.mark.parametrize("block", [*blocks()])
async def test_a_block_of_commands_shows_what_the_document_says(
    block: str, postgres_server: str, redis_url: str, template: str, signing_key: str, tmp_path: Path
) -> None:
    commands = "\n".join(line for line in block.splitlines() if not line.startswith("#"))
    shown = [line.removeprefix("# ") for line in block.splitlines() if line.startswith("# ")]
    assert shown, "say what it shows"
    async with moved(postgres_server, template, redis_url, signing_key, tmp_path) as environment:
        code, output = await shell(
            f"cd {tmp_path}\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{commands}", environment
        )
    assert code == 0, output
    at = 0
    for line in shown:
        assert line in output[at:], f"{line!r} is not in:\n{output[at:]}"
        at = output.index(line, at) + len(line)


def test_every_chapter_that_is_required_has_commands() -> None:
    parts = re.split(r"(?m)^## ", TEXT)[1:]
    with_commands = {part.partition("\n")[0] for part in parts if BLOCK.search(part)}
    assert set(CHAPTERS["docs/moving.md"]) <= with_commands


def test_every_block_is_typed() -> None:
    opened = re.findall(r"(?m)^```(.*)$", TEXT)
    assert set(opened[::2]) == {"sh moving", "sh slowly"}
    assert set(opened[1::2]) == {""}


def test_what_it_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", TEXT)
    assert links
    assert [link for link in links if not (DOCUMENT.parent / link).exists()] == []
    known = {variable.name for variable in variables(ControlPlaneSettings)}
    assert set(re.findall(r"\bCONTROL_PLANE_[A-Z_]+\b", TEXT)) <= known
