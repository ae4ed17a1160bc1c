"""What is told about visits names nobody: logs, metrics and traces of a real sidecar, after requests full of secrets.

Every secret is one word that stands nowhere else. They come in the query, in cookies, in Authorization and other fields, in the
address of the visitor, in a body, in what is no HTTP at all; and the sidecar is made to fail in the ways in which it says most.
"""

import base64
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.end_to_end.test_proxy_processes import Running, keep_snapshot, sidecar
from tests.sidecar.tracing.collector import Collector, collecting
from tests.sidecar.wire import Conversation, Origin, client, headline, html, origin, response, table

PAGE = b"<!doctype html><html><body><h1>Old</h1>" + b"<p>text</p>" * 50 + b"</body></html>"
SECRETS = {
    name: f"kiwi{number}secret"
    for number, name in enumerate(
        (
            "query",
            "cookie",
            "unit",
            "authorization",
            "agent",
            "referer",
            "language",
            "body",
            "field",
            "token",
            "state",
            "origin_cookie",
            "preview",
            "baggage",
            "password",
            "page",
        )
    )
}
ADDRESS, FORWARDED = "203.0.113.77", "198.51.100.88"
OPS, KEYS = "ops-token-" + "x" * 20, "state-key-" + "y" * 32
FIELDS = (
    f"Cookie: session={SECRETS['cookie']}; lm_uid={SECRETS['unit']}; lm_state={SECRETS['state']}",
    f"Authorization: Bearer {SECRETS['authorization']}",
    f"User-Agent: {SECRETS['agent']}",
    f"Referer: https://elsewhere.example/?q={SECRETS['referer']}&layout-mutation-preview={SECRETS['preview']}",
    f"Accept-Language: de;q={SECRETS['language']}",
    f"X-Custom: {SECRETS['field']}",
    f"X-Forwarded-For: {FORWARDED}, {ADDRESS}",
    f"Forwarded: for={FORWARDED}",
    f"X-Real-IP: {ADDRESS}",
    f"baggage: user={SECRETS['baggage']}",
    f"X-Layout-Mutation-Token: {SECRETS['token']}",
    f"X-Layout-Mutation-Disable: {SECRETS['token']}",
)
QUERY = f"?email={SECRETS['query']}&layout-mutation-preview={SECRETS['preview']}"


async def origin_of_all_kinds(conversation: Conversation) -> None:
    """By path: pages with secrets of their own, one that breaks off, one that is no HTTP, one that hangs up."""
    while True:
        head = await conversation.head()
        method, target = head.split(b" ", 2)[:2]
        if method == b"POST":
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
            await conversation.reader.readexactly(length)
        cookie = f"Set-Cookie: session={SECRETS['origin_cookie']}"
        page = PAGE.replace(b"text", SECRETS["page"].encode())
        if target.startswith(b"/away"):
            conversation.close()
            return
        if target.startswith(b"/nonsense"):
            await conversation.send(f"nonsense {SECRETS['origin_cookie']}\r\n\r\n".encode())
            conversation.close()
            return
        if target.startswith(b"/broken"):
            await conversation.send(html(b"\x1f\x8bno gzip" + page, cookie, "Content-Encoding: gzip"))
        elif target.startswith(b"/error"):
            await conversation.send(response(page, cookie, status="500 Oh"))
        else:
            await conversation.send(html(page, cookie))


@asynccontextmanager
async def everything_told(tmp_path: Path) -> AsyncIterator[tuple[Running, Collector, Origin]]:
    """A sidecar that tells all it can: every request in the log, at the finest level, and every request traced."""
    rules = table(headline(conditions={"language": "de"}), headline(id="second", pageSlug="/tea"))
    settings = keep_snapshot(
        tmp_path / "kept",
        Ed25519PrivateKey.generate(),
        rules,
        workers="1",
        access_log="true",
        ops_token=OPS,
        state_keys=KEYS,
        events_key="e" * 32,
        trust_forwarded="true",
        units="account=header:X-Custom, user=jwt:Authorization:sub",
        unit_jwt_keys="j" * 32,
        cookies="session",
        headers="x-custom",
        verify_share="1",
        traces_share="1",
        traces_trust="true",
        traces_headers=f"X-Key={SECRETS['password']}",
        rewrite_ms_max="250",
    )
    async with collecting() as collector, origin(origin_of_all_kinds) as site:
        os.environ["LOG_LEVEL"] = "debug"
        try:
            async with sidecar(tmp_path, site.url, traces_endpoint=collector.url, **settings) as running:
                yield running, collector, site
        finally:
            del os.environ["LOG_LEVEL"]


PATHS = ("/tea", "/other", "/broken", "/error", "/away", "/nonsense", "/.layout-mutation/unknown")


async def visit_with_secrets(running: Running) -> None:
    for path in PATHS:
        async with client(running.port) as visitor:
            await visitor.get(path + QUERY, *FIELDS, "Connection: close")
    async with client(running.port) as visitor:
        body = f"password={SECRETS['body']}".encode()
        await visitor.get("/post" + QUERY, *FIELDS, "Connection: close", method="POST", body=body)
    async with client(running.port) as visitor:
        event = json.dumps({"events": [{"name": SECRETS["body"], "value": SECRETS["body"]}]}).encode()
        beacon = ("Content-Type: application/json", "Sec-Fetch-Site: same-origin", "Connection: close")
        await visitor.get("/.layout-mutation/events" + QUERY, *FIELDS, *beacon, method="POST", body=event)
    for raw in (
        f"GET /{QUERY} HTTP/1.1\r\nHost: a\r\nHost: {SECRETS['field']}\r\n\r\n",
        f"{SECRETS['body']} is no HTTP\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nBroken Field {SECRETS['field']}\r\n\r\n",
        f"GET http://user:{SECRETS['password']}@shop.example/tea{QUERY} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ):
        async with client(running.port) as visitor:
            await visitor.send(raw.encode())
            await visitor.rest()


async def test_no_secret_of_a_visitor_is_in_logs_metrics_or_traces(tmp_path: Path) -> None:
    async with everything_told(tmp_path) as (running, collector, site):
        await visit_with_secrets(running)
        [worker] = await running.workers()
        os.kill(worker["rewriter"]["pid"], signal.SIGKILL)  # the next page is reported as lost
        async with client(running.port) as visitor:
            await visitor.get("/tea" + QUERY, *FIELDS, "Connection: close")
        shown: dict[str, bytes] = {}
        for page in ("/metrics", "/readyz", "/table"):
            async with client(running.admin, "localhost") as operator:
                shown[page] = (await operator.get(page, "Connection: close")).body
        running.process.send_signal(signal.SIGTERM)
        await running.process.wait()
        shown["log"] = running.log.read_bytes()
        shown["traces"] = b"\n".join(collector.bodies)
        received = b"".join(site.heads)
    assert {span.name for span in collector.spans} >= {"GET", "POST", "origin", "decide", "rewrite"}
    for path in PATHS:
        assert path.encode() in shown["log"], "the log does not say what it should"
        assert path.encode() in shown["traces"]
    assert SECRETS["query"].encode() in received, "the origin is to get all of it"
    forbidden = {
        **SECRETS,
        "address": ADDRESS,
        "forwarded": FORWARDED,
        "ops": OPS,
        "keys": KEYS,
        "redis": "127.0.0.1:1/0",
    }
    for place, text in shown.items():
        for name, secret in forbidden.items():
            for form in (secret.encode(), base64.b64encode(secret.encode()).rstrip(b"=")[:-1]):
                assert form not in text, f"the {name} is in {place}"
