"""The rules of the house, kept by tests: sizes, names, docstrings, mirrored tests, lock files, documents that are true.

Counterpart: CONTRIBUTING.md says them in words; ruff, mypy and import-linter keep those that a tool knows.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import control_plane.settings
import sidecar.settings
from service.settings import variables

CLONE = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((CLONE / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS: list[str] = PROJECT["tool"]["uv"]["build-backend"]["module-name"]
WORKSHOPS = ["benchmarks", "deploy", "requirements", "tests"]

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}

TESTED_ELSEWHERE = {
    "control_plane/__main__.py": "a process of its own: tests/end_to_end starts it",
    "layout_mutation/ensemble.py": "it is all of `up`: tests/layout_mutation/test_up.py starts and ends whole ones",
    "control_plane/store/interface.py": "a protocol: tests/control_plane/store holds each store to it",
    "control_plane/store/events.py": "a protocol: tests/control_plane/store/test_event_store.py holds PostgreSQL to it",
    "sidecar/__main__.py": "a process of its own: tests/end_to_end starts it",
}
"""Source modules without a test file of their name, and where their test is."""


def python_files(*folders: str) -> list[Path]:
    """The Python files of these folders, as paths from the clone, sorted."""
    return sorted(path.relative_to(CLONE) for folder in folders for path in (CLONE / folder).rglob("*.py"))


class Looked(NamedTuple):
    """What one look at a module finds: to read a thousand of them again for each rule takes five times as long."""

    docstring: str
    functions: list[tuple[int, str, int]]
    """Line, name, lines."""
    attributes: list[tuple[int, str]]
    """Line, and a name with an attribute: `time.monotonic`."""
    imports: list[tuple[int, set[str]]]
    words: set[str]
    """What it defines, imports or uses, by name, and its strings."""


@cache
def looked(path: Path) -> Looked:
    tree = ast.parse((CLONE / path).read_text(encoding="utf-8"), str(path))
    found = Looked(ast.get_docstring(tree) or "", [], [], [], set())
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                found.functions.append((node.lineno, node.name, (node.end_lineno or 0) - node.lineno + 1))
            case ast.Attribute(value=ast.Name(id=name)):
                found.attributes.append((node.lineno, f"{name}.{node.attr}"))
            case ast.Import() | ast.ImportFrom():
                names = {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
                found.imports.append((node.lineno, names))
        for field in ("name", "id", "arg", "attr", "value"):
            if isinstance(word := getattr(node, field, None), str):
                found.words.add(word)
    return found


def text_files() -> Iterator[Path]:
    """What a person reads and writes: sources, documents, settings; nothing fetched or generated."""
    kinds = {".py", ".md", ".toml", ".yml", ".yaml", ".sql", ".css", ".js", ".html", ".json", ".conf", ".cfg", ".sh"}
    tops = [*ROOMS, *WORKSHOPS, "docs", "examples", ".ci"]
    inside = (path for top in tops for path in (CLONE / top).rglob("*") if "vendor" not in path.parts)
    for path in [*CLONE.glob("*"), *inside]:
        if path.is_file() and (path.suffix in kinds or path.name in ("Makefile", "Dockerfile", "run")):
            yield path


@pytest.mark.parametrize("path", python_files(*ROOMS, *WORKSHOPS), ids=str)
def test_a_module_is_short_and_says_what_it_is_for(path: Path) -> None:
    lines = (CLONE / path).read_text(encoding="utf-8").count("\n")
    assert lines < FILE_LINES_MAX, f"{path} has {lines} lines; split it"
    assert path.stem not in BANNED_NAMES, f"{path}: name the file for what it holds"
    if lines:
        assert looked(path).docstring, f"{path} has no docstring: purpose, counterpart, what it never does"
    for line, name, length in looked(path).functions:
        assert length < FUNCTION_LINES_MAX, f"{path}:{line} {name} has {length} lines"


@pytest.mark.parametrize("path", python_files("tests"), ids=str)
def test_tests_wait_for_the_thing_itself_and_replace_nothing(path: Path) -> None:
    for line, name in looked(path).attributes:
        assert name != "time.sleep", f"{path}:{line} sleeps; wait for a condition, with a deadline"
        assert name != "mock.patch", f"{path}:{line} patches; pass a double in through app.py"
    for line, names in looked(path).imports:
        assert not names & {"unittest.mock", "mock"}, f"{path}:{line} uses mock; write a small double"


@pytest.mark.parametrize("path", python_files(*ROOMS), ids=str)
def test_a_source_module_has_its_test(path: Path) -> None:
    """tests/ mirrors the source: rules/html/edits.py has tests/rules/html/test_edits.py or tests/rules/test_html.py."""
    if path.name == "__init__.py":
        assert not looked(path).functions, f"{path} has functions; give them a module with a name"
        return
    if not looked(path).functions:
        return  # it only declares; what uses it is tested
    own = Path("tests", path.parent, f"test_{path.stem.strip('_')}.py")
    folder = Path("tests", path.parent.parent, f"test_{path.parent.name}.py")
    there = [mirror for mirror in (own, folder) if (CLONE / mirror).is_file()]
    if str(path) in TESTED_ELSEWHERE:
        assert own not in there, f"{path} has a test now: take it off the list TESTED_ELSEWHERE"
    else:
        assert there, f"{path} has no test: write {own} or {folder}"


def test_the_list_of_exceptions_names_files_that_exist() -> None:
    assert [path for path in TESTED_ELSEWHERE if not (CLONE / path).is_file()] == []


NAME, FILE = re.compile(r"[a-z_]\w*(?:\.\w+)*"), re.compile(r"\w[\w/-]*(?:\.(?:py|js|html|json|md)|/)")
FULL_NAME = re.compile(rf"(?:{'|'.join([*ROOMS, *WORKSHOPS])})(?:\.\w+)+")


def module_of(name: str, near: Path) -> tuple[Path, list[str]] | None:
    """The module that a dotted name begins with, beside `near` or in a folder above it, and the steps behind it."""
    steps = name.split(".")
    for folder in near.parents:
        for length in range(len(steps), 0, -1):
            begun = folder.joinpath(*steps[:length])
            for module in (begun.with_suffix(".py"), begun / "__init__.py"):
                if (CLONE / module).is_file():
                    return module, steps[length:]
    return None


def exists(name: str, near: Path, words: set[str]) -> bool:
    """Whether there is such a module, or something of that name in one, or a file; `words` are what else is known."""
    if FILE.fullmatch(name) and any((CLONE / folder / name).exists() for folder in near.parents):
        return True
    found = module_of(name, near)
    return name in words if found is None else looked(found[0]).words.issuperset(found[1])


@pytest.mark.parametrize("path", python_files(*ROOMS, *WORKSHOPS), ids=str)
def test_a_docstring_names_what_exists(path: Path) -> None:
    """Full names wherever they stand. Behind "Counterpart" every name: of a module or file beside this one or above, or a
    word of this one's code or of theirs."""
    docstring = looked(path).docstring
    counterparts = re.search(r"Counterparts?: (?:`[^`]*`|[^`.]|\.(?=\S))*", docstring)
    ticked = re.findall(r"`([^`]+)`", counterparts[0] if counterparts else "")
    named = [name for name in ticked if NAME.fullmatch(name) or FILE.fullmatch(name)]
    modules = [found[0] for name in named if (found := module_of(name.removesuffix(".py"), path))]
    words = set().union(*(looked(one).words for one in (path, *modules)))
    full = [
        name for name in re.findall(r"`([^`]+)`", docstring) if FULL_NAME.fullmatch(name) and not FILE.fullmatch(name)
    ]
    assert [name for name in named + full if not exists(name, path, words)] == [], f"{path} names what is not there"


def test_a_room_is_on_every_map() -> None:
    packages = {path.parent.name for path in CLONE.glob("*/__init__.py")} - set(WORKSHOPS)
    assert packages == set(ROOMS), "pyproject.toml, module-name of the build backend"
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == set(ROOMS)
    assert set(ROOMS) <= set(PROJECT["tool"]["mypy"]["files"])
    allowed_in_image = (CLONE / ".dockerignore").read_text(encoding="utf-8").split()
    assert {f"!{room}" for room in ROOMS} <= set(allowed_in_image)


def test_every_layer_contract_is_exhaustive() -> None:
    for contract in PROJECT["tool"]["importlinter"]["contracts"]:
        if "containers" in contract:
            assert contract.get("exhaustive"), f"{contract['id']}: a module that is not drawn must fail"


def test_nothing_is_left_to_do() -> None:
    unfinished = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")
    found = [path for path in text_files() if unfinished.search(path.read_text(encoding="utf-8", errors="replace"))]
    assert found == []


@pytest.mark.parametrize("lock", sorted((CLONE / "requirements").glob("*.lock")), ids=lambda path: path.name)
def test_a_lock_file_pins_by_hash_and_names_no_index(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert not re.search(r"\w+://|--(extra-)?index-url|--find-links", text)
    for entry in re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^\s*#.*\n", "", text).strip()):
        assert re.match(r"[a-z0-9.-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_the_script_lock_file_names_no_index() -> None:
    text = (CLONE / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in text
    packages = msgspec.json.decode(text)["packages"]
    assert all("integrity" in package for path, package in packages.items() if path)


def pins(lock: str) -> dict[str, str]:
    """Package -> version of a lock file."""
    text = (CLONE / "requirements" / f"{lock}.lock").read_text(encoding="utf-8")
    return {canonicalize_name(name): version for name, version in re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", text)}


def test_the_lock_files_fit_pyproject() -> None:
    project = PROJECT["project"]
    otel, embedded, dev = (project["optional-dependencies"][extra] for extra in ("otel", "embedded", "dev"))
    wants = {
        "runtime": project["dependencies"] + otel,
        "run": project["dependencies"] + otel + embedded,
        "dev": project["dependencies"] + otel + embedded + dev,
        "build": PROJECT["build-system"]["requires"],
        "node": PROJECT["dependency-groups"]["node"],
    }
    assert {path.stem for path in (CLONE / "requirements").glob("*.lock")} == set(wants)
    for lock, requirements in wants.items():
        pinned = pins(lock)
        for requirement in map(Requirement, requirements):
            version = pinned.get(canonicalize_name(requirement.name))
            assert version in requirement.specifier if version else False, f"{lock}.lock and {requirement}: make lock"
    assert PROJECT["dependency-groups"]["build"] == PROJECT["build-system"]["requires"]


def test_the_lock_files_agree_with_each_other() -> None:
    assert pins("runtime").items() <= pins("run").items() <= pins("dev").items()
    assert "chromadb" not in pins("run")


def make_targets() -> dict[str, str]:
    """Target -> help text."""
    text = (CLONE / "Makefile").read_text(encoding="utf-8")
    return dict(re.findall(r"(?m)^([a-z-]+):[^=\n]*?## (.+)$", text))


def test_every_make_target_is_in_the_help() -> None:
    text = (CLONE / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"(?m)^\.PHONY: (.+)$", text)
    assert phony
    assert set(phony[1].split()) == set(make_targets())


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_documents_name_commands_that_exist(document: str) -> None:
    text = (CLONE / document).read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```.*?\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text))
    targets = set(re.findall(r"(?m)^(?:\$ )?make ([a-z][a-z-]*)", code))
    assert targets <= set(make_targets()), f"{document} names a target that is not in the Makefile"
    linked = [link for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text) if not (CLONE / link).exists()]
    assert linked == [], f"{document} links to what is not there"


def test_decisions_are_numbered_and_listed() -> None:
    folder = CLONE / "docs" / "adr"
    decisions = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert decisions, "docs/adr has no decisions"
    assert [name[:4] for name in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert [name for name in decisions if name not in index] == [], "list it in docs/adr/README.md"


@pytest.mark.parametrize("module", [sidecar.settings, control_plane.settings], ids=lambda module: str(module.__name__))
def test_every_setting_is_in_the_example(module: Any) -> None:
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    settings = [kind for kind in kinds if getattr(kind, "prefix", "") and kind.__module__ == module.__name__]
    assert settings, f"{module.__name__} has no settings struct"
    example = (CLONE / ".env.example").read_text(encoding="utf-8")
    for kind in settings:
        for variable in variables(kind):
            assert re.search(rf"(?m)^#? ?{variable.name}=", example), f"{variable.name}: run `make fmt`"
