"""A client of the JSON API that writes and reads ten times a second, as a careful one does, and keeps a ledger of what it was told.

Each write has a key of its own and is sent again with it until an answer comes that settles it; updates say which version they
were made from. The ledger has what was acknowledged, by value and version. Counterpart: `stage` starts the control planes
that are asked; `books` compares the ledger with what the API says afterwards.
Never: a write that it forgets, or an error that it does not count.
"""

import http.client
import itertools
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import msgspec

from tests.end_to_end.faults import pages
from tests.end_to_end.stack import API

INTERVAL_S = 0.1
PATIENCE_S = 20.0
"""An answer that takes longer has failed."""
EDITION_EVERY = 10
"""One of so many writes changes what visitors see."""
CREATE_EVERY = 3
RECENT = 40
"""What is updated is one of so many documents."""
CHOICE = random.Random()

Place = Callable[[], Sequence[int]]
"""The ports of the instances, in the order in which they are asked."""


class Write(msgspec.Struct, frozen=True):
    """A write that was acknowledged."""

    document: str
    version: int
    text: str
    sent_at: float
    """By `time.monotonic`."""
    at: float
    provisional: bool


class Line:
    """Connections to the instances, one kept for each; the next instance is asked where one does not answer."""

    def __init__(self, bearer: str, ports: Place) -> None:
        self._ports = ports
        self._headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        self._open: dict[int, http.client.HTTPConnection] = {}

    def ask(
        self, method: str, path: str, document: Any = None, *, port: int | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, fields by names in lower case, and body; raises OSError or HTTPException where nobody answers."""
        body = None if document is None else msgspec.json.encode(document)
        port = self._ports()[0] if port is None else port
        connection = self._open.get(port)
        if connection is None:
            connection = self._open[port] = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            connection.request(method, f"{API}/{path}", body=body, headers=self._headers | headers)
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def ports(self) -> Sequence[int]:
        """The instances, in the order in which they are asked."""
        return self._ports()

    def close(self) -> None:
        """Hang up."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()


class Client:
    """Two people in one: who writes, and who reads; each in a thread, each on a line of its own."""

    def __init__(self, bearer: str, ports: Place, known: Mapping[str, int]) -> None:
        """`known`: documents that are there already, and their versions."""
        self.ledger: list[Write] = []
        self.read = 0
        self.unread: list[str] = []
        """Reads that failed while an instance was there to answer."""
        self.stale: list[str] = []
        """Reads that showed less than had been acknowledged before they were sent."""
        self.refused: list[str] = []
        """Writes that were answered with a no that is none of the database's: of a version that is not there any more."""
        self.unsettled = 0
        """Tries that were sent again."""
        self._writer, self._reader = Line(bearer, ports), Line(bearer, ports)
        self._known = dict(known)
        self._down = 0
        self._stop = threading.Event()
        self._broken: BaseException | None = None
        work = (self._write, self._read)
        self._threads = [threading.Thread(target=self._guarded, args=(one,), daemon=True) for one in work]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the write that is under way, and go."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S + 5)
        self._writer.close()
        self._reader.close()

    @contextmanager
    def nobody_there(self) -> Iterator[None]:
        """Within the block no instance runs that could answer a read."""
        self._down += 1
        try:
            yield
        finally:
            self._down -= 1

    def check(self) -> None:
        """Raise what ended one of the two."""
        if self._broken is not None:
            raise AssertionError("the client broke down") from self._broken

    def count(self) -> int:
        """Writes that were acknowledged."""
        self.check()
        return len(self.ledger)

    # ---------------------------------------------------------------- inside

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - shown by `check`, in the thread that waits
            self._broken = error

    def _paced(self) -> Iterator[int]:
        began = time.monotonic()
        for number in itertools.count(1):
            if self._stop.wait(max(0.0, INTERVAL_S - (time.monotonic() - began))):
                return
            began = time.monotonic()
            yield number

    def _write(self) -> None:
        for number in self._paced():
            document, text, body = self._next(number)
            if document not in self._known:
                self._send(document, text, "POST", "mutations", body, {})
            else:
                expected = {"If-Match": f'"{self._known[document]}"'}
                self._send(document, text, "PUT", f"mutations/{document}", body, expected)

    def _next(self, number: int) -> tuple[str, str, dict[str, Any]]:
        if number % EDITION_EVERY == 0:
            body = pages.rules(number)
            return body["id"], f"edition {number}", body
        names = [name for name in self._known if name != "edition"][-RECENT:]
        name = f"m{number}" if number % CREATE_EVERY == 1 or not names else CHOICE.choice(names)
        text = f"{name} as of write {number}"
        operation = {
            "verb": "setText",
            "target": {"selector": f'h1[data-is="{name}"]'},
            "content": {"text": text},
        }
        payload = {"operations": [operation]}
        return name, text, {"id": name, "mutationType": "set", "mutationPayload": payload, "isActive": False}

    def _send(self, document: str, text: str, method: str, path: str, body: Any, expected: dict[str, str]) -> None:
        key, sent_at = secrets.token_hex(12), time.monotonic()
        for turn in itertools.count():
            try:
                ports = self._writer.ports()
                port = ports[turn % len(ports)]
                status, fields, answer = self._writer.ask(
                    method, path, body, port=port, **{"Idempotency-Key": key}, **expected
                )
            except (OSError, http.client.HTTPException):
                status, fields, answer = 0, {}, b""
            if status in (200, 201):
                version = int(fields["etag"].strip('"'))
                provisional = "x-layout-mutation-provisional" in fields
                self._known[document] = version
                self.ledger.append(Write(document, version, text, sent_at, time.monotonic(), provisional))
                return
            if status not in (0, 503):
                self.refused.append(f"{method} {path}: {status} {answer[:300]!r}")
                self._learn(document)
                return
            self.unsettled += 1
            if self._stop.wait(INTERVAL_S):
                return

    def _learn(self, document: str) -> None:
        """What version there is, of a document that is not as it was thought to be."""
        try:
            status, fields, _ = self._writer.ask("GET", f"mutations/{document}")
        except (OSError, http.client.HTTPException):
            return
        if status == 200:
            self._known[document] = int(fields["etag"].strip('"'))
        elif status == 404:
            self._known.pop(document, None)

    def _read(self) -> None:
        for _ in self._paced():
            known = list(self._known.items())
            if not known:
                continue
            (name, least), down = CHOICE.choice(known[-RECENT:]), self._down
            problems = [problem for port in self._reader.ports() if (problem := self._look(port, name, least))]
            self.read += 1
            if len(problems) == len(self._reader.ports()) and not down and not self._down:
                self.unread.append(", ".join(problems))

    def _look(self, port: int, name: str, least: int) -> str:
        """Read a document; why that failed, empty if it did not."""
        try:
            status, fields, answer = self._reader.ask("GET", f"mutations/{name}", port=port)
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__} {error}"
        if status != 200:
            return f"{name}: {status} {answer[:300]!r}"
        if int(fields["etag"].strip('"')) < least:
            self.stale.append(f"{name} at {fields['etag']}, known to be at {least}")
        return ""
