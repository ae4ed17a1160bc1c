"""Shared caches of Debian's in front of the sidecar, with the configuration that `deploy/caches` gives to operators.

Only what is of a machine is changed: ports, folders, and which networks are a country's. A visitor's country follows from
the address that the visit comes from: 127.0.0.2 is in Germany, 127.0.0.3 in Austria.
Counterpart: `test_shared_caches.py`. Never: a line of configuration that operators don't get.
"""

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from layout_mutation.embedded.ports import free_port
from tests.end_to_end.stack import ROOT, until
from tests.end_to_end.visitor import load

ADDRESSES = {"DE": "127.0.0.2", "AT": "127.0.0.3", "other": "127.0.0.1"}
GERMAN, AUSTRIAN = '"192.0.2.0"/24', '"198.51.100.0"/24'

NGINX = """
daemon off; pid nginx.pid; error_log stderr warn; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; types {{ text/html html; }} default_type application/octet-stream;
  client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  {servers}
}}
"""


@contextmanager
def running(command: Sequence[str], folder: Path, port: int, name: str) -> Iterator[int]:
    """A server, once something answers at its port; its end is waited for."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        until(lambda: _answers(port) or process.poll() is not None, 20.0, what=name)
        assert process.poll() is None, (folder / f"{name}.log").read_text("utf-8", "replace")[-3000:]
        yield port
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


@contextmanager
def nginx(program: str, folder: Path, port: int, servers: str, name: str = "nginx") -> Iterator[int]:
    """An nginx with these blocks of `http`."""
    folder.mkdir(mode=0o755, exist_ok=True)
    (folder / f"{name}.conf").write_text(NGINX.format(servers=servers))
    with running([program, "-p", str(folder), "-c", f"{name}.conf"], folder, port, name):
        yield port


@contextmanager
def nginx_cache(program: str, folder: Path, sidecar_port: int) -> Iterator[int]:
    """`deploy/caches/nginx.conf`; the port where visitors are served."""
    port, inner = free_port(), free_port()
    text = _changed(
        ROOT / "deploy" / "caches" / "nginx.conf",
        {
            "listen 80;": f"listen 127.0.0.1:{port};",
            "127.0.0.1:8079": f"127.0.0.1:{inner}",
            "127.0.0.1:8080": f"127.0.0.1:{sidecar_port}",
            "/var/cache/nginx/pages": str(folder / "pages"),
            "192.0.2.0/24": f"{ADDRESSES['DE']}/32",
            "198.51.100.0/24": f"{ADDRESSES['AT']}/32",
        },
    )
    with nginx(program, folder, port, text, "cache"):
        yield port


@contextmanager
def varnish_cache(program: str, folder: Path, sidecar_port: int) -> Iterator[int]:
    """`deploy/caches/varnish.vcl`; the port where visitors are served."""
    port = free_port()
    folder.mkdir(mode=0o755, exist_ok=True)
    text = _changed(
        ROOT / "deploy" / "caches" / "varnish.vcl",
        {
            '.port = "8080";': f'.port = "{sidecar_port}";',
            GERMAN: f'"{ADDRESSES["DE"]}"',
            AUSTRIAN: f'"{ADDRESSES["AT"]}"',
        },
    )
    (folder / "pages.vcl").write_text(text)
    arguments = ["-F", "-j", "none", "-n", str(folder / "state"), "-a", f"127.0.0.1:{port}", "-T", "none"]
    arguments += ["-s", "malloc,32m", "-f", str(folder / "pages.vcl"), "-p", "default_grace=0"]
    with running([program, *arguments], folder, port, "varnish"):
        until(lambda: load(port, "/").status > 0, what="varnish")
        yield port


def _changed(file: Path, words: dict[str, str]) -> str:
    text = file.read_text("utf-8")
    for old, new in words.items():
        assert old in text, f"{file.name} has no {old!r} any more"
        text = text.replace(old, new)
    return text
