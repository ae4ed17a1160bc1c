"""The units for systemd: their syntax, and that what they name is there."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from sidecar.processes.door import VISITORS

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNITS = sorted(DEPLOY.glob("*.s[eo][rc][vk]*"))


def read(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # names count as they are written
    unit.read(DEPLOY / name)
    return unit


def test_a_reload_is_the_restart_without_a_gap_and_the_first_process_is_the_one_that_is_told() -> None:
    service = read("layout-mutation-sidecar.service")["Service"]
    assert (service["Type"], service["KillMode"], service["NotifyAccess"]) == ("notify", "mixed", "main")
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service["ExecStart"].endswith("layout-mutation sidecar")


def test_the_socket_is_named_as_the_door_knows_it() -> None:
    assert read("layout-mutation-sidecar.socket")["Socket"]["FileDescriptorName"] == VISITORS


def test_the_service_may_do_no_more_than_it_has_to() -> None:
    """`systemd-analyze security` gives 10 points for everything allowed, 0 for nothing."""
    analyzer = shutil.which("systemd-analyze")
    if analyzer is None:
        pytest.skip("needs systemd-analyze (Debian: systemd)")
    unit = str(DEPLOY / "layout-mutation-sidecar.service")
    command = [analyzer, "security", "--offline=true", "--no-pager", "--threshold=40", unit]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stdout[-400:] + found.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_itself_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    verifier = shutil.which("systemd-analyze")
    if verifier is None:
        pytest.skip("needs systemd-analyze (Debian: systemd)")
    for other in UNITS:
        text = other.read_text().replace("/opt/layout-mutation/bin/layout-mutation", "/bin/true")
        (tmp_path / other.name).write_text(text)
    found = subprocess.run(
        [verifier, "verify", "--man=no", str(tmp_path / unit.name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")
