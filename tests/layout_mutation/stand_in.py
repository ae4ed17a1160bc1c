"""A program in place of a service: `stand_in.py control_plane|sidecar|demo`.

It listens where the service would, answers what `up` asks, and keeps what it was given where a test can look:
`<folder>/<name>.json` has its environment and pid, `<folder>/imported` every rules file that was imported. The file
`<folder>/fail-<name>` makes it print a line and exit with code 7, `deaf-<name>` makes it ignore SIGTERM,
`silent-<name>` makes it answer 503.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path(os.environ["STAND_IN_FOLDER"])
IMPORTED = FOLDER / "imported"
SILENT = FOLDER / f"silent-{sys.argv[1]}"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/api/layout-mutation/mutations":
            self._answer({"items": [1] if IMPORTED.exists() else []})
        else:
            self._answer({"ready": True})

    def do_POST(self) -> None:
        rules = self.rfile.read(int(self.headers["Content-Length"]))
        with IMPORTED.open("ab") as file:
            file.write(rules + b"\n")
        self._answer({"imported": True})

    def log_message(self, *_: object) -> None:
        say(f"{self.command} {self.path}")

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(503 if SILENT.exists() else 200)
        self.send_header("X-Layout-Mutation", "applied; table=1; mutations=1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def addresses(name: str) -> list[str]:
    if name == "control_plane":
        return [os.environ["CONTROL_PLANE_LISTEN"]]
    if name == "sidecar":
        return [os.environ["SIDECAR_LISTEN"], os.environ["SIDECAR_ADMIN_LISTEN"]]
    return [sys.argv[sys.argv.index("--listen") + 1]]


def main(name: str) -> None:
    if (FOLDER / f"fail-{name}").exists():
        say(f"{name} has a reason to fail")
        raise SystemExit(7)
    if (FOLDER / f"deaf-{name}").exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    servers = []
    for address in addresses(name):
        host, _, port = address.rpartition(":")
        servers.append(ThreadingHTTPServer((host, int(port)), Answers))
    draft = FOLDER / f"{name}.draft"
    draft.write_text(json.dumps({"pid": os.getpid(), "environment": dict(os.environ)}))
    draft.rename(FOLDER / f"{name}.json")
    if os.fork() == 0:  # a worker, as the sidecar has: it must not outlive the rest
        signal.pause()
    say(f"{name} listens")
    for server in servers[1:]:
        if os.fork() == 0:
            server.serve_forever()
    servers[0].serve_forever()


main(sys.argv[1])
