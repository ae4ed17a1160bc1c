"""Events on disk: whole records in their order, whatever was torn, full, killed or shared."""

import fcntl
import os
import resource
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.events import BATCH_EVENTS_MAX
from sidecar.events.spool import MAGIC, SEGMENTS_MIN, Sealed, Spool

ROOM = 1024 * 1024


def batch(number: int, size: int = 20, count: int = 2) -> Sealed:
    return Sealed(f"{number:06}".encode().ljust(size, b"."), count)


def filled(folder: Path, *batches: Sealed, room: int = ROOM) -> Spool:
    spool = Spool(folder, room)
    for one in batches:
        spool.append(one)
    return spool


def adopted(folder: Path, room: int = ROOM) -> Spool:
    """What the next worker finds."""
    spool = Spool(folder, room)
    spool.adopt()
    return spool


def drained(spool: Spool) -> list[Sealed]:
    found: list[Sealed] = []
    while batches := spool.first(3):
        found += batches
        spool.done(len(batches))
    return found


ACTIONS = st.lists(st.tuples(st.sampled_from(["append", "take", "restart"]), st.integers(1, 5)), max_size=30)


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_all_batches_come_out_in_order_and_only_a_restart_repeats_some(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool, told, lost, taken = adopted(folder, 4000), 0, 0, list[int]()
    for action, amount in actions:
        if action == "append":
            for _ in range(amount):
                spool.append(batch(told, 60))
                told += 1
        elif action == "take":
            found = spool.first(amount)
            if found:
                spool.done(len(found))
            taken += [int(one.payload[:6]) for one in found]
        else:
            lost += spool.lost["spool_full"]
            spool.close()
            spool = adopted(folder, 4000)
        assert spool.bytes <= 4000
    taken += [int(one.payload[:6]) for one in drained(spool)]
    fresh = list(dict.fromkeys(taken))
    assert fresh == sorted(fresh)
    assert 2 * (told - len(fresh)) <= lost + spool.lost["spool_full"]
    if "restart" not in dict(actions):
        assert (fresh, 2 * (told - len(fresh))) == (taken, spool.lost["spool_full"])
    assert (spool.events, spool.bytes, list(folder.iterdir())) == (0, 0, [])
    spool.close()


def test_what_was_being_written_when_the_power_went_is_left_out(tmp_path: Path) -> None:
    spool = filled(tmp_path / "whole", batch(1), batch(2), batch(3))
    [whole] = [file.read_bytes() for file in (tmp_path / "whole").iterdir()]
    ends = [len(MAGIC) + 32 * number for number in range(4)]
    for length in range(len(whole) + 1):
        folder = tmp_path / str(length)
        folder.mkdir()
        (folder / "0.events").write_bytes(whole[:length])
        after = adopted(folder)
        kept = sum(end <= length for end in ends[1:])
        assert drained(after) == [batch(1), batch(2), batch(3)][:kept]
        torn = length not in (0, *ends)
        assert bool(after.lost["torn"]) == torn, length
        assert list(folder.iterdir()) == []
    spool.close()


@pytest.mark.parametrize(("said", "counted"), [(0, 1), (3, 3), (2**32 - 1, BATCH_EVENTS_MAX)])
def test_what_a_torn_record_says_of_itself_is_not_believed_beyond_what_a_batch_has(
    tmp_path: Path, said: int, counted: int
) -> None:
    (tmp_path / "0.events").write_bytes(MAGIC + struct.pack(">III", 20, said, 0) + b"half of it")
    assert adopted(tmp_path).lost == {"torn": counted}


def test_a_record_that_the_disk_has_changed_is_left_out(tmp_path: Path) -> None:
    spool = filled(tmp_path, batch(1), batch(2), batch(3))
    [file] = tmp_path.iterdir()
    with file.open("r+b") as changed:
        changed.seek(len(MAGIC) + 32 + 20)
        changed.write(b"X")
    assert drained(spool) == [batch(1), batch(3)]
    assert spool.lost["torn"] == 2
    spool.close()


def test_a_file_of_which_nothing_is_whole_is_removed_and_holds_up_nobody(tmp_path: Path) -> None:
    filled(tmp_path, batch(1)).close()
    [older] = tmp_path.iterdir()
    spool = adopted(tmp_path)
    spool.append(batch(2))
    older.write_bytes(older.read_bytes()[:-1] + b"X")
    assert drained(spool) == [batch(2)]
    assert (spool.lost, list(tmp_path.iterdir())) == ({"torn": 2}, [])


def test_who_has_let_go_holds_nothing_and_may_do_it_again(tmp_path: Path) -> None:
    """The number of a file that was closed may be somebody else's by now."""
    spool = filled(tmp_path, batch(1))
    spool.close()
    assert (spool.events, spool.bytes, spool.first(9)) == (0, 0, [])
    spool.close()
    spool.append(batch(2))
    assert drained(spool) == [batch(2)]


def test_the_oldest_makes_room_and_is_counted(tmp_path: Path) -> None:
    room = 8000
    spool = filled(tmp_path, *(batch(number, 100) for number in range(500)), room=room)
    kept = drained(spool)
    assert spool.lost["spool_full"] == 2 * (500 - len(kept))
    assert kept == [batch(number, 100) for number in range(500)][-len(kept) :]
    assert len(kept) * 112 > room * (SEGMENTS_MIN - 1) / SEGMENTS_MIN - 112
    spool.close()


def test_a_segment_belongs_to_who_holds_its_lock(tmp_path: Path) -> None:
    first, second = filled(tmp_path, batch(1)), filled(tmp_path, batch(2))
    first.adopt()
    second.adopt()
    assert (first.first(9), second.first(9)) == ([batch(1)], [batch(2)])
    first.close()
    second.adopt()
    assert drained(second) == [batch(1), batch(2)]
    second.close()


def test_what_has_no_room_is_left_to_others(tmp_path: Path) -> None:
    for number in range(2):
        filled(tmp_path, batch(number, 600), room=4000).close()
    spools = [adopted(tmp_path, 1000), adopted(tmp_path, 1000), adopted(tmp_path, 1000)]
    assert [drained(spool) for spool in spools] == [[batch(0, 600)], [batch(1, 600)], []]


def test_what_is_larger_than_any_room_here_is_taken_over_all_the_same(tmp_path: Path) -> None:
    """Nobody else of this machine has more room: it would stay for ever."""
    filled(tmp_path, batch(1, 900), room=4000).close()
    assert drained(adopted(tmp_path, 500)) == [batch(1, 900)]
    assert list(tmp_path.iterdir()) == []


def test_nobody_else_may_read_what_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool = filled(folder, batch(1))
    [file] = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    spool.close()


def test_no_file_stays_open_that_is_sent_or_belongs_to_somebody_else(tmp_path: Path) -> None:
    """A worker looks every minute, for months."""
    open_files = Path("/proc/self/fd")
    owner, spool = filled(tmp_path, batch(1)), Spool(tmp_path, ROOM)
    (tmp_path / "empty.events").touch()
    before = len(list(open_files.iterdir()))
    for number in range(3):
        spool.adopt()
        spool.append(batch(number))
        assert drained(spool) == [batch(number)]
    owner.adopt()
    assert (len(list(open_files.iterdir())), len(list(tmp_path.iterdir()))) == (before, 1)
    owner.close()
    assert len(list(open_files.iterdir())) == before - 1


def test_where_there_can_be_no_file_nothing_stays_and_it_is_said(tmp_path: Path) -> None:
    open_files = Path("/proc/self/fd")
    (tmp_path / "file").touch()
    before = len(list(open_files.iterdir()))
    spool = Spool(tmp_path / "file", ROOM)
    spool.adopt()
    with pytest.raises(OSError, match="file"):
        spool.append(batch(1))
    assert (spool.events, spool.bytes, spool.first(9)) == (0, 0, [])
    assert len(list(open_files.iterdir())) == before


def test_a_disk_that_takes_nothing_has_nothing_left_open(tmp_path: Path) -> None:
    """It is tried again each second: a file left open each time, and visitors are let in no more."""
    open_files, spool = Path("/proc/self/fd"), Spool(tmp_path, ROOM)
    before = len(list(open_files.iterdir()))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        for _ in range(3):
            with pytest.raises(OSError, match="too large"):
                spool.append(batch(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (len(list(open_files.iterdir())), list(tmp_path.iterdir())) == (before, [])
    spool.append(batch(2))
    assert drained(spool) == [batch(2)]


def test_what_its_owner_sends_in_that_moment_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_files = Path("/proc/self/fd")
    filled(tmp_path, batch(1)).close()
    [file] = tmp_path.iterdir()
    before, lock = len(list(open_files.iterdir())), fcntl.flock

    def flock(descriptor: int, how: int) -> None:
        file.unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert adopted(tmp_path).events == 0
    assert len(list(open_files.iterdir())) == before


def test_a_killed_worker_leaves_what_it_had_told(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from sidecar.events.spool import Sealed, Spool\n"
        "spool = Spool(Path(sys.argv[1]), 2**20)\n"
        "number = 0\n"
        "while True:\n"
        "    spool.append(Sealed(b'%06d' % number, 1)); number += 1\n"
        "    if number == 1000: print('full', flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"full\n"
        assert adopted(tmp_path).events == 0
        process.send_signal(signal.SIGKILL)
        process.wait()
    numbers = [int(one.payload) for one in drained(adopted(tmp_path))]
    assert len(numbers) >= 1000
    assert numbers == list(range(numbers[0], numbers[-1] + 1))


def test_a_full_disk_keeps_what_is_whole_and_takes_more_when_there_is_room(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from sidecar.events.spool import Sealed, Spool\n"
        "folder = Path(sys.argv[1]); filler = folder / 'filler'; filler.write_bytes(bytes(700_000))\n"
        "spool, kept = Spool(folder / 'events', 2**24), 0\n"
        "try:\n"
        "    while True: spool.append(Sealed(b'%06d' % kept * 1000, 1)); kept += 1\n"
        "except OSError as error: print(error.errno)\n"
        "filler.unlink(); spool.append(Sealed(b'%06d' % kept * 10, 1))\n"
        "spool.close(); after = Spool(folder / 'events', 2**24); after.adopt()\n"
        "numbers = []\n"
        "while found := after.first(9): numbers += [int(one.payload[:6]) for one in found]; after.done(len(found))\n"
        "print(kept, numbers == list(range(kept + 1)), after.lost['torn'])\n"
    )
    mount = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c"]
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    if subprocess.run([*mount, script, str(tmp_path), "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root or user namespaces (util-linux: unshare)")
    answer = subprocess.run(
        [*mount, script, str(tmp_path), sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    refused, said = answer.stdout.splitlines() or ["", answer.stderr]
    assert refused == "28"
    kept, *rest = said.split()
    assert (int(kept) > 10, rest) == (True, ["True", "0"])
