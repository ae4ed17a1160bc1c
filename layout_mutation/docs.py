"""`layout-mutation docs`: the documentation that is generated, written into a checkout or checked for freshness."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from control_plane.schema import documentation as migrations
from layout_mutation.documentation import dotenv, reference

EXAMPLES = """\
examples:
  layout-mutation docs
      write what is out of date, in the checkout in the current folder
  layout-mutation docs --check
      say what is out of date, change nothing

exit codes: 0 all fresh (or written), 1 --check found stale files, 2 the current folder is no checkout
"""

FILES: dict[str, Callable[[], str]] = {
    ".env.example": dotenv.render,
    "README_layout-mutation.md": reference.render,
    "README_migration.md": migrations.render,
    "docs/rules-file.schema.json": reference.schema,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `docs`."""
    parser.add_argument("--check", action="store_true", help="only say which files are stale")


def run(arguments: argparse.Namespace) -> int:
    """Write or check. The exit code of the contract."""
    if not Path("pyproject.toml").exists():
        print("error: run this in the checkout: there is no pyproject.toml here", file=sys.stderr)
        return 2
    stale = [name for name, render in FILES.items() if not _is_fresh(Path(name), render())]
    for name in stale:
        if arguments.check:
            print(f"{name} is out of date; run `layout-mutation docs`", file=sys.stderr)
        else:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(FILES[name](), encoding="utf-8")
            print(f"wrote {name}")
    return 1 if stale and arguments.check else 0


def _is_fresh(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text
