"""Follows the audit from its first entry to its last: every seal, every link, every number, and what others know of it.

Counterpart: `control_plane.store.chain` makes the seals. Pure. Never: more than the entry before in memory.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec

from control_plane.auditing.report import Anchor, Checkpoint, Faults, Restore, What
from control_plane.intent import Action
from control_plane.store import Chain, Position, StoredAudit
from control_plane.store.chain import Unchained

RESTORES = frozenset({Action.RESTORED_BACKUP.value, Action.DATABASE_RESTORED.value})
RESTORES_KEPT = 1_000
ANCHORS_TOLD = 5
MOVED_MAX = 100
"""How far away an entry's own number is looked for, where its seal does not fit the number it has."""


class Following:
    """One way along the chain. Entries are added by ascending number."""

    def __init__(
        self, chain: Chain, anchors: Sequence[Anchor], faults: Faults, since: Checkpoint | None = None
    ) -> None:
        """`since`: where to go on from; then entries after it are added, and anchors are later ones too."""
        self.chained_since: int | None = None if since is None else since.chained_since
        self.superseded = 0
        self.restores: list[Restore] = [] if since is None else list(since.restores)
        self.given_up = 0
        self.count = 0
        self._chain = chain
        self._faults = faults
        self._unchained = Unchained()
        self._anchors = defaultdict[int, list[Anchor]](list)
        for anchor in anchors:
            self._anchors[anchor.number].append(anchor)
        self._last = 0 if since is None else since.number
        self._last_hash: bytes | None = b"" if since is None else since.hash
        """None where nothing can be said of the entry before."""
        self._unknown = defaultdict[str, list[int]](list)
        """Id of a key that is not known -> first, last and count of the entries that have it."""

    def add(self, entry: StoredAudit) -> None:
        """The next entry."""
        self.count += 1
        number = entry.number
        if number <= self._last or number < 1:
            self._faults.add(What.INSERTED, number, "another entry has this number, or it is none of ours")
            return
        if number > self._last + 1:
            gone = _range(self._last + 1, number - 1)
            self._faults.add(What.MISSING, self._last + 1, f"{gone} gone, and later entries are there")
            self._last_hash = None
        self._last = number
        differing = [one for one in self._anchors.pop(number, ()) if not (entry.hash or b"").startswith(one.hash)]
        if entry.hash is None or entry.previous_hash is None:
            self._without_seal(entry)
        else:
            self._sealed(entry, entry.hash, entry.previous_hash)
        if told := self._told(differing):
            self._faults.add(What.REWRITTEN, number, f"another entry is known under this number by {told}")

    def end(self) -> None:
        """There are no more entries."""
        later = [anchor for _, anchors in sorted(self._anchors.items()) for anchor in anchors]
        if told := self._told([anchor for anchor in later if anchor.number > self._last], numbered=True):
            self._faults.add(What.TRUNCATED, self._last + 1, f"the audit ends at entry {self._last}, and {told}")
        for key, (first, last, count) in self._unknown.items():
            where = f"{count} entries from {first} to {last} are" if count > 1 else f"entry {first} is"
            detail = f"{where} sealed with the key {key}, which CONTROL_PLANE_AUDIT_KEYS does not name"
            self._faults.add(What.UNKNOWN_KEY, first, detail)

    def checkpoint(self, position: Position, *, at: datetime, whole_at: datetime) -> Checkpoint | None:
        """Where the next way may begin, if this one found nothing; `position`: of the store before it. None before there is a chain."""
        if position.installation is None or self.chained_since is None or not self._last_hash:
            return None
        return Checkpoint(
            installation=position.installation.id,
            number=self._last,
            hash=self._last_hash,
            change=position.change,
            at=at,
            whole_at=whole_at,
            chained_since=self.chained_since,
            restores=tuple(self.restores),
        )

    def _told(self, anchors: Sequence[Anchor], *, numbered: bool = False) -> str:
        """Those that no restore explains, in words; empty where there are none."""
        left = [anchor for anchor in anchors if not self.explains(anchor)]
        self.superseded += len(anchors) - len(left)
        told = [f"{one.where} knows entry {one.number}" if numbered else one.where for one in left[:ANCHORS_TOLD]]
        return " and ".join([*told, *([f"{len(left) - ANCHORS_TOLD} more"] if len(left) > ANCHORS_TOLD else [])])

    def explains(self, anchor: Anchor) -> bool:
        """Whether it is from before a restore that went back behind it: without the key nobody writes that one."""
        return anchor.at is not None and any(
            one.number <= anchor.number and anchor.at <= one.at for one in self.restores
        )

    def _without_seal(self, entry: StoredAudit) -> None:
        if self.chained_since is None:
            self._unchained.add(entry)
        else:
            self._faults.add(What.UNSEALED, entry.number, "it has lost its seal")
            self._last_hash = None

    def _sealed(self, entry: StoredAudit, hash_: bytes, previous: bytes) -> None:
        sound = self._chain.is_sound(entry)
        if self.chained_since is None:
            self.chained_since = entry.number
            if self._unchained.count or self._last_hash is not None:
                self._check_first(entry, previous, sound=sound)
        elif sound is not False and self._last_hash is not None and self._last_hash != previous:
            self._faults.add(What.UNLINKED, entry.number, "it was sealed after another entry than the one before it")
        if sound is None:
            self._without_key(entry.number, entry.key_id or "")
        elif not sound:
            self._unsound(entry)
        elif entry.action in RESTORES:
            self.restores = [*self.restores, Restore(entry.number, entry.at)][-RESTORES_KEPT:]
        self._last_hash = None if sound is False else hash_

    def _check_first(self, entry: StoredAudit, previous: bytes, *, sound: bool | None) -> None:
        """The first sealed entry holds a digest of all before it."""
        if sound is not False and previous != self._unchained.digest:
            before = _range(1, entry.number - 1) if entry.number > 1 else "nothing"
            detail = (
                f"{before} before the chain: one was changed, added or deleted since entry {entry.number} sealed them"
            )
            self._faults.add(What.BEFORE_CHAIN, entry.number, detail)

    def _unsound(self, entry: StoredAudit) -> None:
        for distance in range(1, MOVED_MAX + 1):
            for number in (entry.number - distance, entry.number + distance):
                if self._chain.is_sound(msgspec.structs.replace(entry, number=number)):
                    self._faults.add(What.REORDERED, entry.number, f"it was sealed as entry {number}")
                    return
        self._faults.add(What.CHANGED, entry.number, "it is not what was sealed")

    def _without_key(self, number: int, key: str) -> None:
        if key in self._chain.lost:
            self.given_up += 1
            return
        first, _, count = self._unknown[key] or (number, number, 0)
        self._unknown[key] = [first, number, count + 1]


def _range(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
