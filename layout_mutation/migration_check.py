"""What the migration checker says of an installation, in a line for `layout-mutation doctor`.

Counterpart: `control_plane.moving.checker`; the API has all of it. Never: a change.
"""

import asyncio
from pathlib import Path

from control_plane.moving.checker import Report, check
from control_plane.moving.places import opened, place_of
from control_plane.schema.runner import SchemaError
from control_plane.store import Store, StoreError
from layout_mutation.stores import chain_of, default_store

FLAWS_TOLD_MAX = 3


def migration_check(environ: dict[str, str], data_dir: Path | None = None) -> tuple[bool, str]:
    """Whether all is well with what the store holds, beside where it came from; and what to do where it is not."""
    try:
        target, source = default_store("", None, environ, data_dir), environ.get("CONTROL_PLANE_MOVE_FROM", "")
        return told(asyncio.run(_report(target, source, environ)))
    except (StoreError, SchemaError, ValueError) as error:
        return False, str(error)


def told(report: Report) -> tuple[bool, str]:
    """A report in a line."""
    counts = {row.entity: row.target.count for row in report.entities}
    holds = f"{counts['mutations']:,} mutations, {counts['mutation versions']:,} versions"
    if report.standing is not None and report.source is not None:
        holds += f"; {report.standing.value} as seen from {report.source.place}"
    elif report.source_problem:
        holds += f"; where they came from can't be asked: {report.source_problem}"
    if report.fine:
        return True, f"{holds}; nothing is wrong with them"
    found = len(report.flaws) + report.more
    first = "; ".join(
        f"{flaw.kind.noun} {flaw.id}, {flaw.path}: {flaw.problem}: {flaw.advice}"
        for flaw in report.flaws[:FLAWS_TOLD_MAX]
    )
    mechanical = sum(flaw.mechanical for flaw in report.flaws)
    by_itself = f", {mechanical} to be saved by POST /api/layout-mutation/health/migration" if mechanical else ""
    return False, f"{holds}; {found} {'flaw' if found == 1 else 'flaws'}{by_itself}: {first}"


async def _report(target: str, source: str, environ: dict[str, str]) -> Report:
    chain = chain_of(environ)
    async with opened(target, chain) as store:
        if not source or place_of(source) == place_of(target):
            return await check(store, place_of(target))
        return await _beside(store, target, source, environ)


async def _beside(store: Store, target: str, source: str, environ: dict[str, str]) -> Report:
    try:
        async with opened(source, chain_of(environ)) as other:
            return await check(store, place_of(target), other, place_of(source))
    except StoreError:
        return await check(store, place_of(target))  # the old server is gone: the move was long ago
