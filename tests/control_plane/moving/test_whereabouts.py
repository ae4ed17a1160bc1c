"""Where the service ran last, on disk."""

from pathlib import Path

from control_plane.moving.places import place_of
from control_plane.moving.whereabouts import FILE_NAME, Known, Whereabouts
from control_plane.store import Position
from tests.control_plane.moving.stores import WHOSE

KNOWN = Known(place_of("postgresql://anna:hunter2@db.example/shop"), Position(WHOSE, 5, 3, b"\0hash", 2))


def test_it_comes_back_as_it_was_and_holds_no_secret(tmp_path: Path) -> None:
    whereabouts = Whereabouts(tmp_path / "data")
    assert whereabouts.read() is None
    whereabouts.write(KNOWN)
    whereabouts.write(KNOWN)
    assert whereabouts.read() == KNOWN
    [file] = (tmp_path / "data").iterdir()
    assert not {"hunter2", "anna"} & set(file.read_text().replace('"', " ").split())
    assert "hunter2" not in file.read_text()


def test_a_broken_file_is_none(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b'{"place":')
    assert Whereabouts(tmp_path).read() is None
