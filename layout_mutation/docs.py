"""`layout-mutation docs`: the documentation that is generated, written into a checkout or checked for freshness.

What people write by hand is only looked at: that the chapters which nobody should miss on a bad day are there, with
commands that the tests type.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from control_plane.schema import documentation as migrations
from layout_mutation.documentation import database, dotenv, reference
from layout_mutation.inputs import UnusableError

EXAMPLES = """\
examples:
  layout-mutation docs
      write what is out of date, in the checkout in the current folder
  layout-mutation docs --check
      say what is out of date, and which chapters lack; change nothing

exit codes: 0 all fresh (or written), 1 --check found stale files or a chapter that lacks, 2 the current folder is no checkout,
3 a file can't be read or written
"""

PROJECT = "layout-mutation-engine"

FILES: dict[str, Callable[[], str]] = {
    ".env.example": dotenv.render,
    "README_layout-mutation.md": reference.render,
    "README_migration.md": migrations.render,
    "control_plane/schema/catalogue.json": database.catalogue_file,
    "docs/rules-file.schema.json": reference.schema,
}

CHAPTERS: dict[str, tuple[str, ...]] = {
    "docs/moving.md": ("Migration scenarios", "Security", "Restore", "Rollback"),
    "docs/operating.md": (
        "The mirror and its outbox",
        "The audit chain",
        "Backups and restore",
        "Undo, rollback and the deleted",
    ),
}
"""Document -> the chapters that it has to have, each with a block of commands."""

_COMMANDS = re.compile(r"(?m)^```sh \w+$")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `docs`."""
    parser.add_argument("--check", action="store_true", help="only say which files are stale")


def run(arguments: argparse.Namespace) -> int:
    """Write or check. The exit code of the contract."""
    if _project_here() != PROJECT:
        raise UnusableError(f"run this in a checkout: the pyproject.toml of {PROJECT} is not in this folder")
    try:
        return _check() if arguments.check else _write()
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 3


def _project_here() -> str | None:
    """The name of the project in this folder: another one's files are not ours to write."""
    try:
        name = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8")).get("project", {}).get("name")
    except (OSError, ValueError, AttributeError):
        return None
    return name if isinstance(name, str) else None


def _check() -> int:
    stale = _stale()
    for name in stale:
        print(f"{name} is out of date; run `layout-mutation docs`", file=sys.stderr)
    lacking = list(_lacking())
    for problem in lacking:
        print(problem, file=sys.stderr)
    return 1 if stale or lacking else 0


def _lacking() -> Iterator[str]:
    """What is to be written by hand, and is not."""
    for name, chapters in CHAPTERS.items():
        path = Path(name)
        parts = path.read_text("utf-8").split("\n## ")[1:] if path.exists() else []
        found = {part.partition("\n")[0].strip(): part for part in parts}
        for chapter in chapters:
            if chapter not in found:
                yield f"{name} lacks the chapter {chapter!r}: write it"
            elif not _COMMANDS.search(found[chapter]):
                yield f"{name}: the chapter {chapter!r} has no commands; show what to type, in a block that a test runs"


def _write() -> int:
    for name, text in _stale().items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(text.encode())
        print(f"wrote {name}")
    return 0


def _stale() -> dict[str, str]:
    """Name -> text of the files that are not what they should be, to the byte."""
    texts = {name: render() for name, render in FILES.items()}
    return {name: text for name, text in texts.items() if not _is_fresh(Path(name), text)}


def _is_fresh(path: Path, text: str) -> bool:
    return path.exists() and path.read_bytes() == text.encode()
