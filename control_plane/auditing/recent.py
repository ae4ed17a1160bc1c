"""What is new since a checkpoint: as cheap as the changes were few, so that it can be done every day or every hour.

It goes on along the chain from there, asks for each new entry's version and each present content that changed since, and for
the single entries that anchors name. What was done to older entries, and did not touch those, only a look at everything
finds: `check.py` has it. Never: a verdict that something is wrong without being followed by that look.
"""

from datetime import datetime
from hashlib import sha256

from control_plane.auditing.check import HEADS_AT_A_TIME, Looked, entries, ledger, name_of, raw, shown
from control_plane.auditing.contents import Name
from control_plane.auditing.following import Following
from control_plane.auditing.report import Anchor, AuditReport, Checkpoint, Faults, Known, What
from control_plane.store import Chain, Kind, Position, Store, StoredAudit

ENTRIES_OF_ONE_MAX = 200
"""Of one document's newest entries, when the one is looked for that made its present version."""


async def looked_at_recent(store: Store, chain: Chain, known: Known, since: Checkpoint, *, at: datetime) -> Looked:
    """Look at what came after `since`, which is of this installation; raises StoreError."""
    faults, position = Faults(), await store.position()
    there = (ledger(position), *known.anchors)
    following = Following(chain, [one for one in there if one.number > since.number], faults, since)
    superseded = 0
    for anchor in (one for one in there if 0 < one.number <= since.number):
        superseded += await _compare(store, anchor, following, faults)
    new, versions = set[Name](), 0
    async for entry in entries(store, since.number):
        following.add(entry)
        name = name_of(entry)
        if name is not None:
            new.add(name)
            versions += await _content(store, name, entry, faults)
    following.end()
    await _heads(store, since.change, new, faults)
    report = AuditReport(
        sound=not faults.total,
        entries=following.count,
        versions=versions,
        chained_since=following.chained_since,
        given_up=following.given_up,
        since=since.number,
        anchors=len(known.anchors),
        anchors_superseded=following.superseded + superseded,
        anchors_away=known.away,
        faults=tuple(faults.kept),
        faults_total=faults.total,
    )
    return Looked(report, following.checkpoint(position, at=at, whole_at=since.whole_at) if report.sound else None)


async def _compare(store: Store, anchor: Anchor, following: Following, faults: Faults) -> bool:
    """An anchor with the single entry that it names; whether it differs because of a restore."""
    found = await store.audit_page(None, None, anchor.number + 1, 1)
    there = found[0] if found and found[0].number == anchor.number else None
    if there is not None and (there.hash or b"").startswith(anchor.hash):
        return False
    if following.explains(anchor):
        return True
    if there is None:
        faults.add(What.MISSING, anchor.number, f"it is gone, and {anchor.where} knows it")
    else:
        faults.add(What.REWRITTEN, anchor.number, f"another entry is known under this number by {anchor.where}")
    return False


async def _content(store: Store, name: Name, entry: StoredAudit, faults: Faults) -> bool:
    """The version that a new entry sealed; whether it is there."""
    version = await store.version(*name)
    if version is None:
        faults.add(What.NO_VERSION, entry.number, f"{shown(name)} is gone")
    elif entry.digest is not None and sha256(version.content).digest() != raw(entry.digest):
        faults.add(What.CONTENT, entry.number, f"{shown(name)} has another content than this entry sealed")
    return version is not None


async def _heads(store: Store, after: int, new: set[Name], faults: Faults) -> None:
    """The present contents of documents that changed after a change: each is what its version says, and an entry made it."""
    for kind in Kind:
        before: int | None = None
        while found := await store.page(kind, {}, before, HEADS_AT_A_TIME):
            for one in found:
                if one.change <= after:
                    break
                name = kind, one.id, one.version
                version = await store.version(*name)
                if version is None or version.content != one.content:
                    faults.add(What.HEAD, None, f"the present content of {shown(name)} is not that of this version")
                if name not in new and not await _was_made(store, name):
                    faults.add(What.NO_ENTRY, None, f"{shown(name)} has no audit entry")
            before = found[-1].change
            if before <= after:
                break


async def _was_made(store: Store, name: Name) -> bool:
    """Whether an entry says so, that is from before the checkpoint or came since the new ones were read."""
    kind, document_id, version = name
    found = await store.audit_page(kind.value, document_id, None, ENTRIES_OF_ONE_MAX)
    return any(entry.version_after == version for entry in found)


def fits(since: Checkpoint, position: Position) -> bool:
    """Whether a checkpoint is of this installation's data."""
    return position.installation is not None and since.installation == position.installation.id


def of_checkpoint(since: Checkpoint) -> Anchor:
    """A checkpoint as what it is too: something outside the store that knows an entry."""
    return Anchor("the last look from this machine", since.number, since.hash, since.at)
