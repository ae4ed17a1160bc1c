"""Who wins: the real environment over `.env` here over the data folder's, and an empty value over nobody."""

import argparse
from pathlib import Path

import pytest

from control_plane.schema.address import parse
from layout_mutation.environment import add_data_dir, read_environment, require
from layout_mutation.inputs import UnusableError

NAME = "CONTROL_PLANE_PUBLIC_URL"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder inside the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(NAME, raising=False)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_the_nearest_value_wins(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert NAME not in read_environment(data)
    (data / ".env").write_text(f"{NAME}=folder\nONLY_THERE=1\n")
    assert read_environment(data)[NAME] == "folder"
    Path(".env").write_text(f"{NAME}='here'\n")
    assert read_environment(data)[NAME] == "here"
    monkeypatch.setenv(NAME, "real")
    found = read_environment(data)
    assert (found[NAME], found["ONLY_THERE"]) == ("real", "1")


def test_an_empty_value_hides_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / ".env").write_text(f"{NAME}=folder\n")
    Path(".env").write_text(f"{NAME}=\nALSO_EMPTY=\n")
    monkeypatch.setenv(NAME, "")
    found = read_environment(data)
    assert found[NAME] == "folder"
    assert "ALSO_EMPTY" not in found


def test_without_an_option_the_folder_is_that_of_the_clone(data: Path) -> None:
    folder = data.parent / ".layout-mutation"
    folder.mkdir()
    folder.chmod(0o755)
    arguments = argparse.ArgumentParser()
    add_data_dir(arguments)
    assert arguments.parse_args([]).data_dir is None
    assert arguments.parse_args(["--data-dir", "data"]).data_dir == Path("data")
    (data / ".env").write_text(f"{NAME}=folder\n")
    assert NAME not in read_environment(None)
    assert read_environment(Path("data"))[NAME] == "folder"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"A=1\nnot an assignment\n", ":2: expected NAME=value"),
        (b"A=caf\xe9\n", ": this is not text in UTF-8"),
    ],
)
def test_a_file_that_is_no_dotenv_is_named(data: Path, content: bytes, says: str) -> None:
    (data / ".env").write_bytes(content)
    with pytest.raises(UnusableError) as caught:
        read_environment(data)
    assert str(caught.value) == f"{data / '.env'}{says}"


def test_a_folder_in_the_place_of_the_file_is_named(data: Path) -> None:
    (data / ".env").mkdir()
    with pytest.raises(UnusableError, match="Is a directory"):
        read_environment(data)


def test_what_is_required_says_where_to_set_it() -> None:
    assert require({"A": "1"}, "A") == "1"
    for environ in ({}, {"A": ""}):
        with pytest.raises(UnusableError, match=r"^A is not set: .*\.env.*--data-dir"):
            require(environ, "A")


def test_that_the_database_is_behind_a_pooler_is_in_its_address_too(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTROL_PLANE_DATABASE_POOLED", "true")
    for given, then in (("postgresql://h/d", "?"), ("postgresql://h/d?sslmode=require", "&")):
        monkeypatch.setenv("DATABASE_URL", given)
        assert read_environment(data)["DATABASE_URL"] == f"{given}{then}pgbouncer=true"
        assert parse(read_environment(data)["DATABASE_URL"]).pooled
    monkeypatch.setenv("CONTROL_PLANE_DATABASE_POOLED", "false")
    assert read_environment(data)["DATABASE_URL"] == given
