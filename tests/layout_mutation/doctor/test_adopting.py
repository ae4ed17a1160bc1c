"""The mirror is put aside, and nothing of it is lost."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from layout_mutation.__main__ import main
from layout_mutation.doctor.adopting import adopt

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_mirror_and_its_log_are_renamed_together(tmp_path: Path) -> None:
    assert adopt(tmp_path, NOW) is None
    (tmp_path / "mirror.db").write_bytes(b"what we knew")
    (tmp_path / "mirror.db-wal").write_bytes(b"and the newest")
    aside = adopt(tmp_path, NOW)
    assert aside == tmp_path / "mirror.db.aside-20300102T030405"
    assert aside.read_bytes() == b"what we knew"
    assert (tmp_path / "mirror.db.aside-20300102T030405-wal").read_bytes() == b"and the newest"
    assert len(list(tmp_path.iterdir())) == 2


def test_the_command_says_where_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONTROL_PLANE_DATA_DIR", str(tmp_path))
    assert main(["doctor", "--adopt"]) == 1
    assert "no mirror" in capsys.readouterr().out
    (tmp_path / "mirror.db").write_bytes(b"what we knew")
    assert main(["doctor", "--adopt"]) == 0
    assert "mirror.db.aside-" in capsys.readouterr().out
