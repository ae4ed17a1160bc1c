"""Files and addresses that commands are given: read whole, checked once, and one line when they can't be used.

Never: a traceback for what a person typed or wrote.
"""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from rules import forward, limits
from rules.compiler import compile_table
from rules.diagnosis import decode
from rules.errors import RulesError
from rules.model import Decoded, decode_rules_file
from rules.table import DecisionTable
from service.clock import now


class UnusableError(Exception):
    """An input that can't be used. The message is one line: where, what and the fix; exit code 2."""


def read_file(path: Path, *, bytes_max: int = limits.RULES_FILE_BYTES_MAX) -> bytes:
    """The bytes of a file; `-` is standard input. UnusableError where it can't be read or has more than `bytes_max`."""
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(bytes_max + 1)
        else:
            with path.open("rb") as file:
                data = file.read(bytes_max + 1)
    except OSError as error:
        raise UnusableError(f"{_named(path)}: {error.strerror or error}") from None
    if len(data) > bytes_max:
        raise UnusableError(f"{_named(path)}: it has more than {bytes_max:,} bytes, the most that is read")
    return data


def read_address(option: str, url: str, *, example: str) -> SplitResult:
    """The parts of a web address; UnusableError, naming the option, for anything else or one with a password in it."""
    expected = UnusableError(f"{option} {url}: an address such as {example} is expected")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # brackets without an IPv6 address in them, a port that is no number
        raise expected from None
    if parts.username is not None:
        raise UnusableError(f"{option}: an address without user and password is expected, such as {example}")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise expected
    return parts


def read_rules(path: Path) -> Decoded:
    """A rules file, and what bringing it forward changed; UnusableError with the file, the JSON path and what is allowed there."""
    try:
        return decode_rules_file(read_file(path))
    except RulesError as error:
        raise UnusableError(f"{_named(path)}: {error}") from None


def read_table(path: Path) -> tuple[DecisionTable, tuple[forward.Change, ...]]:
    """A rules file, compiled with every check, and what bringing it forward changed; UnusableError like `read_rules`."""
    rules_file, changes = read_rules(path)
    try:
        return compile_table(rules_file, version=1, now=now()), changes
    except RulesError as error:
        raise UnusableError(f"{_named(path)}: {error}") from None


def read_json(path: Path, kind: Any) -> Any:
    """A JSON file as `kind`; UnusableError with the JSON path and what is allowed there."""
    try:
        return decode(read_file(path), kind)
    except RulesError as error:
        raise UnusableError(f"{_named(path)}: {error}") from None


def _named(path: Path) -> str:
    return "standard input" if str(path) == "-" else str(path)
