"""The demo's mutations go through the API, once, and only into an empty store."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from layout_mutation.processes import RunError
from layout_mutation.seeding import seed, shows_mutations


class ControlPlane(ThreadingHTTPServer):
    """Answers as the control plane would, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.held: list[object] = []
        self.refuses = False
        self.asked: list[tuple[str, str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: ControlPlane

    def do_GET(self) -> None:
        self._answer({"items": self.server.held, "next": None})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({})

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, value: object) -> None:
        self.server.asked.append((self.command, self.path, self.headers["Authorization"]))
        self.send_response(422 if self.server.refuses else 200)
        self.send_header("X-Layout-Mutation", "passed; reason=no-mutation")
        self.end_headers()
        self.wfile.write(json.dumps({"detail": "wrong field"} if self.server.refuses else value).encode())


@pytest.fixture
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_empty_store_is_seeded(control_plane: ControlPlane) -> None:
    assert seed(control_plane.url, "token", b"{}")
    assert control_plane.asked == [
        ("GET", "/api/layout-mutation/mutations", "Bearer token"),
        ("POST", "/api/layout-mutation/import", "Bearer token"),
    ]


def test_a_store_with_mutations_is_left_alone(control_plane: ControlPlane) -> None:
    control_plane.held = [{"id": "1"}]
    assert not seed(control_plane.url, "token", b"{}")
    assert len(control_plane.asked) == 1


def test_a_refusal_is_quoted_without_the_token(control_plane: ControlPlane) -> None:
    control_plane.refuses = True
    with pytest.raises(RunError, match="GET /api/layout-mutation/mutations answers 422") as caught:
        seed(control_plane.url, "token-of-mine", b"{}")
    assert caught.value.details == ('{"detail": "wrong field"}',)
    assert "token-of-mine" not in str(caught.value)


def test_a_page_that_passed_is_not_mutated(control_plane: ControlPlane) -> None:
    assert not shows_mutations(control_plane.url)
