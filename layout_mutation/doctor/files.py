"""The files of a control plane: the one that everything is kept in, ChromaDB's folder behind it, and the mirror of a database.

Counterpart: `control_plane.store.local.examining` looks without opening them for writing, so that the service may run
meanwhile. Never: a change.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from control_plane.schema import address
from control_plane.schema.runner import Plan, SchemaError
from control_plane.settings import StoreName
from control_plane.store import Position, StoreError
from control_plane.store.chroma import Index
from control_plane.store.local import LocalStore
from control_plane.store.local.examining import Examined, examine
from control_plane.store.mirror.keeping import FILE_NAME
from control_plane.store.postgres import PostgresStore
from layout_mutation.doctor.checks import Asked, Check, is_fine
from layout_mutation.stores import chain_of, local_file, service_folder

FREE_BYTES_MIN = 64 * 2**20
"""Below this a disk is as good as full; a file needs a tenth of its size besides, for its log and its copies."""
DIFFERING_TOLD_MAX = 3


def store(asked: Asked, found: Sequence[Check]) -> list[Check]:
    """The file that everything is kept in, where that is no database: whether it is there, sound and up to date, and its disk."""
    file = local_file(asked.environ, asked.data_dir)
    if file is None:
        return []
    if not file.exists():
        return [Check("store", False, f"there is no file {file}: the control plane makes it when it starts")]
    try:
        seen = examine(file)
    except StoreError as error:
        return [Check("store", False, str(error))]
    problem = _problem(file, seen)
    return [Check("store", not problem, problem or f"{file}: sound, {_size(seen)}, {_schema(seen.plan)}"), _disk(seen)]


def chroma(asked: Asked, found: Sequence[Check]) -> list[Check]:
    """Whether ChromaDB has what the file has; the file has the say."""
    file = local_file(asked.environ, asked.data_dir)
    if file is None or asked.environ.get("CONTROL_PLANE_STORE") != StoreName.CHROMA or not is_fine("store", found):
        return []
    folder = file.with_name(f"{file.name}.chroma")
    try:
        differing = asyncio.run(_differing(file, folder, dict(asked.environ)))
    except (StoreError, SchemaError) as error:
        return [Check("chroma", False, str(error))]
    if differing:
        first = ", ".join(differing[:DIFFERING_TOLD_MAX])
        advice = f"stop the control plane, delete {folder} and start it: it is filled again"
        return [Check("chroma", False, f"{len(differing)} documents lie otherwise than in the file: {first}; {advice}")]
    return [Check("chroma", True, "has every document as the file has it")]


def mirror(asked: Asked, found: Sequence[Check]) -> list[Check]:
    """The mirror beside a database: whether it is sound, whose it is, how far behind, and what waits in it for the database."""
    if local_file(asked.environ, asked.data_dir) is not None or not asked.environ.get("DATABASE_URL"):
        return []
    file = service_folder(asked.environ, asked.data_dir) / FILE_NAME
    if not file.exists():
        return []
    try:
        seen = examine(file)
        position = asyncio.run(_position(dict(asked.environ))) if is_fine("database", found) else None
    except StoreError as error:
        return [Check("mirror", False, f"{error}. The control plane puts a damaged one aside at its next start")]
    problem = _problem(file, seen) or _waiting(seen) or _foreign(seen, position)
    return [
        Check("mirror", not problem, problem or f"{file}: sound, {_size(seen)}, {_level(seen, position)}"),
        _disk(seen),
    ]


def _problem(file: Path, seen: Examined) -> str:
    if seen.problem:
        return f"{file} is damaged: {seen.problem[:300]}; put it aside and restore it: docs/operating.md, Backups and restore"
    if seen.plan.problem:
        return seen.plan.problem
    pending = len(seen.plan.pending)
    return (
        f"{file}: {_schema(seen.plan)}, {pending} migrations pending: start the service, or run `layout-mutation migrate`"
        if pending
        else ""
    )


def _waiting(seen: Examined) -> str:
    if not seen.waiting:
        return ""
    since = "" if seen.waiting_since is None else f" since {seen.waiting_since:%Y-%m-%d %H:%M} UTC"
    return (
        f"{seen.waiting} changesets wait{since} for the database: the control plane with this folder brings them back by itself "
        "once it runs and reaches the database; never delete this file before"
    )


def _foreign(seen: Examined, there: Position | None) -> str:
    if seen.position is None or there is None or seen.position.installation is None or there.installation is None:
        return ""
    ours, theirs = seen.position.installation.id, there.installation.id
    return (
        ""
        if ours == theirs
        else (
            f"it belongs to installation {ours}, the database to {theirs}: correct DATABASE_URL, or take the database's by "
            "`layout-mutation doctor --adopt`"
        )
    )


def _level(seen: Examined, there: Position | None) -> str:
    if seen.position is None or there is None:
        return "not compared with the database"
    behind = there.audit_number - seen.position.audit_number
    return (
        f"{behind} audit entries behind the database, which it follows while the service runs"
        if behind > 0
        else "level with the database"
    )


def _disk(seen: Examined) -> Check:
    needed = FREE_BYTES_MIN + seen.size // 10
    words = f"{seen.free / 2**20:,.0f} MiB free"
    return Check(
        "disk",
        seen.free >= needed,
        words if seen.free >= needed else f"{words}, {needed / 2**20:,.0f} MiB needed: make room",
    )


def _size(seen: Examined) -> str:
    return f"{seen.size / 2**20:,.1f} MiB"


def _schema(found: Plan) -> str:
    return f"schema {found.current} of {found.latest}"


async def _differing(file: Path, folder: Path, environ: dict[str, str]) -> tuple[str, ...]:
    opened, index = LocalStore(file, chain=chain_of(environ)), Index(folder)
    try:
        await opened.open()
        return await index.differing(opened)
    finally:
        await index.close()
        await opened.close()


async def _position(environ: dict[str, str]) -> Position:
    opened = PostgresStore(address.parse(environ["DATABASE_URL"]), connections_max=1, chain=chain_of(environ))
    try:
        await opened.open()
        return await opened.position()
    finally:
        await opened.close()
