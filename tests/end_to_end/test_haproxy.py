"""The sidecar behind Debian's HAProxy, which says by the PROXY protocol who connects, and checks whether it is there."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from layout_mutation.embedded.ports import free_port
from tests.end_to_end.test_proxy_processes import PATIENCE_S, refuses, sidecar, until
from tests.sidecar.wire import Client, answering, html, origin

CONFIGURATION = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen balancer
  bind 127.0.0.1:{port}
  option httpchk
  http-check send meth GET uri /check ver HTTP/1.1 hdr Host check.example
  server sidecar 127.0.0.1:{sidecar} {way} check inter 200ms
"""
VISITOR = "127.0.0.7"
"""The machine has this address beside 127.0.0.1, which is where HAProxy itself comes from."""


@contextmanager
def haproxy(program: str, folder: Path, way: str, target: int) -> Iterator[int]:
    """An HAProxy in front of the sidecar; its port."""
    port = free_port()
    configuration = folder / "haproxy.cfg"
    configuration.write_text(CONFIGURATION.format(port=port, sidecar=target, way=way))
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen([program, "-db", "-f", str(configuration)], stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("way", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"])
async def test_whom_haproxy_announces_is_who_asks(tmp_path: Path, missing: Callable[[str, str], str], way: str) -> None:
    program = missing("haproxy", "haproxy")
    settings = {"proxy_protocol": "true", "workers": "1"}
    async with origin(answering(html(b"<p>"))) as site, sidecar(tmp_path, site.url, **settings) as running:
        with haproxy(program, tmp_path, way, running.port) as port:
            await until(lambda: not refuses(port))
            await until(lambda: any(b"GET /check " in head for head in site.heads))
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(VISITOR, 0))
            visitor = Client(reader, writer)
            async with asyncio.timeout(PATIENCE_S):
                assert [(await visitor.get("/")).status for _ in range(2)] == [200, 200]
            writer.close()
    asked = [head for head in site.heads if head.startswith(b"GET / ")]
    checks = [head for head in site.heads if head.startswith(b"GET /check ")]
    assert [f"X-Forwarded-For: {VISITOR}\r\n".encode() in head for head in asked] == [True, True]
    assert all(b"X-Forwarded-For: 127.0.0.1\r\n" in head for head in checks)
