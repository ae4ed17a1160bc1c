"""An installation as somebody has it who is about to move it: a filled database, an address for the next one, and the command line.

Counterpart: `test_moving.py` types what docs/moving.md says.
"""

import base64
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from layout_mutation.embedded.ports import free_port
from tests.control_plane.plane import headline, running, settings_of

ROOT = Path(__file__).resolve().parents[2]


def other_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fill(url: str, redis_url: str, signing_key: str, folder: Path) -> None:
    """A module, and a mutation of two versions that names it."""
    settings = settings_of(url, redis_url, f"moved-{secrets.token_hex(4)}", folder, signing_key=signing_key)
    async with running(settings) as plane:
        await plane.ask("POST", "modules", {"id": "hero", "selector": "main > h1"})
        await plane.create(headline(id="hero-headline", moduleId="hero"))
        await plane.ask("PUT", "mutations/hero-headline", headline("Newer", id="hero-headline", moduleId="hero"))


@contextmanager
def command_line(folder: Path) -> Iterator[str]:
    """A PATH on which `layout-mutation` is this checkout's."""
    command = folder / "bin" / "layout-mutation"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m layout_mutation "$@"\n')
    command.chmod(0o755)
    yield str(command.parent)


@asynccontextmanager
async def moved(
    server: str, template: str, redis_url: str, signing_key: str, folder: Path
) -> AsyncIterator[dict[str, str]]:
    """What the document's commands expect: a copy of the installation, and a name for a database that is not there yet."""
    name = f"moved_{secrets.token_hex(4)}"
    await execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    listen = f"127.0.0.1:{free_port()}"
    try:
        with command_line(folder) as commands:
            yield {
                "PATH": f"{commands}:/usr/local/bin:/usr/bin:/bin",
                "DATABASE_URL": other_database(server, name),
                "NEW_DATABASE_URL": other_database(server, f"{name}_new"),
                "SERVER_URL": server,
                "REDIS_URL": redis_url,
                "LAYOUT_MUTATION_ENVIRONMENT": name,
                "CONTROL_PLANE_SIGNING_KEY": signing_key,
                "CONTROL_PLANE_JWT_SECRET": secrets.token_hex(32),
                "CONTROL_PLANE_LISTEN": listen,
                "CONTROL_PLANE_DATA_DIR": str(folder / "data"),
                "ADMIN": f"http://{listen}",
            }
    finally:
        drop = "DROP DATABASE IF EXISTS {} WITH (FORCE)"
        await execute(server, drop.format(f"{name}_new"), drop.format(name))


def new_signing_key() -> str:
    """Base64 of 32 bytes."""
    return base64.b64encode(secrets.token_bytes(32)).decode()
