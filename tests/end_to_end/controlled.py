"""A control plane as operators have it, for the tests of what they are told: with its database, so to speak, and without.

`installed` keeps everything in one file, which spares a database; `without_database` has the same as a mirror, and a
DATABASE_URL where nobody answers. Counterpart: `test_operating.py` runs the commands of the documentation against them.
"""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from control_plane.settings import LOCAL_FILE, ControlPlaneSettings, StoreName
from control_plane.store.mirror.keeping import FILE_NAME
from control_plane.tokens import Role
from tests.control_plane.plane import API, Plane, headline, running, settings_of
from tests.end_to_end.moved import command_line

NOBODY = "postgresql://127.0.0.1:1/shop"


@asynccontextmanager
async def installed(folder: Path, redis_url: str) -> AsyncIterator[dict[str, str]]:
    """What the commands expect: a module, a mutation of two versions, and a segment that was deleted."""
    settings = _settings("", redis_url, folder / "data", store=StoreName.LOCAL)
    async with running(settings) as plane:
        await plane.ask("POST", "modules", {"id": "hero", "selector": "main > h1"})
        await plane.create(headline(id="hero-headline", moduleId="hero"))
        await plane.ask("PUT", "mutations/hero-headline", headline("Newer", id="hero-headline", moduleId="hero"))
        await plane.ask("POST", "segments", {"id": "loyal", "conditions": {}})
        await plane.ask("DELETE", "segments/loyal")
        with command_line(folder) as commands:
            yield _environment(settings, plane, commands)


@asynccontextmanager
async def without_database(folder: Path, redis_url: str) -> AsyncIterator[dict[str, str]]:
    """The same installation's mirror, and no database."""
    async with installed(folder, redis_url):
        pass
    mirror = folder / "mirrored" / FILE_NAME
    mirror.parent.mkdir()
    await asyncio.to_thread(shutil.copyfile, folder / "data" / LOCAL_FILE, mirror)
    shutil.rmtree(folder / "bin")
    settings = _settings(NOBODY, redis_url, mirror.parent, alone=True)
    async with running(settings) as plane:
        with command_line(folder) as commands:
            yield _environment(settings, plane, commands)


def _settings(database_url: str, redis_url: str, data_dir: Path, **more: object) -> ControlPlaneSettings:
    environment = f"controlled-{secrets.token_hex(4)}"
    return settings_of(database_url, redis_url, environment, data_dir, signing_key=SIGNING_KEY, **more)


def _environment(settings: ControlPlaneSettings, plane: Plane, commands: str) -> dict[str, str]:
    found = {
        "PATH": f"{commands}:/usr/local/bin:/usr/bin:/bin",
        "API": f"http://127.0.0.1:{plane.port}{API}",
        "TOKEN": plane.services.tokens.issue(Role.ADMIN, "the operator"),
        "REDIS_URL": settings.redis_url,
        "LAYOUT_MUTATION_ENVIRONMENT": settings.layout_mutation_environment,
        "CONTROL_PLANE_STORE": settings.store.value,
        "CONTROL_PLANE_SIGNING_KEY": settings.signing_key,
        "CONTROL_PLANE_DATA_DIR": settings.data_dir,
        "DATABASE_URL": settings.database_url,
    }
    return {name: value for name, value in found.items() if value}


SIGNING_KEY = "c2lnbmluZyBrZXkgb2YgdGhlIHRlc3RzLCAzMiBiLi4="
