"""The decision table in force: verified, kept in memory and on disk, reported to the fleet.

Counterpart: `feed.py` brings tables from Redis, `snapshot.py` keeps the last one on disk, `proxy.py` asks for `current`.
A table is taken whole or not at all, and whatever happens the last good one stays in force:

- a lower version never replaces a higher one; Redis emptied or holding an older table changes nothing;
- after a start from disk a table of equal version is looked at too, once: Redis has the newer word.

Never: blocks a start, waits for Redis, or serves a table that no trusted key has signed, whoever owns Redis or the disk.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from rules import limits
from rules.errors import TableError
from rules.pieces import Pause
from rules.reasons import Outcome
from rules.sealing import key_id, unseal
from rules.table import UNCHECKED, DecisionTable
from service import user_agents
from service.keys import Keys
from sidecar.tables import snapshot
from sidecar.tables.feed import Feed, HeldThere, Report
from sidecar.tables.unhurried import Unhurried, at_once, beside_visitors

POLL_S = 1.0
OFFENCES_MAX = 1_000
"""Offences remembered so that each is logged once; beyond this they are forgotten and may be logged again."""

SAVE_S_MAX = 2.0
"""For how long an end waits for the disk, which may hang."""

HELD_MAX = 100
"""Mutations that the fleet is told of: with more of them at fault, no list helps."""

UNTIL_S = 2.0
"""Two clocks differ by less from one report to the next, and no new report is due for that."""

Verify = Callable[[str, bytes, bytes], bool]
Held = Callable[[DecisionTable | None], Mapping[str, tuple[int, str, float]]]
"""Mutation -> version, why, and for how many seconds more it is skipped."""

_log = structlog.get_logger("sidecar.tables.tables")


class Refusal(NamedTuple):
    """Why something was not taken.

    `reason` is a `TableError.reason`, or `unreadable`. `origin` is redis or snapshot; `announced` the version that
    Redis named, as text, empty if there was none.
    """

    reason: str
    detail: str
    origin: str
    announced: str


def verifier(public_keys: Sequence[bytes]) -> Verify:
    """`verify(key_id, signature, message)` for raw 32-byte Ed25519 keys (RFC 8032); ValueError for anything else."""
    known = {key_id(raw): Ed25519PublicKey.from_public_bytes(raw) for raw in public_keys}

    def verify(name: str, signature: bytes, message: bytes) -> bool:
        key = known.get(name)
        if key is None:
            return False
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return verify


def _left_out(outcome: Outcome) -> None:
    """A rule that passed its checks and can't be used: pages go without it, and somebody has to look."""
    _log.error("rule_left_out", mutation=outcome.mutation_id, problem=outcome.detail)


class Tables:
    """Follows the table of one installation, for one worker.

    `redis_url` None: there is only the disk; `snapshot_dir` None: there is no disk. `instance` names this process in
    the fleet. `on_change(table)` is called on the event loop when a table came into force. `clock` gives seconds since
    1970. `held(table)` says which mutations this worker skips. `engine` names this program: tables checked by the
    same one are loaded fast. Raises ValueError for a URL or a key that can't be used.
    """

    def __init__(  # noqa: PLR0913 - each is a setting, or what a test replaces
        self,
        *,
        redis_url: str | None,
        keys: Keys,
        public_keys: Sequence[bytes],
        snapshot_dir: Path | None,
        instance: str,
        workers: int = 1,
        poll_s: float = POLL_S,
        entropy: random.Random | None = None,
        clock: Callable[[], float] = time.time,
        on_change: Callable[[DecisionTable], None] | None = None,
        held: Held = lambda _: {},
        engine: str = UNCHECKED,
    ) -> None:
        self.current: DecisionTable | None = None
        """The table in force."""
        self.switched_off: Callable[[], Sequence[str]] = tuple
        """What switches everything off here, for the fleet to know; the table stays what it is."""
        self._verify = verifier(public_keys)
        self._snapshot_dir = snapshot_dir
        self._snapshot = "off" if snapshot_dir is None else "missing"
        self._instance = instance
        self._workers = workers
        self._clock = clock
        self._on_change = on_change
        self._held = held
        self._until: dict[tuple[str, int, str], float] = {}
        self._engine = engine
        self._source: str | None = None
        self._refusal: Refusal | None = None
        self._refused: Refusal | None = None
        """The last one of Redis's, also when it is not offered any more."""
        self._offences: set[Refusal] = set()
        self._saving: asyncio.Task[None] | None = None
        self._feed: Feed | None = None
        if redis_url is not None:
            chance = entropy or random.Random()  # noqa: S311 - jitter
            self._feed = Feed(redis_url, keys, self, poll_s=poll_s, entropy=chance, now=self._timestamp)

    async def start(self) -> None:
        """Take the snapshot, then follow Redis in the background. Never fails and never waits for Redis."""
        if self._snapshot_dir is not None:
            await self._load(self._snapshot_dir)
        if self._feed is not None:
            self._feed.start()

    async def close(self) -> None:
        """Stop following, leave the fleet; a table that is on its way to the disk gets there."""
        if self._feed is not None:
            await self._feed.close()
        if self._saving is not None:
            # Who starts next without Redis should find what was in force here.
            await asyncio.wait({self._saving}, timeout=SAVE_S_MAX)

    def status(self) -> dict[str, object]:
        """For `/table`, readiness and metrics.

        `state` is ACK (what was last offered is in force), NACK (it was refused; `reason` and `detail` say why) or
        none. `source` is where the table in force came from: redis, snapshot or None. `age_seconds` counts from the
        table's making, `heard_seconds` from Redis's last answer. `redis` is connected, lost or none. `snapshot` is off,
        missing, loaded, written, write_failed, or why the file was refused.
        """
        table, feed = self.current, self._feed
        heard_at = None if feed is None else feed.heard_at
        refusal = self._refusal
        return {
            "version": None if table is None else table.version,
            "digest": None if table is None else table.digest,
            "state": self._state,
            "reason": "" if refusal is None else refusal.reason,
            "detail": "" if refusal is None else f"{refusal.origin}: {refusal.detail}",
            "source": self._source,
            "age_seconds": None if table is None else max(0.0, self._clock() - table.created_at.timestamp()),
            "heard_seconds": None if heard_at is None else time.monotonic() - heard_at,
            "redis": "none" if feed is None else "connected" if feed.connected else "lost",
            "snapshot": self._snapshot,
        }

    # ---- what Redis brings (feed.Receiver)

    def wants(self, version: int | None) -> bool:
        """Whether a table of this version is worth reading; None is an announcement that is no number."""
        current = self.current
        if version is None:
            return True
        if version > (0 if current is None else current.version):
            return True
        if self._refusal is not None and self._refusal.origin == "redis":
            self._refusal = None  # what was refused is not offered any more
        return current is not None and version == current.version and self._source == "snapshot"

    async def offer(self, sealed: bytes | bytearray, announced: str) -> bool:
        """Take a sealed table from Redis; whether it is the one in force now."""
        try:
            table = await asyncio.to_thread(self._open, sealed, Unhurried())
        except TableError as error:
            self.refuse(error.reason, error.detail, announced)
            return False
        if not self._follows(table):
            detail = f"it is version {table.version}, not newer than {self._version}"
            self.refuse("malformed", detail, announced)
            return False
        current = self.current
        changed = current is None or (table.version, table.digest) != (current.version, current.digest)
        self._source = "redis"
        self._refusal = None
        if changed:
            self._enter(table)
        self._saving = asyncio.create_task(self._save(sealed))
        await asyncio.shield(self._saving)
        return True

    def refuse(self, reason: str, detail: str, announced: str) -> None:
        """Keep what is in force and say why; one line for each distinct offence."""
        self._refused = Refusal(reason, detail, "redis", announced)
        if self._note(self._refused):
            _log.error("table_refused", reason=reason, detail=detail, announced=announced, in_force=self._version)

    def refused_again(self) -> None:
        """What was refused last is why what is offered now is not in force either."""
        self._refusal = self._refusal or self._refused

    def report(self) -> Report:
        """What the fleet should know of this instance."""
        table = self.current
        return Report(
            instance=self._instance,
            version=self._version,
            digest=None if table is None else table.digest,
            state=self._state,
            reason="" if self._refusal is None else self._refusal.reason,
            workers=self._workers,
            held=self._held_here(table),
            switched_off=tuple(self.switched_off()),
        )

    def _held_here(self, table: DecisionTable | None) -> dict[str, HeldThere]:
        """What is skipped; each end is said as it was said before, where that is still true."""
        ends: dict[tuple[str, int, str], float] = {}
        for name, (version, why, left_s) in sorted(self._held(table).items())[:HELD_MAX]:
            told, now = (name, version, why), self._clock() + left_s
            before = self._until.get(told, now)
            ends[told] = before if abs(before - now) < UNTIL_S else now
        self._until = ends
        return {name: HeldThere(version, why, _rfc3339(end)) for (name, version, why), end in ends.items()}

    # ---- taking a table

    def _open(self, sealed: bytes | bytearray, pause: Pause) -> DecisionTable:
        """Verify, decode and index; in a thread, for a large table takes its time. Raises TableError."""
        with beside_visitors():
            table = unseal(
                sealed,
                verify=self._verify,
                engine=self._engine,
                left_out=_left_out,
                pause=pause,
                look=partial(user_agents.prepare, pause=pause),  # now, and not at the first visit
                before=self.current,
            )
            assert table.digest  # computed here and kept, not later on the event loop
            table.versions()  # so is this
        return table

    def _follows(self, table: DecisionTable) -> bool:
        current = self.current
        if current is None or table.version > current.version:
            return True
        return table.version == current.version and self._source == "snapshot"

    def _enter(self, table: DecisionTable) -> None:
        self.current = table
        _log.info("table_in_force", version=table.version, digest=table.digest[:12], source=self._source)
        if self._on_change is not None:
            try:
                self._on_change(table)
            except Exception:  # noqa: BLE001 - who listens must not stop the table
                _log.exception("table_listener_failed")

    def _note(self, refusal: Refusal) -> bool:
        """Whether this offence is new."""
        self._refusal = refusal
        if len(self._offences) >= OFFENCES_MAX:
            self._offences.clear()
        known = refusal in self._offences
        self._offences.add(refusal)
        return not known

    # ---- the disk

    async def _load(self, folder: Path) -> None:
        try:
            sealed = await asyncio.to_thread(snapshot.read, folder, limits.TABLE_BYTES_MAX)
            if sealed is None:
                _log.info("no_snapshot", folder=str(folder))
                return
            table = await asyncio.to_thread(self._open, sealed, at_once)  # nobody is served yet
        except TableError as error:
            self._refuse_snapshot(error.reason, error.detail, folder)
        except OSError as error:
            self._refuse_snapshot("unreadable", error.strerror or str(error), folder)
        else:
            self._source = "snapshot"
            self._snapshot = "loaded"
            self._enter(table)

    def _refuse_snapshot(self, reason: str, detail: str, folder: Path) -> None:
        self._snapshot = reason
        if self._note(Refusal(reason, detail, "snapshot", "")):
            fix = "pages pass unchanged until Redis has a table"
            _log.warning("snapshot_refused", reason=reason, detail=detail, folder=str(folder), meanwhile=fix)

    async def _save(self, sealed: bytes | bytearray) -> None:
        if self._snapshot_dir is None:
            return
        try:
            await asyncio.to_thread(snapshot.write, self._snapshot_dir, sealed, Unhurried())
        except OSError as error:
            if self._snapshot != "write_failed":
                problem = error.strerror or str(error)
                _log.warning("snapshot_not_written", problem=problem, folder=str(self._snapshot_dir))
            self._snapshot = "write_failed"
        else:
            self._snapshot = "written"

    # ---- small things

    @property
    def _state(self) -> str:
        if self._refusal is not None:
            return "NACK"
        return "none" if self.current is None else "ACK"

    @property
    def _version(self) -> int | None:
        return None if self.current is None else self.current.version

    def _timestamp(self) -> str:
        return _rfc3339(self._clock())


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
