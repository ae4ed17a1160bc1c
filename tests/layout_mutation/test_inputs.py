"""Files and addresses: used, or refused in one line that names them."""

import io
import sys
from pathlib import Path

import pytest

from layout_mutation.inputs import UnusableError, read_address, read_file, read_json, read_rules, read_table
from rules import limits
from tests.layout_mutation.running_up import ROOT

RULES = ROOT / "examples" / "rules.json"
EXAMPLE = "https://shop.example/"


def standard_input(monkeypatch: pytest.MonkeyPatch, data: bytes) -> Path:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    return Path("-")


def test_a_file_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page").write_bytes(b"\xff\r\n\x00")
    assert read_file(tmp_path / "page") == b"\xff\r\n\x00"
    assert read_file(standard_input(monkeypatch, b"\xff\r\n\x00")) == b"\xff\r\n\x00"


def test_what_is_too_large_is_refused_and_never_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page").write_bytes(b"12345")
    assert read_file(tmp_path / "page", bytes_max=5) == b"12345"
    with pytest.raises(UnusableError, match="page: it has more than 4 bytes"):
        read_file(tmp_path / "page", bytes_max=4)
    with pytest.raises(UnusableError, match=r"^standard input: it has more than 4 bytes"):
        read_file(standard_input(monkeypatch, b"12345"), bytes_max=4)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnusableError) as caught:
        read_file(tmp_path)
    assert str(caught.value) == f"{tmp_path}: Is a directory"


def test_rules_and_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(read_rules(RULES)[0].mutations) == len(read_table(RULES)[0].rows) == 9
    assert read_rules(standard_input(monkeypatch, b"{}"))[0].mutations == []
    (tmp_path / "rules.json").write_bytes(RULES.read_bytes().replace(b'"h1"', b'"h1 >"'))
    assert len(read_rules(tmp_path / "rules.json")[0].mutations) == 9  # it decodes; only a table checks selectors
    with pytest.raises(UnusableError, match=r"rules\.json: \$\.mutations\[0\].*selector"):
        read_table(tmp_path / "rules.json")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b'{"mutations": 1}', b"[" * 100_000])
def test_what_is_no_rules_file_is_one_line(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    with pytest.raises(UnusableError) as caught:
        read_table(standard_input(monkeypatch, data))
    assert str(caught.value).startswith("standard input: $")
    assert "\n" not in str(caught.value)


def test_a_json_file_of_any_kind(tmp_path: Path) -> None:
    (tmp_path / "numbers.json").write_text("[1, 2]")
    assert read_json(tmp_path / "numbers.json", list[int]) == [1, 2]
    with pytest.raises(UnusableError, match=r"numbers\.json: \$\[0\]: "):
        read_json(tmp_path / "numbers.json", list[str])


def test_the_bound_of_a_rules_file_is_the_compilers(tmp_path: Path) -> None:
    large = tmp_path / "rules.json"
    with large.open("wb") as file:
        file.truncate(limits.RULES_FILE_BYTES_MAX + 1)
    with pytest.raises(UnusableError, match="more than 33,554,432 bytes"):
        read_rules(large)


def test_an_address_and_its_parts() -> None:
    parts = read_address("--url", "https://Shop.Example:8443/a?b=c", example=EXAMPLE)
    assert (parts.scheme, parts.hostname, parts.port, parts.path) == ("https", "shop.example", 8443, "/a")


@pytest.mark.parametrize(
    "url", ["", "shop.example", "ftp://a/", "http://", "http:///a", "http://[::1", "http://a:x/", "http://a:65536/"]
)
def test_what_is_no_address_is_one_line_with_an_example(url: str) -> None:
    with pytest.raises(UnusableError) as caught:
        read_address("--url", url, example=EXAMPLE)
    assert str(caught.value) == f"--url {url}: an address such as {EXAMPLE} is expected"


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UnusableError) as caught:
        read_address("--url", "http://anna:hunter2@a.example/", example=EXAMPLE)
    assert "without user and password" in str(caught.value)
    assert "hunter2" not in str(caught.value)
