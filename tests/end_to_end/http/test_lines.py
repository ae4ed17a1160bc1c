"""README.md is true: each of its lines has a test that exists, and each test of this folder has its line."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLONE = HERE.parents[2]
ROW = re.compile(r"^\| (?P<line>[^|`]*(?:`[^`]*`[^|`]*)*?) \| `(?P<file>[\w/]+\.py)::(?P<test>test_\w+)` \|$")


def rows() -> list[tuple[str, Path, str]]:
    """(line, file, test) of every row of every table."""
    found = []
    for text in (HERE / "README.md").read_text("utf-8").splitlines():
        if text.startswith("|") and not text.startswith(("| line |", "| --- |")):
            match = ROW.match(text)
            assert match, f"no row of the form | line | `file::test` |: {text}"
            file = match["file"]
            found.append((match["line"], CLONE / file if "/" in file else HERE / file, match["test"]))
    return found


def named_in(file: Path) -> set[str]:
    """The test functions of a file."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(file.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, functions) and node.name.startswith("test_")}


def test_each_line_has_a_test_that_exists() -> None:
    lines = [line for line, _, _ in rows()]
    assert len(lines) > 100
    assert sorted(set(lines)) == sorted(lines), "a line stands there twice"
    missing = [f"{file.name}::{test}" for _, file, test in rows() if not file.is_file() or test not in named_in(file)]
    assert missing == []


def test_each_test_of_this_folder_has_its_line() -> None:
    named = {(file, test) for _, file, test in rows()}
    files = [file for file in HERE.glob("test_*.py") if file != Path(__file__).resolve()]
    assert [f"{file.name}::{test}" for file in files for test in named_in(file) if (file, test) not in named] == []
