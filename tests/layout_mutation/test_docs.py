"""Generated documentation is written into a checkout, checked for freshness, and never into somebody else's folder."""

import pytest

from layout_mutation.docs import CHAPTERS, FILES, PROJECT
from tests.layout_mutation.running_up import ROOT
from tests.layout_mutation.typed import CommandLine


@pytest.fixture
def checkout(run: CommandLine) -> CommandLine:
    """The command line, in a folder that says it is this project."""
    run.write("pyproject.toml", f'[project]\nname = "{PROJECT}"\n')
    for name in CHAPTERS:
        run.write(name, (ROOT / name).read_bytes())
    return run


def test_docs_are_written_once(checkout: CommandLine) -> None:
    first = checkout("docs")
    assert (first.code, first.err) == (0, "")
    assert first.text.splitlines() == [f"wrote {name}" for name in FILES]
    for name, render in FILES.items():
        assert (checkout.folder / name).read_text("utf-8") == render()
    second = checkout("docs")
    assert (second.code, second.out, second.err) == (0, b"", "")
    assert checkout("docs", "--check").code == 0


def test_check_names_what_is_stale_and_writes_nothing(checkout: CommandLine) -> None:
    everything = checkout("docs", "--check")
    assert (everything.code, everything.out) == (1, b"")
    assert everything.err.splitlines() == [f"{name} is out of date; run `layout-mutation docs`" for name in FILES]
    assert sorted(path.name for path in checkout.folder.iterdir()) == ["docs", "pyproject.toml"]


@pytest.mark.parametrize("chapter", CHAPTERS["docs/moving.md"])
def test_a_chapter_that_lacks_or_has_no_commands_is_said(checkout: CommandLine, chapter: str) -> None:
    checkout("docs")
    whole = (checkout.folder / "docs" / "moving.md").read_text("utf-8")
    checkout.write("docs/moving.md", whole.replace(f"\n## {chapter}\n", "\n## Something else\n"))
    ran = checkout("docs", "--check")
    assert (ran.code, ran.err) == (1, f"docs/moving.md lacks the chapter {chapter!r}: write it\n")
    before, _, after = whole.partition(f"\n## {chapter}\n")
    checkout.write(
        "docs/moving.md", f"{before}\n## {chapter}\n\nWords only.\n\n## {after.partition(chr(10) + '## ')[2]}"
    )
    ran = checkout("docs", "--check")
    assert ran.code == 1
    assert ran.err.startswith(f"docs/moving.md: the chapter {chapter!r} has no commands")
    (checkout.folder / "docs" / "moving.md").unlink()
    assert checkout("docs", "--check").err.count("lacks the chapter") == len(CHAPTERS["docs/moving.md"])


@pytest.mark.parametrize("damage", [b"", b"\xff not text", b"more"])
def test_one_that_was_edited_by_hand_is_stale_to_the_byte(checkout: CommandLine, damage: bytes) -> None:
    checkout("docs")
    path = checkout.folder / "README_migration.md"
    fresh = path.read_bytes()
    for content in (fresh + damage if damage else fresh.replace(b"\n", b"\r\n"), damage):
        path.write_bytes(content)
        ran = checkout("docs", "--check")
        assert (ran.code, ran.err) == (1, "README_migration.md is out of date; run `layout-mutation docs`\n")
    assert checkout("docs").text == "wrote README_migration.md\n"
    assert path.read_bytes() == fresh


@pytest.mark.parametrize("project", [None, "", "nonsense", '[project]\nname = "shop"', 'project = "x"', "[tool.x]"])
def test_the_files_of_another_project_are_left_alone(run: CommandLine, project: str | None) -> None:
    if project is not None:
        run.write("pyproject.toml", project)
    run.write(".env.example", "THEIRS=1\n")
    ran = run("docs")
    assert ran.is_one_error(2)
    assert "run this in a checkout" in ran.err
    assert (run.folder / ".env.example").read_text() == "THEIRS=1\n"


def test_a_file_that_cannot_be_written_is_exit_code_3(checkout: CommandLine) -> None:
    (checkout.folder / "docs" / "rules-file.schema.json").mkdir(parents=True)
    ran = checkout("docs")
    assert ran.is_one_error(3)
    assert "docs/rules-file.schema.json: Is a directory" in ran.err


def test_this_checkout_is_fresh() -> None:
    stale = [name for name, render in FILES.items() if (ROOT / name).read_text("utf-8") != render()]
    assert stale == [], "run `make fmt`"
