"""A sidecar as operators have it, for the tests of what they are told: a site with an offer, a module, a test and a token.

Counterparts: `test_operating.py` runs the commands of the documentation against it, `test_in_front.py` puts proxies before it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rules.compiler import compile_table
from rules.model import decode_rules
from rules.table import DecisionTable
from tests.end_to_end.test_proxy_processes import Running, keep_snapshot, sidecar
from tests.sidecar.wire import NOON, Conversation, Origin, origin

OPS_TOKEN = "an-ops-token-of-the-tests"
PAGE = (
    b"<!doctype html><html><head><title>Tea</title></head><body>"
    b"<main><h1>Old</h1><p class=price>Old price</p></main></body></html>"
)
RULES = {
    "modules": [{"id": "hero", "name": "The headline", "selector": "main > h1"}],
    "experiments": [
        {
            "id": "price",
            "variations": [{"key": "control", "weight": 1.0}, {"key": "lower", "weight": 0.0}],
            "seed": "price",
        }
    ],
    "mutations": [
        {
            "id": "hero-headline",
            "moduleId": "hero",
            "mutationType": "set",
            "mutationPayload": {
                "operations": [{"verb": "setText", "target": {"moduleId": "hero"}, "content": {"text": "New"}}]
            },
        },
        {
            "id": "lower-price",
            "status": "experimental",
            "mutationType": "variant",
            "mutationPayload": {
                "experimentId": "price",
                "variations": {
                    "control": {},
                    "lower": {
                        "operations": [
                            {"verb": "setText", "target": {"selector": ".price"}, "content": {"text": "New price"}}
                        ]
                    },
                },
            },
        },
    ],
}


def rules() -> DecisionTable:
    """The table in force: version 7, one mutation for everybody, and a test in which all see control."""
    return compile_table(decode_rules(msgspec.json.encode(RULES)), version=7, now=NOON)


@dataclass
class Operated:
    """A sidecar, its site, and the file that switches it off."""

    running: Running
    site: Origin
    switch: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the documentation's commands expect."""
        return {
            "SITE": f"http://127.0.0.1:{self.running.port}",
            "ORIGIN": self.site.url,
            "ADMIN": f"http://127.0.0.1:{self.running.admin}",
            "SIDECAR_OPS_TOKEN": OPS_TOKEN,
            "SIDECAR_KILL_SWITCH_FILE": str(self.switch),
            "PID": str(self.running.process.pid),
        }


async def site_says(conversation: Conversation) -> None:
    """A page for every request, and what came of the sidecar's own fields as a field of the answer."""
    while True:
        head = await conversation.head()
        own = b"yes" if b"x-layout-mutation" in head.lower() else b"no"
        fields = b"Content-Type: text/html\r\nX-Saw-Own-Fields: %s\r\nCache-Control: max-age=60\r\n" % own
        told = (b"x-forwarded-for:", b"x-real-ip:")
        forwarded = [line for line in head.split(b"\r\n") if line.lower().startswith(told)]
        fields += b"".join(b"X-Saw-%s\r\n" % line for line in forwarded)
        await conversation.send(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (fields, len(PAGE), PAGE))


@asynccontextmanager
async def operated(tmp_path: Path, **settings: str) -> AsyncIterator[Operated]:
    """A sidecar with these settings, ready, in front of its site."""
    switch = tmp_path / "off"
    given = keep_snapshot(
        tmp_path / "kept",
        Ed25519PrivateKey.generate(),
        rules(),
        **{"workers": "1", "ops_token": OPS_TOKEN, "kill_switch_file": str(switch), **settings},
    )
    async with origin(site_says) as site, sidecar(tmp_path, site.url, **given) as running:
        yield Operated(running, site, switch)


async def shell(block: str, environment: dict[str, str]) -> tuple[int, str]:
    """Exit code and output of a few lines for a shell, as the documentation has them."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-eu", "-o", "pipefail", "-c", block),
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode("utf-8", "replace")
