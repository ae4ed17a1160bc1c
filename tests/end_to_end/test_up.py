"""`layout-mutation up --demo` with nothing stood in for: the whole, as a stranger starts it."""

import json
import re
import sys
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

from control_plane import tokens
from service.settings import read_dotenv
from tests.layout_mutation.running_up import RunningUp, alive, family

UP = (sys.executable, "-m", "layout_mutation", "up")
FIRST_START_S_MAX = 60.0
LATER_START_S_MAX = 40.0


@pytest.fixture
def up(server_folder: Path) -> Iterator[RunningUp]:
    running = RunningUp(server_folder, command=UP)
    yield running
    running.dispose()


def get(url: str, **headers: str) -> HTTPResponse:
    response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=40)
    assert isinstance(response, HTTPResponse)
    return response


def fetched(url: str, **headers: str) -> bytes:
    with get(url, **headers) as answer:
        return answer.read()


def remembered(url: str) -> str:
    """The cookie that a page gives to somebody who is remembered."""
    with get(url) as answer:
        [cookie] = [one for one in answer.headers.get_all("Set-Cookie", []) if one.startswith("lm_state=")]
        return str(cookie.partition(";")[0])


def held(up: RunningUp) -> list[str]:
    """The ids of the mutations that the API lists."""
    secret = read_dotenv(up.data / ".env")["CONTROL_PLANE_JWT_SECRET"]
    bearer = tokens.issue(secret, role="viewer", subject="test")
    url = f"http://127.0.0.1:{up.ports[1]}/api/layout-mutation/mutations"
    with get(url, Authorization=f"Bearer {bearer}") as answer:
        return sorted(mutation["id"] for mutation in json.load(answer)["items"])


def assert_the_sign_in_link_leads_to_the_button(up: RunningUp) -> None:
    found = re.search(r"Sign in, once\s+\S+token=(\S+)", up.text)
    assert found is not None
    link = f"http://127.0.0.1:{up.ports[1]}/admin/layout-mutations/sign-in?token={found[1]}"
    with get(link) as page:
        assert page.status == 200
        assert found[1] in page.read().decode()


def test_two_starts_and_nothing_left(up: RunningUp) -> None:
    began = time.monotonic()
    up.start()
    assert time.monotonic() - began < FIRST_START_S_MAX
    assert up.running, up.text
    site, _, demo = up.ports
    with get(f"http://127.0.0.1:{site}/") as mutated, get(f"http://127.0.0.1:{demo}/") as original:
        assert re.match(r"applied; table=\d+; mutations=\d+", mutated.headers["X-Layout-Mutation"])
        assert "X-Layout-Mutation" not in original.headers
        assert mutated.read() != original.read()
    assert_the_sign_in_link_leads_to_the_button(up)
    first = held(up)
    assert first
    kept = remembered(f"http://127.0.0.1:{site}/quiz/result?window=fog")
    assert b"Still in the mood for mist?" in fetched(f"http://127.0.0.1:{site}/", Cookie=kept)
    people = set[int]().union(*(family(pid) for pid in up.processes().values()))
    assert up.end() == 0
    assert [pid for pid in people if alive(pid)] == []

    began = time.monotonic()
    up.start()
    assert time.monotonic() - began < LATER_START_S_MAX
    assert held(up) == first
    with get(f"http://127.0.0.1:{site}/") as mutated:
        assert mutated.headers["X-Layout-Mutation"].startswith("applied")
    assert b"Still in the mood for mist?" in fetched(f"http://127.0.0.1:{site}/", Cookie=kept), "the key is kept"
