"""`up` as a person meets it: a first start, a second one, Ctrl-C, and everything that goes wrong on real machines."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis

from layout_mutation.embedded.ports import is_free
from service.settings import read_dotenv
from tests.layout_mutation.running_up import RunningUp, alive, family, wait_for

PARTS = {"postgres", "valkey", "control-plane", "sidecar", "demo-site"}
SECRETS = (
    "CONTROL_PLANE_SIGNING_KEY",
    "CONTROL_PLANE_AUDIT_KEYS",
    "CONTROL_PLANE_JWT_SECRET",
    "SIDECAR_OPS_TOKEN",
    "SIDECAR_STATE_KEYS",
    "SIDECAR_EVENTS_KEY",
)


def everybody(up: RunningUp) -> set[int]:
    return {up.process.pid}.union(*(family(pid) for pid in up.processes().values()))


async def test_the_second_start_is_quick_and_has_the_data_of_the_first(up: RunningUp) -> None:
    up.start()
    assert set(up.processes()) == PARTS
    keys = read_dotenv(up.data / ".env")
    connection = await asyncpg.connect(keys["DATABASE_URL"])
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await connection.close()
    with redis.Redis.from_url(keys["REDIS_URL"]) as client:
        client.set("kept", "42")
    assert up.end() == 0

    began = time.monotonic()
    up.start()
    assert time.monotonic() - began < 5
    assert read_dotenv(up.data / ".env") == keys
    connection = await asyncpg.connect(keys["DATABASE_URL"])
    assert await connection.fetchval("SELECT answer FROM kept") == 42
    await connection.close()
    with redis.Redis.from_url(keys["REDIS_URL"]) as client:
        assert client.get("kept") == b"42"
    assert (up.folder / "imported").read_text().count("mutations") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_end_leaves_no_process_socket_or_lock(up: RunningUp, number: signal.Signals) -> None:
    up.start()
    people, keys = everybody(up), read_dotenv(up.data / ".env")
    assert len(people) > len(PARTS)
    assert up.end(number) == 0
    assert [pid for pid in people if alive(pid)] == []
    assert not (up.data / "lock").exists()
    assert list((up.data / "run").iterdir()) == []
    servers = [urlsplit(keys[name]).port or 0 for name in ("DATABASE_URL", "REDIS_URL")]
    assert all(is_free(port) for port in (*up.ports, *servers))
    assert [path for path in up.data.rglob("*") if path.is_socket()] == []


def test_the_addresses_are_shown_once_all_is_ready(up: RunningUp) -> None:
    up.start()
    site, admin, demo = up.ports
    for line in (
        f"Site                http://127.0.0.1:{site}/",
        f"Without mutations   http://127.0.0.1:{demo}/",
        f"Admin               http://127.0.0.1:{admin}/admin/layout-mutations",
        f"Sign in, once       http://127.0.0.1:{admin}/admin/layout-mutations/sign-in?token=",
        f"OpenAPI             http://127.0.0.1:{admin}/api/openapi.json",
        f"API token           layout-mutation token --role publisher --data-dir {up.data}",
        f"Data, keys, logs    {up.data}",
    ):
        assert line in up.text
    secrets = [read_dotenv(up.data / ".env")[name] for name in SECRETS]
    assert not any(secret in up.text for secret in secrets)


def test_keys_are_for_their_owner_only(up: RunningUp) -> None:
    up.start()
    status = (up.data / ".env").stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_uid == os.geteuid()


def test_everybody_gets_the_keys_they_need_and_no_other(up: RunningUp) -> None:
    up.environment = {"SIDECAR_ROLLOUT": "0.5", "CONTROL_PLANE_LLM_URL": "http://llm.test"}
    up.start()
    keys = read_dotenv(up.data / ".env")
    control_plane, sidecar, demo = (up.service(name)["environment"] for name in ("control_plane", "sidecar", "demo"))
    assert keys["SIDECAR_EVENTS_KEY"] == sidecar["SIDECAR_EVENTS_KEY"]
    assert dict(keys.items() - control_plane.items()).keys() == {"SIDECAR_EVENTS_KEY"}
    assert "SIDECAR_EVENTS_KEY" not in control_plane
    assert control_plane["CONTROL_PLANE_LISTEN"] == f"127.0.0.1:{up.ports[1]}"
    assert sidecar["SIDECAR_TABLE_PUBLIC_KEYS"] == keys["SIDECAR_TABLE_PUBLIC_KEYS"]
    assert sidecar["REDIS_URL"] == keys["REDIS_URL"]
    assert (sidecar["SIDECAR_WORKERS"], sidecar["SIDECAR_ROLLOUT"]) == ("2", "0.5")
    assert "SIDECAR_LOCAL_MODE" not in sidecar
    assert not [name for name in sidecar if name.startswith(("CONTROL_PLANE_", "DATABASE_"))]
    assert not [name for name in demo if name in keys or name.startswith(("CONTROL_PLANE_", "SIDECAR_"))]


def test_an_https_origin_switches_the_sidecars_local_mode_on(up: RunningUp) -> None:
    up.options = ("--upstream", "https://127.0.0.1:1")
    up.start()
    sidecar = up.service("sidecar")["environment"]
    assert (sidecar["SIDECAR_LOCAL_MODE"], sidecar["SIDECAR_UPSTREAM"]) == ("1", "https://127.0.0.1:1")
    assert "https://127.0.0.1:1 does not answer yet (Connection refused)" in up.text
    assert not (up.folder / "demo.json").exists()
    assert not (up.folder / "imported").exists()


def test_the_environments_servers_replace_the_embedded_ones(up: RunningUp, database_url: str, redis_url: str) -> None:
    up.environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    up.start()
    assert set(up.processes()) == PARTS - {"postgres", "valkey"}
    given = up.service("control_plane")["environment"]
    assert (given["DATABASE_URL"], given["REDIS_URL"]) == (database_url, redis_url)


def test_in_a_file_there_is_no_database(up: RunningUp) -> None:
    up.options = ("--demo", "--store", "local")
    up.start()
    assert set(up.processes()) == PARTS - {"postgres"}
    assert up.service("control_plane")["environment"]["CONTROL_PLANE_STORE"] == "local"


def test_a_second_up_in_the_same_folder_names_the_first(up: RunningUp) -> None:
    up.start()
    second = RunningUp(up.folder).start()
    assert second.end() == 3
    first = f"another `layout-mutation up` (pid {up.process.pid}) uses {up.data}"
    advice = "stop it, or choose another folder with --data-dir"
    assert second.output == [f"layout-mutation up: {first}; {advice}"]
    assert up.running


@pytest.mark.parametrize(("number", "option"), [(0, "--port"), (1, "--admin-port"), (2, "--demo-port")])
def test_a_taken_port_names_its_option(up: RunningUp, number: int, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        up.ports = (*up.ports[:number], port, *up.ports[number + 1 :])
        assert up.start().end() == 3
    assert f"layout-mutation up: port {port} is taken; choose another one with {option}" in up.output
    assert not (up.data / "lock").exists()


def test_a_server_port_that_somebody_took_meanwhile_is_replaced(up: RunningUp) -> None:
    up.start()
    before = read_dotenv(up.data / ".env")
    up.end()
    taken = urlsplit(before["DATABASE_URL"])
    with socket.create_server(("127.0.0.1", taken.port or 0)):
        up.start()
        after = urlsplit(read_dotenv(up.data / ".env")["DATABASE_URL"])
        assert up.running
    assert after.port != taken.port
    assert after.password == taken.password


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of a killed process")
def test_a_killed_up_takes_its_children_along(up: RunningUp) -> None:
    up.start()
    leaders = up.processes().values()
    up.end(signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in leaders))


def test_the_run_after_a_killed_one_recovers_with_one_line(up: RunningUp) -> None:
    (up.folder / "deaf-control_plane").touch()
    up.start()
    up.end(signal.SIGKILL)
    deaf = up.processes()["control-plane"]
    assert alive(deaf)
    (up.folder / "deaf-control_plane").unlink()
    up.start()
    assert up.running, up.text
    assert not alive(deaf)
    assert "the last run was killed: what it left running is stopped, its data is kept" in up.output
    up.end()
    up.start()
    assert "killed" not in up.text


def test_a_record_of_a_pid_that_is_somebody_else_by_now_harms_nobody(up: RunningUp) -> None:
    up.start()
    up.end()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as innocent:
        (up.data / "run" / "sidecar").write_text(f"{innocent.pid} another-boot/12345\n")
        (up.data / "lock").write_text(f"{innocent.pid}\n")
        up.start()
        assert up.running
        assert innocent.poll() is None
        innocent.communicate(b"\n")


def test_a_service_that_does_not_start_is_quoted(up: RunningUp) -> None:
    (up.folder / "fail-sidecar").touch()
    assert up.start().end() == 3
    log = up.data / "logs" / "sidecar.log"
    assert f"layout-mutation up: sidecar ended while it was starting; its log is {log}" in up.output
    assert up.output[-1] == "    sidecar has a reason to fail"
    assert up.processes() == {}


@pytest.mark.parametrize("name", ["sidecar", "postgres", "valkey"])
def test_a_part_that_falls_is_started_again_and_the_others_go_on(up: RunningUp, name: str) -> None:
    before = up.start().processes()
    os.kill(before[name], signal.SIGKILL)
    wait_for(lambda: " is back" in up.text)
    after = up.processes()
    assert "ended killed by signal 9; starting it again" in up.text
    assert {part for part in PARTS if before[part] != after[part]} == {name}


def test_the_second_ctrl_c_waits_for_nobody(up: RunningUp) -> None:
    (up.folder / "deaf-sidecar").touch()
    people = everybody(up.start())
    demo = up.processes()["demo-site"]
    up.process.send_signal(signal.SIGINT)
    wait_for(lambda: not alive(demo))  # it is stopped first; now the deaf one is waited for
    began = time.monotonic()
    up.end(signal.SIGINT)
    assert time.monotonic() - began < 5
    assert [pid for pid in people if alive(pid)] == []


def test_ctrl_c_while_starting_leaves_nothing(up: RunningUp) -> None:
    up.options = ("--upstream", "http://127.0.0.1:1")
    up.environment = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    (up.folder / "silent-sidecar").touch()
    up.begin()
    wait_for(lambda: "control-plane" in up.processes() and (up.folder / "control_plane.json").exists())
    people = everybody(up)
    assert up.end() == 0
    assert [pid for pid in people if alive(pid)] == []


def test_a_full_disk_is_one_line(up: RunningUp) -> None:
    up.data.mkdir()
    # Who is not root mounts as root of a namespace, and is itself again in another one inside it: `up` as a root who can't
    # be anybody else has something else to say.
    again = f"unshare --user --map-user={os.geteuid()} --map-group={os.getegid()}"
    namespaces, oneself = ([], "") if os.geteuid() == 0 else (["--map-root-user"], again)
    mount = ["unshare", "--mount", *namespaces, "sh", "-c"]
    script = f'mount -t tmpfs -o size=1m tmpfs "$0" && exec {oneself} "$@"'
    if subprocess.run([*mount, script, str(up.data), "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root or user namespaces (util-linux: unshare)")
    up.command = (*mount, script, str(up.data), *up.command)
    assert up.start().end() == 3
    assert len(up.output) == 1
    assert up.output[0].startswith(f"layout-mutation up: the disk of {up.data} is full (1 MB free, 210 MB needed)")


def test_a_disk_that_fills_up_while_starting_is_one_line_too(up: RunningUp, tmp_path: Path) -> None:
    from layout_mutation.installation import telling_full_disk
    from layout_mutation.processes import RunError

    with pytest.raises(RunError, match="is full"), telling_full_disk(tmp_path):
        raise RunError("PostgreSQL ended", ["FATAL: could not write file: No space left on device"])


def test_keys_that_are_gone_while_the_data_is_there_are_one_line(up: RunningUp) -> None:
    up.start()
    up.end()
    dotenv = up.data / ".env"
    dotenv.unlink()
    assert up.start().end() == 3
    assert f"{dotenv} is gone, and with it the database's password; put it back or delete {up.data}" in up.text


def test_verbose_shows_what_the_processes_log(up: RunningUp) -> None:
    up.options = ("--demo", "--verbose")
    up.start()
    wait_for(lambda: "sidecar | sidecar listens" in up.text)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "say which site to mutate: --demo for the demo shop, or --upstream URL"),
        (("--upstream", "shop.example"), "is not the address of a site: write http://host:port or https://host"),
        (("--upstream", "http://a.test/shop?x"), "has too much: a site's address has no path, query or user"),
        (("--demo", "--upstream", "http://a.test"), "not allowed with argument --demo"),
        (("--demo", "--workers", "0"), "'0' is not a number of processes: 1 to 64"),
        (("--demo", "--demo-port", "70000"), "'70000' is not a port: a number from 1 to 65535"),
    ],
)
def test_wrong_usage_is_exit_code_2(up: RunningUp, options: tuple[str, ...], complaint: str) -> None:
    up.options = options
    if "--demo-port" in options:
        up.options, up.ports = ("--demo",), (up.ports[0], up.ports[1], 70_000)
    assert up.start().end() == 2
    assert complaint in up.text
    assert not up.data.exists()
