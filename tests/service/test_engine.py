"""The engine's name: the same for the same code, another for any other."""

from pathlib import Path

import pytest

from rules.table import UNCHECKED
from service.engine import engine, engine_in


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "html").mkdir()
    (tmp_path / "checks.py").write_text("LONGEST = 10\n")
    (tmp_path / "html" / "harm.py").write_text("")
    return tmp_path


def test_this_program_has_a_name_that_stays() -> None:
    assert engine() == engine() != UNCHECKED
    assert len(engine()) == 32


def test_every_change_of_a_source_changes_the_name(sources: Path) -> None:
    names = [engine_in(sources)]
    assert engine_in(sources) == names[0]
    for path, text in [("checks.py", "LONGEST = 11\n"), ("html/harm.py", "\n"), ("new.py", "")]:
        (sources / path).write_text(text)
        names.append(engine_in(sources))
    (sources / "new.py").rename(sources / "html" / "new.py")
    names.append(engine_in(sources))
    (sources / "notes.txt").write_text("no source")
    assert engine_in(sources) == names[-1]
    assert len(set(names)) == len(names)


def test_what_can_not_be_read_has_no_name(sources: Path, tmp_path: Path) -> None:
    assert engine_in(tmp_path / "nowhere") == UNCHECKED
    (sources / "folder.py").mkdir()
    assert engine_in(sources) == UNCHECKED
