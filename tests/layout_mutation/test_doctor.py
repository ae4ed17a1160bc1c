"""Whether a page can be rewritten, and what is wrong with an installation; raw answers, real servers."""

import base64
import gzip
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rules import limits
from rules.compiler import compile_table
from rules.model import RulesFile
from rules.sealing import key_id, seal
from service.clock import now
from service.keys import Keys
from tests.end_to_end.site import Site, head, page, response
from tests.layout_mutation.typed import CommandLine, Ran
from tests.servers import execute, wait_for

PAGE = (
    b"<!DOCTYPE html><html><head><title>t</title></head>"
    b"<body><div data-module=hero></div><div data-module='\xc3\xbcber uns'></div></body></html>"
)
HTML = "Content-Type: text/html; charset=utf-8"


def findings(ran: Ran) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(ran.out)}


@contextmanager
def hanging_up(answer: bytes) -> Iterator[int]:
    """The port of somebody who hears one request, answers and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def converse() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=converse)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


# -- pages


def test_a_page_that_can_be_rewritten(run: CommandLine, site: Site) -> None:
    site.responses["/"] = page(PAGE)
    ran = run("doctor", "--url", f"{site.url}/?a=b")
    assert (ran.code, ran.err) == (0, "")
    assert ran.text.splitlines() == [
        f"ok    answer: status 200, {len(PAGE)} bytes, text/html; charset=utf-8",
        "ok    rewritable: yes, UTF-8",
        "ok    <head>: styles can be added",
        "ok    <body>: its attributes can be set",
        "ok    modules: hero, über uns",
    ]


@pytest.mark.parametrize(
    ("answer", "reason", "says"),
    [
        (response(b"{}", "Content-Type: application/json"), "content_type", "text/html"),
        (response(b"<p>x"), "content_type", "text/html"),
        (page(PAGE, "Content-Disposition: attachment; filename=x"), "attachment", "download"),
        (page(PAGE, "Cache-Control: public, no-transform"), "no_transform", "RFC 9110"),
        (page(b"no gzip at all", "Content-Encoding: gzip"), "broken_body", "not valid gzip"),
        (page(gzip.compress(PAGE)[:-9], "Content-Encoding: gzip"), "broken_body", "ends early"),
        (page(PAGE, "Content-Encoding: snappy"), "content_encoding", "can't be undone"),
        (response(PAGE, "Content-Type: text/html; charset=klingon"), "charset", "unknown"),
        (page(PAGE + b" " * limits.PAGE_BYTES_MAX), "too_large", "4,194,304"),
        (head("200 OK", HTML) + b" " * (limits.PAGE_BYTES_MAX + 1), "too_large", "4,194,304"),
        (page(gzip.compress(b" " * limits.PAGE_BYTES_MAX * 2), "Content-Encoding: gzip"), "too_large", "4,194,304"),
        (response(b"", HTML, "Location: /de/", status="302 Found"), "status", "ask for /de/ instead"),
        (
            response(b"", "Location: /n", "X-Layout-Mutation: applied; table=1; mutations=1", HTML, status="302 Found"),
            "status",
            "a mutation redirects it to /n",
        ),
        (head("204 No Content", HTML), "status", "no page to change"),
    ],
)
def test_a_page_that_cannot_be_rewritten_has_a_reason(
    run: CommandLine, site: Site, answer: bytes, reason: str, says: str
) -> None:
    site.responses["/x"] = answer
    ran = run("doctor", "--url", f"{site.url}/x", "--json")
    assert (ran.code, ran.err) == (1, "")
    refused = findings(ran)["rewritable"]
    assert refused["fine"] is False
    assert refused["detail"].startswith(f"no ({reason}): ")
    assert says in refused["detail"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (page(gzip.compress(PAGE), "Content-Encoding: gzip"), "yes, UTF-8"),
        (response(PAGE, HTML, status="404 Not Found"), "yes, UTF-8"),
        (response("<p>x".encode("utf-16"), "Content-Type: text/html"), "yes, by way of UTF-8 (UTF-16LE)"),
        (response(b"<meta charset=latin1><p>x", "Content-Type: text/html"), "yes, windows-1252"),
    ],
)
def test_other_pages_that_can_be_rewritten(run: CommandLine, site: Site, answer: bytes, says: str) -> None:
    site.responses["/x"] = answer
    found = findings(run("doctor", "--url", f"{site.url}/x", "--json"))
    assert found["rewritable"]["fine"] is True
    assert found["rewritable"]["detail"].startswith(says)


def test_what_the_parser_implied_is_not_certain(run: CommandLine, site: Site) -> None:
    site.responses["/x"] = page(b"<p data-module=a><b><p>x</b><div data-module='a\nb'></div><div data-module></div>")
    ran = run("doctor", "--url", f"{site.url}/x")
    assert ran.code == 1
    assert "FAIL  <head>: the page has no certain <head>" in ran.text
    assert "ok    modules: a, a b\n" in ran.text
    assert "ok    nesting: formatting tags are misnested" in ran.text


def test_an_address_with_characters_of_its_own_is_asked_as_a_browser_would(run: CommandLine, site: Site) -> None:
    site.responses["/caf%C3%A9%20noir/%2F"] = page(PAGE)
    ran = run("doctor", "--url", f"{site.url}/café noir/%2F?q=ü&r=a%20b")
    assert ran.code == 0, ran


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        page(PAGE)[:-10],
        head("200 OK", HTML, "Transfer-Encoding: chunked") + b"5\r\nab",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
)
def test_an_answer_that_breaks_off_or_is_none_is_exit_code_3(run: CommandLine, answer: bytes) -> None:
    with hanging_up(answer) as port:
        ran = run("doctor", "--url", f"http://127.0.0.1:{port}/x")
    assert ran.is_one_error(3), ran
    assert ran.err.startswith(f"error: http://127.0.0.1:{port}/x can't be fetched: ")
    assert "timed out" not in ran.err


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_there_is_exit_code_3(run: CommandLine, scheme: str) -> None:
    assert run("doctor", "--url", f"{scheme}://127.0.0.1:1/").is_one_error(3)
    assert run("doctor", "--url", f"{scheme}://{'a' * 64}.example/").is_one_error(3)


def test_https_where_plain_http_is_spoken_is_exit_code_3(run: CommandLine) -> None:
    with hanging_up(page(PAGE)) as port:
        ran = run("doctor", "--url", f"https://127.0.0.1:{port}/")
    assert ran.is_one_error(3)
    assert "SSL" in ran.err


@pytest.mark.parametrize("url", ["shop.example", "ftp://shop.example/", "http://[::1", "http://a:b/"])
def test_an_address_that_is_none_is_exit_code_2(run: CommandLine, url: str) -> None:
    ran = run("doctor", "--url", url)
    assert ran.is_one_error(2)
    assert ran.err.startswith(f"error: --url {url}: ")


# -- an installation


def test_an_installation_that_has_nothing(run: CommandLine) -> None:
    ran = run("doctor")
    assert (ran.code, ran.err) == (1, "")
    assert ran.text == "FAIL  database: DATABASE_URL is not set\nFAIL  redis: REDIS_URL is not set\n"


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL must be postgresql://"),
        ({"DATABASE_URL": "postgresql://a:hunter2@127.0.0.1:1/b"}, "PostgreSQL can't be reached"),
        ({"REDIS_URL": "nonsense"}, "REDIS_URL is no address such as redis://"),
        ({"REDIS_URL": "redis://a:hunter2@127.0.0.1:x/0"}, "REDIS_URL is no address such as redis://"),
        ({"REDIS_URL": "redis://a:hunter2@127.0.0.1:1/0?decode_responses=true"}, "REDIS_URL: decode_responses can't"),
        ({"REDIS_URL": "redis://a:hunter2@127.0.0.1:1/0"}, "can't be reached: ConnectionError"),
    ],
)
def test_servers_that_are_away_are_findings(run: CommandLine, environment: dict[str, str], says: str) -> None:
    ran = run("doctor", environment=environment)
    assert (ran.code, ran.err) == (1, "")
    assert says in ran.text
    assert "hunter2" not in ran.text


def test_what_a_database_url_deserves_a_word_about_is_said(run: CommandLine, database_url: str) -> None:
    run("migrate", environment={"DATABASE_URL": database_url})
    ran = run("doctor", environment={"DATABASE_URL": database_url + "?search_path=app"})
    assert "ok    DATABASE_URL: search_path is left out" in ran.text
    assert "DATABASE_URL:" not in run("doctor", environment={"DATABASE_URL": database_url}).text


def test_a_database_that_is_behind_and_one_that_is_not(run: CommandLine, empty_url: str) -> None:
    here = {"DATABASE_URL": empty_url}
    behind = findings(run("doctor", "--json", environment=here))["database"]
    assert behind["fine"] is False
    assert "migrations pending: run `layout-mutation migrate`" in behind["detail"]
    assert run("migrate", environment=here).code == 0
    assert findings(run("doctor", "--json", environment=here))["database"]["fine"] is True


def test_the_published_table_and_its_signature(run: CommandLine, redis_url: str, redis_environment: str) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    here = {
        "REDIS_URL": redis_url,
        "LAYOUT_MUTATION_ENVIRONMENT": redis_environment,
        "SIDECAR_TABLE_PUBLIC_KEYS": base64.b64encode(public).decode(),
    }
    assert findings(run("doctor", "--json", environment=here))["table"]["detail"] == "none is published"
    table = compile_table(RulesFile(), version=7, now=now())
    with redis.Redis.from_url(redis_url) as client:
        client.set(Keys(redis_environment).table, seal(table, key_id=key_id(public), sign=key.sign))
    found = findings(run("doctor", "--json", environment=here))
    assert (found["redis"]["fine"], found["table"]["fine"]) == (True, True)
    assert found["table"]["detail"] == "version 7 with 0 mutations, signature fine"

    stranger = {**here, "SIDECAR_TABLE_PUBLIC_KEYS": base64.b64encode(b"x" * 32).decode()}
    assert findings(run("doctor", "--json", environment=stranger))["table"]["detail"].startswith("bad_signature: ")
    for keys in ("nonsense", base64.b64encode(b"short").decode()):
        unusable = findings(run("doctor", "--json", environment={**here, "SIDECAR_TABLE_PUBLIC_KEYS": keys}))["table"]
        assert unusable["fine"] is False
        assert unusable["detail"].startswith("SIDECAR_TABLE_PUBLIC_KEYS must hold base64")


# ---------------------------------------------------------------- the schema


def test_a_schema_that_was_damaged_is_told_and_healed_on_demand(run: CommandLine, database_url: str) -> None:
    here = {
        "DATABASE_URL": database_url,
        "CONTROL_PLANE_SIGNING_KEY": base64.b64encode(b"s" * 32).decode(),
    }
    assert run("migrate", environment=here).code == 0
    wait_for(
        execute(
            database_url,
            "DROP INDEX layout_mutation.mutations_served; ALTER TABLE layout_mutation.mutations ADD COLUMN note text",
        )
    )
    looked = findings(run("doctor", "--json", environment=here))["schema"]
    assert looked["fine"] is False
    assert "index_missing mutations_served: CREATE INDEX" in looked["detail"]
    healed = findings(run("doctor", "--heal", "--json", environment=here))["schema"]
    assert healed["detail"] == (
        "repaired index_missing mutations_served; "
        'column_extra mutations.note: ALTER TABLE layout_mutation.mutations DROP COLUMN "note";'
    )
    wait_for(execute(database_url, "ALTER TABLE layout_mutation.mutations DROP COLUMN note"))
    assert findings(run("doctor", "--json", environment=here))["schema"]["fine"] is True


def test_without_the_key_of_the_audit_nothing_is_healed(run: CommandLine, database_url: str) -> None:
    here = {"DATABASE_URL": database_url}
    assert run("migrate", environment=here).code == 0
    found = findings(run("doctor", "--heal", "--json", environment=here))["schema"]
    assert (found["fine"], "CONTROL_PLANE_SIGNING_KEY" in found["detail"]) == (False, True)
