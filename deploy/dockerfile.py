"""A Dockerfile as data: stages of instructions, and which files of the clone its COPY may see.

Counterpart: `image_check.py` carries the instructions out. Never: touches anything; text goes in, values come out. It
reads the part of the language that our Dockerfile uses, and refuses the rest rather than guess.
"""

import json
import re
import shlex
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

import msgspec

KNOWN = {
    "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "USER", "VOLUME", "WORKDIR",
}  # fmt: skip


class Instruction(msgspec.Struct, frozen=True):
    """One instruction: its keyword, its options (`--from=build`), and the rest of the line."""

    keyword: str
    options: dict[str, str]
    text: str

    @property
    def words(self) -> list[str]:
        """The text as a list: its JSON form, or split as a shell would."""
        if self.text.startswith("["):
            return [str(word) for word in json.loads(self.text)]
        return shlex.split(self.text)

    @property
    def command(self) -> list[str]:
        """What RUN, CMD, ENTRYPOINT or HEALTHCHECK start: a list as it stands, a text by the shell."""
        return self.words if self.text.startswith("[") else ["/bin/sh", "-c", self.text]


class Stage(msgspec.Struct, frozen=True):
    """One FROM and what follows it."""

    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def last(self, keyword: str) -> Instruction | None:
        """The instruction in force of a keyword of which the last one counts (USER, CMD, HEALTHCHECK, …)."""
        return next((found for found in reversed(self.instructions) if found.keyword == keyword), None)


def stages(text: str) -> tuple[Stage, ...]:
    """The stages of a Dockerfile; raises ValueError for an instruction that is not understood."""
    found: list[tuple[str, str, list[Instruction]]] = []
    for instruction in _instructions(text):
        if instruction.keyword == "FROM":
            base, _, name = instruction.text.partition(" AS ")
            found.append((base.strip(), name.strip(), []))
        elif not found:
            raise ValueError(f"{instruction.keyword} before the first FROM")
        else:
            found[-1][2].append(instruction)
    return tuple(Stage(base, name, tuple(instructions)) for base, name, instructions in found)


def _instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = []
    for logical in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        keyword, _, rest = logical.strip().partition(" ")
        if keyword not in KNOWN:
            raise ValueError(f"{keyword} is not understood")
        options: dict[str, str] = {}
        while match := re.match(r"\s*--([a-z-]+)=(\S+)\s+", rest):
            options[match[1]] = match[2]
            rest = rest[match.end() :]
        if keyword == "HEALTHCHECK":
            rest = rest.strip().removeprefix("CMD ")
        found.append(Instruction(keyword, options, rest.strip()))
    return found


def assignments(text: str, known: dict[str, str]) -> dict[str, str]:
    """`NAME=value …` of an ENV, with `$NAME` filled in from `known`."""
    pairs = (word.partition("=") for word in shlex.split(text))
    filled = (
        (name, re.sub(r"\$\{?(\w+)\}?", lambda found: known.get(found[1], ""), value)) for name, _, value in pairs
    )
    return dict(filled)


class Ignore:
    """A .dockerignore: the last pattern that matches a path, or a folder above it, decides."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        patterns = [line for line in lines if line and not line.startswith("#")]
        self._patterns = [(line.lstrip("!").strip("/"), line.startswith("!")) for line in patterns]

    def sees(self, path: str) -> bool:
        """Whether a COPY sees this path, given from the clone with `/`."""
        pure = PurePosixPath(path)
        names = [str(pure), *(str(parent) for parent in pure.parents if str(parent) != ".")]
        seen = True
        for pattern, allowed in self._patterns:
            if any(_matches(pattern, name) for name in names):
                seen = allowed
        return seen


def _matches(pattern: str, path: str) -> bool:
    wanted, given = pattern.split("/"), path.split("/")
    if wanted[0] == "**":
        return any(_matches("/".join(wanted[1:]), "/".join(given[start:])) for start in range(len(given)))
    return len(wanted) == len(given) and all(map(fnmatchcase, given, wanted))
