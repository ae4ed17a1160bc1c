"""Heads of the audit that are known outside the store: to the mirror, and to each backup, here and remote.

A backup's name tells its head (`backups.places.name_of`), so that nothing is downloaded, opened or decrypted. Counterpart:
`auditing` compares the audit with them; the service, `audit verify` and `doctor` ask for them here. Never: an anchor of another
installation, or of what is only provisional.
"""

from datetime import datetime
from pathlib import Path

from control_plane.auditing import Anchor
from control_plane.auditing.checkpoints import Checkpoints
from control_plane.auditing.recent import of_checkpoint
from control_plane.auditing.report import Known
from control_plane.backups.configured import Configured
from control_plane.backups.lines import BackupError
from control_plane.backups.places import Found, Place
from control_plane.store import Position, Store, StoreError
from control_plane.store.local.examining import Examined
from control_plane.store.mirrored import MirroredStore

THE_MIRROR = "the mirror"


async def of_service(store: Store, kept: Configured) -> Known:
    """What the service's own mirror and its backups know; raises StoreError where the store is away."""
    whose = (await store.position()).installation
    if whose is None:
        return Known()
    known = await of_backups(kept, whose.id)
    if not isinstance(store, MirroredStore) or store.beside is None:
        return known
    try:
        mirror = await store.beside.position()
    except StoreError as error:
        return Known(known.anchors, (*known.away, f"{THE_MIRROR}: {error}"))
    return Known((*of_position(THE_MIRROR, mirror, whose.id, None), *known.anchors), known.away)


async def of_backups(kept: Configured, installation: str) -> Known:
    """What the backups of an installation know by their names, in every place that can be listed."""
    anchors, away = dict[str, Anchor](), list[str]()
    places: list[Place] = [kept.folder, *([] if kept.remote is None else [kept.remote])]
    for place in places:
        try:
            found = await place.found()
        except BackupError as error:
            away.append(f"backups: {error}")
            continue
        for one in found:
            if one.audit_number and one.installation == installation[:8]:
                anchors.setdefault(one.name, _of_backup(one))
    return Known(tuple(anchors.values()), tuple(away))


def of_file(examined: Examined, installation: str) -> tuple[Anchor, ...]:
    """What a mirror's file knows, read without the service: as of before its outbox."""
    position = examined.base
    return () if position is None else of_position(THE_MIRROR, position, installation, examined.newest_at)


def of_last_look(folder: Path, installation: str) -> tuple[Anchor, ...]:
    """What the service that has this data folder found sound last."""
    last = Checkpoints(folder).read()
    return () if last is None or last.installation != installation else (of_checkpoint(last),)


def of_position(where: str, position: Position, installation: str, at: datetime | None) -> tuple[Anchor, ...]:
    """The head of a store that has the same installation's data."""
    if position.installation is None or position.installation.id != installation or not position.audit_hash:
        return ()
    return (Anchor(where, position.audit_number, position.audit_hash, at),)


def _of_backup(one: Found) -> Anchor:
    return Anchor(f"the backup {one.name}", one.audit_number, one.audit_hash, one.made_at)
