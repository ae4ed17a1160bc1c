"""The image and the Compose file, checked without a container engine.

Counterpart: `make image-check` carries the Dockerfile's steps out, which takes root, the network and a minute.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from control_plane.settings import ControlPlaneSettings
from deploy.compose_env import fresh
from deploy.dockerfile import Ignore, assignments, stages
from service.settings import variables
from sidecar.processes.slots import KILL_MARGIN_S
from sidecar.settings import SidecarSettings

CLONE = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent


def checked(command: list[str], **variables: str) -> str:
    """Run a checker in the clone; its complaint fails the test."""
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", **variables}
    done = subprocess.run(command, cwd=CLONE, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def compose() -> dict[str, dict[str, dict[str, object]]]:
    document: dict[str, dict[str, dict[str, object]]] = YAML(typ="safe").load(CLONE / "docker-compose.yml")
    return document


def test_hadolint_has_nothing_to_say() -> None:
    checked([str(TOOLS / "hadolint"), "Dockerfile"])


def test_the_compose_file_is_what_the_specification_says() -> None:
    checked([str(TOOLS / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"])


def test_docker_compose_understands_the_file(missing: Callable[[str, str], str], tmp_path: Path) -> None:
    empty = tmp_path / "empty.env"
    empty.touch()
    compose = [missing("docker-compose", "docker-compose"), "--env-file", str(empty), "config"]
    resolved = YAML(typ="safe").load(checked(compose, **fresh()))
    assert set(resolved["services"]) == {"postgres", "valkey", "control-plane", "sidecar", "demo"}


def test_every_secret_is_required_and_written_by_make_env() -> None:
    text = (CLONE / "docker-compose.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+):\?", text)) == set(fresh())
    for name in re.findall(r"\$\{(\w+):-", text):
        assert not re.search(r"PASSWORD|SECRET|KEY|TOKEN", name), f"{name} has a default"


def test_every_service_is_confined(compose: dict[str, dict[str, dict[str, object]]]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        ports = service.get("ports", [])
        assert isinstance(ports, list)
        for port in ports:
            assert str(port).startswith("127.0.0.1:"), f"{name} publishes {port} to the network"


def test_who_finishes_what_is_in_progress_is_not_killed_before(
    compose: dict[str, dict[str, dict[str, object]]],
) -> None:
    """A container engine waits ten seconds, unless it is told otherwise."""
    defaults = SidecarSettings(upstream="http://127.0.0.1:1")
    needed_s = defaults.unready_s + defaults.drain_s + KILL_MARGIN_S
    assert int(str(compose["services"]["sidecar"]["stop_grace_period"]).removesuffix("s")) > needed_s


def test_every_variable_is_a_setting(compose: dict[str, dict[str, dict[str, object]]]) -> None:
    known = {
        "control-plane": {variable.name for variable in variables(ControlPlaneSettings)},
        "sidecar": {variable.name for variable in variables(SidecarSettings)},
    }
    for name, settings in known.items():
        given = compose["services"][name]["environment"]
        assert isinstance(given, dict)
        assert set(given) <= settings, name
    last = stages((CLONE / "Dockerfile").read_text(encoding="utf-8"))[-1]
    declared = {name for found in last.instructions if found.keyword == "ENV" for name in assignments(found.text, {})}
    ours = {name for name in declared if name.startswith(("SIDECAR_", "CONTROL_PLANE_"))}
    assert ours <= known["sidecar"] | known["control-plane"]


def test_the_image_has_no_root_and_says_how_it_feels() -> None:
    last = stages((CLONE / "Dockerfile").read_text(encoding="utf-8"))[-1]
    user, health, entrypoint = (last.last(keyword) for keyword in ("USER", "HEALTHCHECK", "ENTRYPOINT"))
    assert user is not None
    assert user.text.split(":")[0] not in ("root", "0")
    assert health is not None
    assert "python" in health.command[0]
    assert entrypoint is not None
    assert entrypoint.command == ["layout-mutation"]


def test_the_image_is_made_of_locked_packages_only() -> None:
    for stage in stages((CLONE / "Dockerfile").read_text(encoding="utf-8")):
        for instruction in stage.instructions:
            for command in re.split(r"&&", instruction.text if instruction.keyword == "RUN" else ""):
                if "install" in command and "pip" in command.split("install")[0]:
                    assert "--require-hashes" in command or "--no-index" in command, command


@pytest.mark.parametrize("path", ["rules/model.py", "sidecar/__init__.py", "pyproject.toml", "deploy/healthcheck.py"])
def test_the_image_gets_the_product(path: str) -> None:
    assert Ignore((CLONE / ".dockerignore").read_text(encoding="utf-8")).sees(path)


@pytest.mark.parametrize(
    "path",
    [".env", ".git/config", "tests/conftest.py", ".layout-mutation/.env", "rules/__pycache__/model.pyc", "deploy/x.py"],
)
def test_the_image_gets_nothing_else(path: str) -> None:
    assert not Ignore((CLONE / ".dockerignore").read_text(encoding="utf-8")).sees(path)
