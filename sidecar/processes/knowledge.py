"""What all workers of a sidecar have learned of harmful pages and mutations, kept by whoever outlives them.

A worker tells what it holds; the others are told, and so is each new worker before its first visitor. Of a worker that rewrites
pages itself and dies of one, or hangs, its last words tell which: the page passes from then on, and the mutation whose turn it
was is held. Where there is a folder, all of it is kept there too, and is known after a restart of the whole sidecar.

How a worker was lost decides what that proves. A crash (SIGSEGV and its like), and a hang that the supervisor ended, are the
page's doing. A SIGKILL from elsewhere (a person, or the kernel short of memory) may have met an innocent: the page passes, and a
mutation is held when it happens again within ten minutes. Signals by which one stops a process prove nothing.

Counterparts: `supervisor` asks, `sidecar.rewriting.quarantine` has the stays, `sidecar.rewriting.last_words` what is read.
Never: an address with its query on disk, or a supervisor that fails for what stands there or waits for it.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog

from sidecar.rewriting.last_words import LastWords
from sidecar.rewriting.notices import log_held
from sidecar.rewriting.quarantine import Held, HeldMutation, HeldPage, MutationQuarantine, PageQuarantine, Why

FILE = "quarantine"
FILE_BYTES_MAX = 2 * 1024 * 1024
"""Room for all pages and mutations that can be held at once."""
READER = "quarantine-reader"
DISK_S_MAX = 2.0
"""For how long a start or an end waits for the disk, which may hang."""
AGAIN_S = 600.0
SUSPECTS_MAX = 1_000

_ASKED_TO_STOP = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})
_log = structlog.get_logger("sidecar.processes.knowledge")
_encode = msgspec.msgpack.Encoder().encode


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """The file: when it was written, in seconds since 1970, and what was held then."""

    written_at: float
    held: Held


class Knowledge:
    """For one supervisor. `folder` None: nothing outlives it. `clock` gives seconds that only grow, `now` those since 1970."""

    def __init__(
        self,
        folder: Path | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._now = now
        self._mutations = MutationQuarantine(clock)
        self._pages = PageQuarantine()
        self._suspects: dict[tuple[str, int], float] = {}
        self._is_complained = False
        self._lock = threading.Lock()
        self._due: bytes | None = None
        self._writer: threading.Thread | None = None

    def learn(self, news: Any) -> Held | None:
        """What a worker holds from now on, for the other ones; None for what is no such news."""
        try:
            held = msgspec.convert(news, Held)
        except msgspec.ValidationError as error:
            _log.warning("news_not_understood", detail=str(error))
            return None
        self._enter(held)
        self._save()
        return held

    def held(self) -> Held:
        """All that is known, for a new worker."""
        return Held(tuple(self._mutations.entries()), tuple(self._pages.entries(self._clock())))

    def lost(self, words: LastWords, code: int, *, hung: bool) -> Held | None:
        """What the end of a worker teaches; None if no page was under way, or its end proves nothing. `code`: its exit code,
        or the signal that ended it, negative. `hung`: it was ended since it answered nothing."""
        heard = words.heard()
        if heard is None or (not hung and -code in _ASKED_TO_STOP):
            return None
        under_way, suspects = heard
        why, now = Why.HUNG if hung else Why.KILLED, self._clock()
        told: list[HeldPage] = []
        self._pages.on_hold = told.extend
        harm = HeldPage(under_way.page, under_way.path, under_way.decision, why, under_way.table, 0, 0.0)
        held_s = self._pages.hold(harm, under_way.queries, now)
        is_proof = hung or -code != signal.SIGKILL
        guilty = [suspect for suspect in suspects if is_proof or self._is_suspected_again(suspect, now)]
        _log.error(
            "worker_lost_over_page",
            page=under_way.path,
            why=why.value,
            code=code,
            table=under_way.table,
            suspects=[name for name, _ in suspects],
            held_s=round(held_s),
            advice="the page passes meanwhile; SIDECAR_REWRITE_INLINE=false keeps workers alive",
        )
        for name, version in guilty:
            self._mutations.hold(name, version, why)
        mutations = tuple(self._mutations.entries(name for name, _ in guilty))
        for mutation in mutations:
            log_held(mutation)
        self._save()
        return Held(mutations, tuple(told))

    def read(self, within_s: float = DISK_S_MAX) -> None:
        """What an earlier sidecar kept, as far as it can be used; each stay is that much shorter. A disk that hangs is not
        waited for."""
        if self._folder is None:
            return
        found: list[Kept] = []
        reader = threading.Thread(target=lambda: found.extend(_kept(folder)), name=READER, daemon=True)
        folder = self._folder
        reader.start()
        reader.join(within_s)
        if reader.is_alive():
            _log.warning("quarantine_not_read", detail=f"the disk takes longer than {within_s:g} s", folder=str(folder))
        for kept in found:
            passed_s = max(0.0, self._now() - kept.written_at)
            mutations = tuple(_mutation_later(one, passed_s) for one in kept.held.mutations)
            self._enter(Held(mutations, tuple(_page_later(one, passed_s) for one in kept.held.pages)))

    def settle(self, within_s: float = DISK_S_MAX) -> None:
        """Wait until the disk has what is known."""
        writer = self._writer
        if writer is not None:
            writer.join(within_s)

    # ---- small things

    def _enter(self, held: Held) -> None:
        for mutation in held.mutations:
            self._mutations.enter(mutation)
        for page in held.pages:
            self._pages.enter(page, self._clock())

    def _is_suspected_again(self, suspect: tuple[str, int], now: float) -> bool:
        if suspect not in self._suspects and len(self._suspects) >= SUSPECTS_MAX:
            self._suspects.clear()
        before = self._suspects.get(suspect)
        self._suspects[suspect] = now
        return before is not None and now - before < AGAIN_S

    def _save(self) -> None:
        """Seldom: something is held that was not. In a thread, for a disk may hang."""
        if self._folder is None:
            return
        with self._lock:
            self._due = _encode(Kept(self._now(), self.held()))
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, args=(self._folder,), daemon=True)
                self._writer.start()

    def _write_all(self, folder: Path) -> None:
        while True:
            with self._lock:
                due, self._due = self._due, None
                if due is None:
                    self._writer = None
                    return
            try:
                _write(folder, due)
                self._is_complained = False
            except OSError as error:
                if not self._is_complained:
                    _log.warning("quarantine_not_written", problem=error.strerror or str(error), folder=str(folder))
                self._is_complained = True


def _kept(folder: Path) -> list[Kept]:
    """The file, where there is one that can be used."""
    try:
        with (folder / FILE).open("rb") as file:
            written = file.read(FILE_BYTES_MAX + 1)
        if len(written) > FILE_BYTES_MAX:
            raise ValueError(f"more than {FILE_BYTES_MAX:,} bytes")
        return [msgspec.msgpack.decode(written, type=Kept)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:  # what is no such file is a ValueError too
        _log.warning("quarantine_not_read", detail=str(error), folder=str(folder))
        return []


def _write(folder: Path, content: bytes) -> None:
    """The file, whole or not at all. Raises OSError. A draft that a crash left behind is this process's own, and small."""
    draft = folder / f".{FILE}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        draft.replace(folder / FILE)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise


def _mutation_later(held: HeldMutation, passed_s: float) -> HeldMutation:
    """Its stay is that much shorter, and its trial has begun when that was over."""
    over_s = held.over_s + max(0.0, passed_s - held.left_s)
    return msgspec.structs.replace(held, left_s=max(0.0, held.left_s - passed_s), over_s=over_s)


def _page_later(held: HeldPage, passed_s: float) -> HeldPage:
    return msgspec.structs.replace(held, left_s=max(0.0, held.left_s - passed_s))
