"""The data folder: where it is, and that one run at a time has it."""

import os
import stat
from pathlib import Path

import pytest

from layout_mutation.installation import Installation, default_folder, installation
from layout_mutation.processes import Account, RunError

NOBODY = Account(65_534, 65_534)


def test_the_folder_is_beside_the_project(server_folder: Path) -> None:
    assert default_folder(server_folder, None) == server_folder / ".layout-mutation"


def test_for_root_it_moves_when_the_servers_could_not_get_there(tmp_path: Path, server_folder: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert default_folder(server_folder, NOBODY) == server_folder / ".layout-mutation"
    elsewhere = default_folder(closed, NOBODY)
    assert elsewhere.parent == Path("/var/lib/layout-mutation")
    assert elsewhere == default_folder(closed, NOBODY)
    assert elsewhere != default_folder(tmp_path, NOBODY)


def test_a_folder_that_was_asked_for_stays(tmp_path: Path) -> None:
    assert installation(tmp_path / "mine").folder == tmp_path / "mine"


def test_the_folder_is_not_for_others_to_list(server_folder: Path) -> None:
    place = Installation(server_folder / "data")
    place.create()
    assert not stat.S_IMODE(place.folder.stat().st_mode) & 0o044
    assert stat.S_IMODE(place.logs.stat().st_mode) == 0o700


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(RunError, match=r"data: File exists; choose another folder with --data-dir"):
        Installation(tmp_path / "data").create()


def test_the_lock_has_one_holder_and_says_how_the_last_one_ended(tmp_path: Path) -> None:
    place = Installation(tmp_path)
    with place.locked() as killed_before:
        assert not killed_before
        with pytest.raises(RunError, match=rf"\(pid {os.getpid()}\)"), place.locked():
            pass
    assert not (tmp_path / "lock").exists()
    (tmp_path / "lock").write_text("4711\n")
    with place.locked() as killed_before:
        assert killed_before
