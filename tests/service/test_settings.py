"""Settings come from variables, say what is wrong with one by name, and never show a secret."""

from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
import pytest
from msgspec import Meta

from service.settings import SECRET, SettingsError, environment, load, read_dotenv, variable_name, variables


class Example(msgspec.Struct, frozen=True, kw_only=True):
    prefix: ClassVar[str] = "EXAMPLE_"
    unprefixed: ClassVar[frozenset[str]] = frozenset({"database_url"})

    database_url: Annotated[str, Meta(description="where the database is")]
    port: Annotated[int, Meta(ge=1, le=65535, description="port to listen on")] = 8080
    share: Annotated[float, Meta(ge=0, le=1, description="share of visits")] = 1.0
    strict: Annotated[bool, Meta(description="whether to be strict")] = False
    token: Annotated[Annotated[str, Meta(min_length=8)] | None, Meta(description="a token", extra=SECRET)] = None
    names: Annotated[list[str], Meta(description="names, as JSON")] = []

    def __post_init__(self) -> None:
        if self.strict and self.token is None:
            raise ValueError("EXAMPLE_STRICT needs EXAMPLE_TOKEN")


URL = {"DATABASE_URL": "postgres://x"}


def test_what_is_not_set_has_its_default() -> None:
    assert load(Example, URL) == Example(database_url="postgres://x")
    assert load(Example, {**URL, "EXAMPLE_PORT": ""}).port == 8080


def test_text_becomes_what_a_field_is() -> None:
    given = {"EXAMPLE_PORT": "80", "EXAMPLE_SHARE": "0.5", "EXAMPLE_STRICT": "true", "EXAMPLE_TOKEN": "12345678"}
    found = load(Example, {**URL, **given, "EXAMPLE_NAMES": '["a", "b"]'})
    assert (found.port, found.share, found.strict, found.token) == (80, 0.5, True, "12345678")
    assert found.names == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set: where the database is"),
        ({"EXAMPLE_PORT": "http"}, "EXAMPLE_PORT is not usable"),
        ({"EXAMPLE_PORT": "0"}, ">= 1 (got '0'). port to listen on"),
        ({"EXAMPLE_NAMES": "a"}, "EXAMPLE_NAMES is not usable"),
        ({"EXAMPLE_NAMES": "[1]"}, "EXAMPLE_NAMES is not usable: Expected `str`, got `int`"),
        ({"EXAMPLE_STRICT": "true"}, "EXAMPLE_STRICT needs EXAMPLE_TOKEN"),
    ],
)
def test_an_error_names_the_variable_and_the_fix(given: dict[str, str], part: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(Example, {**URL, **given})
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_secret_is_not_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Example, {**URL, "EXAMPLE_TOKEN": "hush"})
    assert "hush" not in str(caught.value)
    assert "EXAMPLE_TOKEN" in str(caught.value)


def test_variables_are_what_the_example_file_lists() -> None:
    told = {variable.name: variable for variable in variables(Example)}
    assert list(told) == [variable_name(Example, field) for field in Example.__struct_fields__]
    assert told["DATABASE_URL"].default is None
    assert (told["EXAMPLE_PORT"].default, told["EXAMPLE_STRICT"].default) == ("8080", "false")
    assert (told["EXAMPLE_TOKEN"].default, told["EXAMPLE_TOKEN"].secret) == ("", True)
    assert told["EXAMPLE_SHARE"].description == "share of visits"


def test_a_dotenv_file(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# a comment\n\nA=1\nexport B = two words \nC='#3'\nD=\"x=y\"\nE=\nF='\n", encoding="utf-8")
    assert read_dotenv(path) == {"A": "1", "B": "two words", "C": "#3", "D": "x=y", "E": "", "F": "'"}
    assert read_dotenv(tmp_path / "missing") == {}


def test_a_line_that_assigns_nothing_is_named(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\nsecret words\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_dotenv(path)
    assert str(caught.value) == f"{path}:2: expected NAME=value"


def test_real_variables_go_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".env"
    path.write_text("EXAMPLE_A=file\nEXAMPLE_B=file\n", encoding="utf-8")
    monkeypatch.setenv("EXAMPLE_A", "real")
    found = environment(path)
    assert (found["EXAMPLE_A"], found["EXAMPLE_B"]) == ("real", "file")
