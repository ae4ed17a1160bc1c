"""Reading a Dockerfile and a .dockerignore."""

import pytest

from deploy.dockerfile import Ignore, assignments, stages

TWO_STAGES = r"""
# a comment
FROM debian:trixie-slim AS build
RUN apt-get update \
    # in between
    && apt-get install python3
COPY requirements package.json ./
FROM debian:trixie-slim
COPY --from=build /opt/app /opt/app
USER 1:1
USER 2:2
HEALTHCHECK --interval=10s --timeout=5s \
    CMD ["python", "check.py"]
CMD serve --port 1
"""


def test_stages_have_a_base_a_name_and_instructions() -> None:
    build, last = stages(TWO_STAGES)
    assert (build.base, build.name) == ("debian:trixie-slim", "build")
    assert [found.keyword for found in build.instructions] == ["RUN", "COPY"]
    assert " ".join(build.instructions[0].text.split()) == "apt-get update && apt-get install python3"
    assert build.instructions[1].words == ["requirements", "package.json", "./"]
    assert last.name == ""
    assert last.instructions[0].options == {"from": "build"}


def test_the_last_instruction_of_a_kind_is_in_force() -> None:
    last = stages(TWO_STAGES)[-1]
    user, health, command = (last.last(keyword) for keyword in ("USER", "HEALTHCHECK", "CMD"))
    assert user is not None
    assert user.text == "2:2"
    assert health is not None
    assert health.command == ["python", "check.py"]
    assert health.options == {"interval": "10s", "timeout": "5s"}
    assert command is not None
    assert command.command == ["/bin/sh", "-c", "serve --port 1"]
    assert last.last("VOLUME") is None


@pytest.mark.parametrize("text", ["FROM a\nADD x y", "RUN true", 'FROM a\nSHELL ["x"]'])
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"understood|before the first FROM"):
        stages(text)


def test_environment_variables_are_filled_in() -> None:
    assert assignments('PATH=/opt/bin:$PATH A="two words" B=${A}', {"PATH": "/bin", "A": "old"}) == {
        "PATH": "/opt/bin:/bin",
        "A": "two words",
        "B": "old",
    }


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("app/a.py", True),
        ("app/deep/b.py", True),
        ("app/__pycache__/a.pyc", False),
        ("app/deep/x.pyc", False),
        ("app/fetched/z.js", False),
        ("tests/a.py", False),
        ("one/this.py", True),
        ("one/other.py", False),
    ],
)
def test_the_last_matching_pattern_decides(path: str, seen: bool) -> None:
    ignore = Ignore("# only\n*\n!app\n!one/this.py\n**/__pycache__\n**/*.py[co]\napp/fetched\n")
    assert ignore.sees(path) is seen
