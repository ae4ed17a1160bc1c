"""What docs/operating.md and docs/runbook.md tell people to type is typed here, and shows what they say it shows."""

import re
from pathlib import Path

import pytest

from service.settings import variables
from sidecar.settings import SidecarSettings
from tests.end_to_end.operated import operated, shell

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("operating", "runbook")
SETTINGS = {"plain": {}, "shadow": {"shadow": "true"}, "rollout": {"rollout": "0.01"}}
"""How the sidecar of a block is set up, by the word behind `sh`."""

BLOCK = re.compile(r"(?ms)^```sh (\w+)\n(.*?)^```$")
BLOCKS = [
    pytest.param(kind, block, id=f"{name}-{number}-{kind}")
    for name in DOCUMENTS
    for number, (kind, block) in enumerate(BLOCK.findall((ROOT / "docs" / f"{name}.md").read_text("utf-8")))
]


@pytest.mark.parametrize(("kind", "block"), BLOCKS)
async def test_a_block_of_commands_shows_what_the_document_says(kind: str, block: str, tmp_path: Path) -> None:
    commands = "\n".join(line for line in block.splitlines() if not line.startswith("#"))
    shown = [line.removeprefix("# ") for line in block.splitlines() if line.startswith("# ")]
    assert shown, "say what it shows"
    async with operated(tmp_path, **SETTINGS[kind]) as sidecar:
        code, output = await shell(commands, sidecar.environment)
    assert code == 0, output
    for line in shown:
        assert line in output, f"{line!r} is not in:\n{output}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_block_says_against_what_it_is_run(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
    opened = re.findall(r"(?m)^```(.*)$", text)
    assert opened[1::2] == [""] * (len(opened) // 2)
    assert {kind.removeprefix("sh ") for kind in opened[::2]} <= set(SETTINGS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_it_names_is_there(name: str) -> None:
    path = ROOT / "docs" / f"{name}.md"
    text = path.read_text("utf-8")
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []
    known = {variable.name for variable in variables(SidecarSettings)}
    assert set(re.findall(r"\bSIDECAR_[A-Z_]+\b", text)) <= known
    reference = (ROOT / "README_layout-mutation.md").read_text("utf-8")
    assert set(re.findall(r"layout_mutation_\w+", text)) <= set(re.findall(r"layout_mutation_\w+", reference))
