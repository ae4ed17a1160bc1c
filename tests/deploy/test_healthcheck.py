"""The container's health check."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploy.healthcheck import addresses, main, reachable


class Plane(BaseHTTPRequestHandler):
    """Healthy at /healthz, broken elsewhere."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Say nothing."""


@pytest.fixture
def plane() -> Iterator[str]:
    """HOST:PORT of a healthy plane."""
    with HTTPServer(("127.0.0.1", 0), Plane) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_plane_that_is_there_counts(plane: str) -> None:
    assert main([], {"SIDECAR_ADMIN_LISTEN": "127.0.0.1:9", "CONTROL_PLANE_LISTEN": plane}) == 0
    assert main([], {"SIDECAR_ADMIN_LISTEN": plane}) == 0
    assert main([f"http://{plane}/healthz"], {}) == 0


def test_what_does_not_answer_well_is_not_healthy(plane: str) -> None:
    assert main([], {}) == 1
    assert main([], {"SIDECAR_ADMIN_LISTEN": "127.0.0.1:9"}) == 1
    assert main([f"http://{plane}/other"], {}) == 1


def test_a_proxy_is_never_asked(plane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert main([f"http://{plane}/healthz"], {}) == 0


def test_any_address_is_asked_on_loopback() -> None:
    assert reachable("0.0.0.0:8081") == "127.0.0.1:8081"
    assert reachable("[::]:8081") == "[::1]:8081"
    assert addresses({"CONTROL_PLANE_LISTEN": "0.0.0.0:1", "SIDECAR_ADMIN_LISTEN": ""}) == [
        "http://127.0.0.1:1/healthz"
    ]
