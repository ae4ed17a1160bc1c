"""Batches of events on disk, for the time that Redis is away: append-only segments, oldest dropped when there is no room.

A segment is a file of records, each with its length, its count of events and a checksum, so that a record that was being
written when the power went, or the process, is told from a whole one and left out. Who writes a segment, or has taken it over,
holds its lock (flock(2)); a file without one belonged to a worker that is gone, and is taken over by the next that looks.
A folder may be shared by any number of workers and sidecars of one machine.
Counterpart: `outbox` decides what comes here and when it is sent. Blocking; used by one thread at a time, and asked for its sizes by any.
Never: fsync. What it keeps survives the process, not every power cut; an event is not worth a disk that waits.
"""

import fcntl
import os
import struct
import zlib
from collections import Counter, deque
from contextlib import suppress
from itertools import islice
from pathlib import Path

import uuid_utils
from msgspec import Struct

from service.events import BATCH_BYTES_MAX, BATCH_EVENTS_MAX

MAGIC = b"lmspool1"
SEGMENT_BYTES_MAX = 4 * 1024 * 1024
SPOOL_BYTES_MIN = 1024 * 1024
"""Less room than this is none: a batch may take a tenth of it."""
SEGMENTS_MIN = 4
"""At least so many segments fill the room, so that dropping the oldest never drops most."""
_HEAD = struct.Struct(">III")
"""Length, events, CRC-32 of both and the payload."""
_SUFFIX = ".events"
_DRAFT = ".draft"


class Sealed(Struct, frozen=True):
    """A batch as it is sent (`service.events.sealed`), and how many events are in it."""

    payload: bytes
    count: int


class _Record(Struct, frozen=True):
    offset: int
    length: int
    count: int


class _Segment:
    """A locked file, and the records of it that are still to be sent."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.records: deque[_Record] = deque()
        self.end = len(MAGIC)
        """Where the next record goes, in bytes."""
        self.events = 0
        """How many events wait in the records."""

    def append(self, batch: Sealed) -> None:
        """Write one record whole, or raise OSError and leave the file as it was."""
        data = _record(batch)
        try:
            _write(self.descriptor, data, self.end)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self.descriptor, self.end)
            raise
        self._add(len(batch.payload), batch.count)

    def _add(self, length: int, count: int) -> None:
        self.records.append(_Record(self.end, length, count))
        self.end += _HEAD.size + length
        self.events += count

    def forget(self, record: _Record) -> None:
        """It has been sent, or is damaged."""
        self.records.remove(record)
        self.events -= record.count

    def read(self, record: _Record) -> Sealed | None:
        """The batch; None if the disk has changed it. Raises OSError."""
        data: bytes = os.pread(self.descriptor, _HEAD.size + record.length, record.offset)
        batch = Sealed(data[_HEAD.size :], record.count)
        return batch if data == _record(batch) else None

    def scan(self) -> int:
        """Find the records of a file of somebody else; how many events are lost in what is torn. Raises OSError."""
        data = _content(self.descriptor)
        if not data.startswith(MAGIC):
            return 1 if data else 0
        while self.end < len(data):
            head = data[self.end : self.end + _HEAD.size]
            if len(head) < _HEAD.size:
                return 1
            length: int
            count: int
            length, count, _ = _HEAD.unpack(head)
            data_of_record = data[self.end : self.end + _HEAD.size + length]
            if data_of_record != _record(Sealed(data_of_record[_HEAD.size :], count)):
                return max(1, min(count, BATCH_EVENTS_MAX))
            self._add(length, count)
        return 0

    def remove(self) -> None:
        """Forget the file: what is in it has been sent, or is dropped."""
        with suppress(OSError):
            self.path.unlink()
        os.close(self.descriptor)


class Spool:
    """What one worker has on disk, at most `bytes_max`. `lost` counts events that are gone, `spool_full` or `torn`."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self.lost: Counter[str] = Counter()
        self._folder = folder
        self._bytes_max = bytes_max
        self._segment_bytes_max = min(SEGMENT_BYTES_MAX, bytes_max // SEGMENTS_MIN)
        self._segments: deque[_Segment] = deque()
        self._writes_to: _Segment | None = None

    @property
    def bytes(self) -> int:
        """What its segments take."""
        return sum(segment.end for segment in tuple(self._segments))

    @property
    def events(self) -> int:
        """How many events wait in them."""
        return sum(segment.events for segment in tuple(self._segments))

    def append(self, batch: Sealed) -> None:
        """Keep one batch; raises OSError where it could not be kept, and leaves what is kept whole."""
        size = _HEAD.size + len(batch.payload)
        while self._segments and self.bytes + size + len(MAGIC) > self._bytes_max:
            oldest = self._segments[0]
            self.lost["spool_full"] += oldest.events
            self._remove(oldest)
        if self._writes_to is None or self._writes_to.end + size > self._segment_bytes_max:
            self._writes_to = self._begun()
            self._segments.append(self._writes_to)
        self._writes_to.append(batch)

    def first(self, count: int) -> list[Sealed]:
        """The oldest batches, at most `count`; they stay until they are `done`. Raises OSError."""
        for segment in tuple(self._segments):
            found: list[Sealed] = []
            for record in islice(tuple(segment.records), count):
                batch = segment.read(record)
                if batch is None:
                    segment.forget(record)
                    self.lost["torn"] += record.count
                else:
                    found.append(batch)
            if found:
                return found
            self._remove(segment)
        return []

    def done(self, count: int) -> None:
        """Forget the oldest batches: they have been sent, all of one `first`."""
        segment = self._segments[0]
        for _ in range(count):
            segment.forget(segment.records[0])
        if not segment.records:
            self._remove(segment)

    def adopt(self) -> None:
        """Take over the segments of workers that are gone, as many as there is room for. Never fails."""
        with suppress(OSError):
            for path in sorted(self._folder.iterdir()):
                if path.suffix in (_SUFFIX, _DRAFT):
                    self._take_over(path)
        self._segments = deque(sorted(self._segments, key=lambda segment: segment.path.name))

    def close(self) -> None:
        """Let go of the files; whoever looks next takes them over."""
        for segment in self._segments:
            os.close(segment.descriptor)
        self._segments.clear()
        self._writes_to = None

    # ---- one segment

    def _begun(self) -> _Segment:
        """A new segment, which is locked before anybody else can see it. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{uuid_utils.uuid7()}{_SUFFIX}"
        draft = path.with_suffix(_DRAFT)
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(descriptor, MAGIC, 0)
            draft.replace(path)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            os.close(descriptor)
            raise
        return _Segment(path, descriptor)

    def _take_over(self, path: Path) -> None:
        if any(segment.path == path for segment in self._segments):
            return
        try:
            size = path.stat().st_size
            if size > self._bytes_max - self.bytes and size <= self._bytes_max:
                return  # it is somebody else's to take, or ours once there is room
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return
        segment = _Segment(path, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink == 0:  # its owner has sent it meanwhile
                os.close(descriptor)
                return
            lost = segment.scan()
        except OSError:
            os.close(descriptor)
            return
        self.lost["torn"] += lost
        if segment.records:
            self._segments.append(segment)
        else:
            segment.remove()

    def _remove(self, segment: _Segment) -> None:
        self._segments.remove(segment)
        if segment is self._writes_to:
            self._writes_to = None
        segment.remove()


def _record(batch: Sealed) -> bytes:
    length, count = len(batch.payload), batch.count
    checksum = zlib.crc32(batch.payload, zlib.crc32(struct.pack(">II", length, count)))
    return _HEAD.pack(length, count, checksum) + batch.payload


def _write(descriptor: int, data: bytes, offset: int) -> None:
    """All of it; a full disk takes a part, says so with the rest, and raises OSError."""
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _content(descriptor: int) -> bytes:
    """A file of ours; of a larger one the beginning, which is all that one of ours can have."""
    pieces: list[bytes] = []
    offset, room = 0, SEGMENT_BYTES_MAX + _HEAD.size + BATCH_BYTES_MAX
    while room > 0 and (piece := os.pread(descriptor, room, offset)):
        pieces.append(piece)
        offset, room = offset + len(piece), room - len(piece)
    return b"".join(pieces)
