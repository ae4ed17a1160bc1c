"""One sidecar in front of an origin that misbehaves on purpose, and one in front of nginx, for all tests of this folder.

Every test serves a path of its own: below `/page/` a rule rewrites what is a page, below `/told/` one that asks for the
visitor's language, below `/tested/` an experiment, below `/styled/`, `/guarded/`, `/worded/` and `/linked/` one that makes
the engine write what the name says; `/free/` has none. What is tested stands in README.md.
"""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.end_to_end.http.origin import Origin
from tests.end_to_end.site import page
from tests.end_to_end.stack import Sidecar, SigningKeys, alone, until
from tests.end_to_end.test_nginx import nginx as started_nginx
from tests.end_to_end.visitor import load
from tests.servers import new_server_folder

PAGE = b"<!doctype html><html><head><title>t</title></head><body><h1>Old</h1><p>text</p></body></html>"
NEW = PAGE.replace(b"Old", b"New")

SETTINGS = {
    "SIDECAR_BUFFER_MS_MAX": "1000",
    "SIDECAR_UPLOAD_STALL_S": "0.75",
    "SIDECAR_UPSTREAM_RESPONSE_S": "1.5",
    "SIDECAR_PAGE_BYTES_MAX": "300000",
    "SIDECAR_REWRITE_MS_MAX": "10000",
}
"""Short waits and a small page, so that going beyond each takes a test little time; but time to rewrite on a busy machine."""

EXPERIMENT = {"id": "try", "variations": [{"key": "control"}, {"key": "new", "weight": 1000}], "unit": "lm_uid"}


def _headline(name: str, text: str = "New", **fields: Any) -> dict[str, Any]:
    operation = {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": text}}
    return {"id": name, "mutationType": "set", "mutationPayload": {"operations": [operation]}, **fields}


def _styled(name: str, slug: str) -> dict[str, Any]:
    """A mutation for which the engine writes a style block of its own."""
    payload = {"target": {"selector": "p"}, "mode": "style"}
    return {"id": name, "pageSlug": slug, "mutationType": "hide", "mutationPayload": payload}


def _guarded(name: str, slug: str) -> dict[str, Any]:
    """A mutation that the browser script looks after."""
    return _headline(name, pageSlug=slug, delivery="guarded")


MUTATIONS = [
    _headline("all", pageSlug="/page/**"),
    _headline("germans", pageSlug="/told/**", conditions={"language": "de"}),
    {
        "id": "tested",
        "pageSlug": "/tested/**",
        "mutationType": "variant",
        "mutationPayload": {
            "experimentId": "try",
            "variations": {"control": {"operations": []}, "new": _headline("x")["mutationPayload"]},
        },
    },
    _headline("worded", text="ж ☃", pageSlug="/worded/**"),
    {
        "id": "linked",
        "pageSlug": "/linked/**",
        "mutationType": "set",
        "mutationPayload": {
            "operations": [
                {"verb": "setAttribute", "target": {"selector": "link"}, "name": "href", "value": "c.css"},
            ]
        },
    },
    _styled("styled", "/styled/**"),
    _guarded("guarded", "/guarded/**"),
]


@pytest.fixture(scope="session")
def keys() -> SigningKeys:
    return SigningKeys()


@pytest.fixture(scope="session")
def sealed(keys: SigningKeys) -> bytes:
    """The decision table."""
    return keys.sealed(*MUTATIONS, experiments=[EXPERIMENT])


@pytest.fixture(scope="session")
def origin() -> Iterator[Origin]:
    with Origin() as running:
        yield running


@pytest.fixture(scope="session")
def sidecar(origin: Origin, keys: SigningKeys, sealed: bytes) -> Iterator[Sidecar]:
    """The sidecar in front of `origin`, whose page rewriter is at work."""
    folder = new_server_folder()
    try:
        with alone(folder, origin.url, keys, sealed, workers=1, **SETTINGS) as running:
            origin.at("/page/first", page(PAGE))
            until(lambda: load(running.port, "/page/first").body == NEW, what="a rewritten page")
            yield running
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def behind_nginx(missing: Callable[[str, str], str], keys: SigningKeys, sealed: bytes) -> Iterator[tuple[int, Sidecar]]:
    """Debian's nginx with files, and the sidecar in front of it."""
    program, folder = missing("nginx", "nginx"), new_server_folder()
    files = folder / "files"
    for name in ("free/page.html", "free/picture.png", "free/empty.html", "page/page.html", "free/folder/index.html"):
        path = files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if "empty" in name else PAGE + b"<p>quince</p>" * 500)
    for path in (files, *files.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (folder / "sidecar").mkdir()
    server = (
        f"root {files}; index index.html; error_page 404 /free/page.html;"
        "location /free/gone { return 410 'gone for good'; } location /free/teapot { return 418; }"
        "location /free/moved { return 301 /free/page.html; } location /free/nothing { return 204; }"
        "location /free/cookies { add_header Set-Cookie a=1; add_header Set-Cookie b=2; return 200 'two'; }"
        "location /free/forbidden { deny all; } location /free/hung { return 444; }"
    )
    try:
        with (
            started_nginx(program, folder / "origin", server, probe="/free/page.html") as port,
            alone(folder / "sidecar", f"http://127.0.0.1:{port}", keys, sealed, workers=1, **SETTINGS) as running,
        ):
            until(lambda: b"New" in load(running.port, "/page/page.html").body, what="a rewritten page")
            yield port, running
    finally:
        shutil.rmtree(folder)
