"""The sidecar between two nginx of Debian's: the origin it carries for, and a shared cache in front of it."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from layout_mutation.embedded.ports import free_port
from tests.end_to_end.stack import Sidecar, SigningKeys, alone, until
from tests.end_to_end.visitor import load
from tests.servers import new_server_folder

PAGE = (
    b"<!doctype html><html><head><title>t</title></head><body><h1>Jam</h1>" + b"<p>quince</p>" * 400 + b"</body></html>"
)
CONFIGURATION = """
daemon off; pid nginx.pid; error_log stderr warn; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off; types {{ text/html html; }} default_type application/octet-stream;
  client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  gzip on; gzip_types text/html; gzip_min_length 1;
  proxy_cache_path cache keys_zone=pages:1m;
  server {{ listen 127.0.0.1:{port}; {server} }}
}}
"""
EVERYBODY = {"id": "all", "pageSlug": "/plain.html"}
BY_LANGUAGE = {"id": "some", "pageSlug": "/by-language.html", "conditions": {"language": "de"}}
OPERATIONS = [{"verb": "setText", "target": {"selector": "h1"}, "content": {"text": "Marmelade"}}]


@contextmanager
def nginx(program: str, folder: Path, server: str, *, probe: str = "/plain.html") -> Iterator[int]:
    """An nginx with one server; its port, once it answers at all for `probe`."""
    port = free_port()
    folder.mkdir(mode=0o755)
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(port=port, server=server))
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen([program, "-p", str(folder), "-c", str(configuration)], stdout=log, stderr=log)
    try:
        until(lambda: _answers(port, probe), what="nginx")
        yield port
    finally:
        process.terminate()
        process.wait()


def _answers(port: int, path: str) -> bool:
    try:
        return load(port, path).status > 0
    except OSError:
        return False


@pytest.fixture(scope="module")
def between(missing: Callable[[str, str], str]) -> Iterator[tuple[int, Sidecar, int]]:
    """Ports of the origin and of the cache, and the sidecar between them."""
    program, keys, server_folder = missing("nginx", "nginx"), SigningKeys(), new_server_folder()
    files = server_folder / "files"
    (server_folder / "sidecar").mkdir()
    files.mkdir(mode=0o755)
    for name in ("plain.html", "by-language.html", "other.html"):
        (files / name).write_bytes(PAGE)
        (files / name).chmod(0o644)
    mutations = [
        {**one, "mutationType": "set", "mutationPayload": {"operations": OPERATIONS}}
        for one in (EVERYBODY, BY_LANGUAGE)
    ]
    with (
        nginx(
            program, server_folder / "origin", f"root {files}; add_header Cache-Control 'public, max-age=60';"
        ) as origin,
        alone(
            server_folder / "sidecar", f"http://127.0.0.1:{origin}", keys, keys.sealed(*mutations), workers=1
        ) as sidecar,
        nginx(
            program,
            server_folder / "cache",
            f"location / {{ proxy_pass http://127.0.0.1:{sidecar.port}; proxy_cache pages; "
            "add_header X-Cache $upstream_cache_status; }",
        ) as cache,
    ):
        yield origin, sidecar, cache
    shutil.rmtree(server_folder)


def test_what_nginx_serves_arrives_as_it_is_where_no_rule_looks(between: tuple[int, Sidecar, int]) -> None:
    origin, sidecar, _ = between
    for fields in ((), ("Accept-Encoding: gzip",), ("Range: bytes=0-99",), ('If-None-Match: "x"',)):
        direct, through = load(origin, "/other.html", *fields), load(sidecar.port, "/other.html", *fields)
        assert (through.line, through.body) == (direct.line, direct.body)
        kept = [pair for pair in direct.end_to_end if pair[0].lower() != b"date"]
        assert [pair for pair in through.end_to_end if pair[0].lower() != b"date"] == kept


def test_a_page_that_is_the_same_for_all_may_be_kept(between: tuple[int, Sidecar, int]) -> None:
    _, _, cache = between
    load(cache, "/plain.html")
    again = load(cache, "/plain.html")
    assert b"Marmelade" in again.body
    assert again.get(b"x-cache") == b"HIT"


def test_a_page_that_depends_on_the_visitor_is_never_kept(between: tuple[int, Sidecar, int]) -> None:
    _, _, cache = between
    for language, headline in (("de", b"Marmelade"), ("en", b"Jam"), ("de", b"Marmelade"), ("en", b"Jam")):
        answer = load(cache, "/by-language.html", f"Accept-Language: {language}")
        assert b"<h1>" + headline in answer.body
        assert answer.get(b"x-cache") != b"HIT"
        assert b"private" in (answer.get(b"cache-control") or b"")
