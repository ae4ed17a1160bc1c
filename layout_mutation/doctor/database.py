"""Whether the database is there and up to date.

Counterpart: `control_plane.schema.runner` plans migrations. Never: a change.
"""

import asyncio
from collections.abc import Sequence

from control_plane.schema import address
from control_plane.schema.runner import plan
from control_plane.store import StoreError
from layout_mutation.doctor.checks import Asked, Check
from layout_mutation.stores import local_file


def database(asked: Asked, found: Sequence[Check]) -> list[Check]:
    """Whether the database is there, with all migrations applied; nothing where everything is kept in one file."""
    if local_file(asked.environ, asked.data_dir) is not None:
        return []
    url = asked.environ.get("DATABASE_URL", "")
    check = _database(url)
    advice = address.parse(url).advice if check.fine else ()
    return [check, *(Check("DATABASE_URL", True, words) for words in advice)]


def _database(url: str) -> Check:
    if not url:
        return Check("database", False, "DATABASE_URL is not set")
    try:
        found = asyncio.run(plan(url))
    except (StoreError, ValueError) as error:
        return Check("database", False, str(error))
    if found.problem:
        return Check("database", False, found.problem)
    pending = f", {len(found.pending)} migrations pending: run `layout-mutation migrate`" if found.pending else ""
    return Check("database", not found.pending, f"{found.database}: schema {found.current} of {found.latest}{pending}")
