"""What a supervisor keeps of harmful pages and mutations; real ends of workers are in tests/end_to_end/test_lost_workers.py."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from sidecar.processes import knowledge as module
from sidecar.processes.knowledge import AGAIN_S, FILE, FILE_BYTES_MAX, READER, Knowledge
from sidecar.rewriting.last_words import LastWords, UnderWay
from sidecar.rewriting.quarantine import (
    MUTATIONS_MAX,
    PAGES_MAX,
    Held,
    HeldMutation,
    HeldPage,
    Why,
    digest_of,
    named,
)
from tests.sidecar.waiting import until

UNDER_WAY = UnderWay(digest_of("a/?q"), digest_of("a/?"), "a/", "d1", 7, (("one", 1), ("two", 5)))
HELD = Held(
    (HeldMutation("m", 2, Why.SLOW, 3, 100.0),),
    (HeldPage(digest_of("a/"), "a/", "d1", Why.HUNG, 7, 2, 50.0),),
)


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def words() -> Iterator[LastWords]:
    place = LastWords.new()
    yield place
    place.close()


def lost(knowledge: Knowledge, words: LastWords, code: int, *, hung: bool = False) -> list[tuple[str, int, Why]] | None:
    with capture_logs() as lines:
        held = knowledge.lost(words, code, hung=hung)
    if held is None:
        assert lines == []
        return None
    assert lines[0]["event"] == "worker_lost_over_page"
    assert [line["event"] for line in lines[1:]] == ["mutation_held"] * len(held.mutations)
    assert [page.page for page in held.pages] == [UNDER_WAY.page, UNDER_WAY.queries]
    assert held.pages[0].left_s == 600 * 2 ** (held.pages[0].offences - 1)
    return [(one.mutation_id, one.version, one.why) for one in held.mutations]


def test_a_worker_tells_and_the_next_one_is_told() -> None:
    clock = Clock()
    knowledge = Knowledge(None, clock=clock)
    assert knowledge.held() == Held()
    assert knowledge.learn(msgspec.to_builtins(HELD)) == HELD
    assert knowledge.held() == HELD
    clock.now += 60
    [mutation], [page] = knowledge.held().mutations, knowledge.held().pages
    assert (mutation.left_s, page.left_s, page.offences) == (40.0, 0.0, 2), "what is over still counts"


@pytest.mark.parametrize(
    "nonsense",
    [None, {"m": 1}, [[["m", "1"]]], [[], [["a/", "a/", "d", "hung", 1, 1, 1.0]]]],
)
def test_news_that_are_none_change_nothing(nonsense: object) -> None:
    knowledge = Knowledge(None)
    with capture_logs() as lines:
        assert knowledge.learn(nonsense) is None
    assert (knowledge.held(), [line["event"] for line in lines]) == (Held(), ["news_not_understood"])


@pytest.mark.parametrize("code", [-signal.SIGSEGV, -signal.SIGABRT, 3])
def test_a_crash_is_proof(words: LastWords, code: int) -> None:
    words.begin(UNDER_WAY)
    words.turn("two")
    knowledge = Knowledge(None, clock=Clock())
    assert lost(knowledge, words, code) == [("two", 5, Why.KILLED)]
    assert [one.mutation_id for one in knowledge.held().mutations] == ["two"]


def test_a_hang_is_proof_however_it_was_ended(words: LastWords) -> None:
    words.begin(UNDER_WAY)
    words.turn("one")
    for number in (signal.SIGKILL, signal.SIGTERM):
        assert lost(Knowledge(None), words, -number, hung=True) == [("one", 1, Why.HUNG)]


def test_a_kill_from_elsewhere_is_proof_the_second_time(words: LastWords) -> None:
    words.begin(UNDER_WAY)
    words.turn("one")
    clock = Clock()
    knowledge = Knowledge(None, clock=clock)
    assert lost(knowledge, words, -signal.SIGKILL) == []
    clock.now += AGAIN_S
    assert lost(knowledge, words, -signal.SIGKILL) == [], "too long ago"
    clock.now += AGAIN_S - 1
    assert lost(knowledge, words, -signal.SIGKILL) == [("one", 1, Why.KILLED)]


def test_of_those_that_a_kill_met_some_are_remembered(words: LastWords, monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many as there is room for, who is among them is still found; one more, and all of them are forgotten."""
    monkeypatch.setattr(module, "SUSPECTS_MAX", 2)
    clock = Clock()
    knowledge = Knowledge(None, clock=clock)

    def killed(name: str) -> list[tuple[str, int, Why]] | None:
        words.begin(msgspec.structs.replace(UNDER_WAY, mutations=((name, 1),)))
        words.turn(name)
        return lost(knowledge, words, -signal.SIGKILL)

    assert [killed(name) for name in "aab"] == [[], [("a", 1, Why.KILLED)], []]
    assert [killed(name) for name in "ac"] == [[("a", 1, Why.KILLED)], []]
    assert len(knowledge._suspects) == 1
    assert [killed(name) for name in "bc"] == [[], [("c", 1, Why.KILLED)]]


def test_what_all_edits_did_together_is_all_mutations_doing_and_a_parse_nobodys(words: LastWords) -> None:
    words.begin(UNDER_WAY)
    assert lost(Knowledge(None), words, -signal.SIGSEGV) == []
    words.turn("*")
    assert lost(Knowledge(None), words, -signal.SIGSEGV) == [("one", 1, Why.KILLED), ("two", 5, Why.KILLED)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_who_was_asked_to_stop_proves_nothing(words: LastWords, number: signal.Signals) -> None:
    words.begin(UNDER_WAY)
    assert lost(Knowledge(None), words, -number) is None


def test_who_had_nothing_under_way_proves_nothing(words: LastWords) -> None:
    assert lost(Knowledge(None), words, -signal.SIGSEGV, hung=True) is None


# ---- the folder


def kept(knowledge: Knowledge) -> None:
    assert knowledge.learn(msgspec.to_builtins(HELD)) == HELD
    knowledge.settle()


def test_a_disk_that_hangs_holds_nobody(tmp_path: Path) -> None:
    """A pipe that nobody writes to, in place of the file."""
    os.mkfifo(tmp_path / FILE)
    knowledge = Knowledge(tmp_path)
    with capture_logs() as lines:
        knowledge.read(within_s=0.05)
        assert (knowledge.held(), [line["event"] for line in lines]) == (Held(), ["quarantine_not_read"])
        os.close(os.open(tmp_path / FILE, os.O_WRONLY | os.O_NONBLOCK))  # so that the thread ends
        for thread in threading.enumerate():
            if thread.name == READER:
                thread.join(5)


def test_what_was_learned_outlives_everything_and_is_that_much_shorter(tmp_path: Path) -> None:
    folder, now = tmp_path / "kept", Clock()
    kept(Knowledge(folder, clock=Clock(), now=now))
    now.now += 30
    again = Knowledge(folder, clock=Clock(), now=now)
    again.read()
    [mutation], [page] = again.held().mutations, again.held().pages
    assert (mutation.left_s, mutation.offences, page.left_s, page.path) == (70.0, 3, 20.0, "a/")
    now.now += 3_670
    late = Knowledge(folder, clock=Clock(), now=now)
    late.read()
    [mutation], [page] = late.held().mutations, late.held().pages
    assert (mutation.left_s, mutation.over_s, mutation.offences) == (0.0, 3_600.0, 3), "and then it is on trial"
    assert (page.left_s, page.offences) == (0.0, 2)
    now.now -= 5_000
    back = Knowledge(folder, clock=Clock(), now=now)
    back.read()
    assert back.held().mutations[0].left_s == 100.0, "a clock that went back shortens nothing, and lengthens nothing"
    assert [file.name for file in folder.iterdir()] == [FILE]


def test_no_address_with_its_query_reaches_the_disk(tmp_path: Path, words: LastWords) -> None:
    words.begin(UNDER_WAY)
    knowledge = Knowledge(tmp_path)
    lost(knowledge, words, -signal.SIGSEGV)
    knowledge.settle()
    assert b"?q" not in (tmp_path / FILE).read_bytes()


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"noise",
        msgspec.msgpack.encode([0.0, [[["m", 2, "slow", 3, 1e9]], []]]),
        msgspec.msgpack.encode([0.0, [[["m", 2, "other", 3, 1.0]], []]]),
        b"\x92" * 5_000,
        b"\x93\xca\x00\x00\x00\x00\x92\x90\x90" + b"\x91" * 5_000,
        msgspec.msgpack.encode([0.0, [[["m", 2, "slow", 3, 1.0]], []], bytes(FILE_BYTES_MAX)]),
    ],
    ids=["empty", "noise", "for_ever", "unknown", "deep", "deep_behind", "large"],
)
def test_a_file_that_can_not_be_used_is_said_and_left(tmp_path: Path, written: bytes) -> None:
    (tmp_path / FILE).write_bytes(written)
    knowledge = Knowledge(tmp_path)
    with capture_logs() as lines:
        knowledge.read()
    assert (knowledge.held(), [line["event"] for line in lines]) == (Held(), ["quarantine_not_read"])


def test_what_is_no_file_is_said_and_left(tmp_path: Path) -> None:
    (tmp_path / FILE / "full").mkdir(parents=True)
    knowledge = Knowledge(tmp_path)
    with capture_logs() as lines:
        knowledge.read()
        kept(knowledge)
    assert [line["event"] for line in lines] == ["quarantine_not_read", "quarantine_not_written"]
    assert list(tmp_path.iterdir()) == [tmp_path / FILE], "no draft stays behind"


def test_without_a_folder_or_a_file_nothing_is_read(tmp_path: Path) -> None:
    with capture_logs() as lines:
        for folder in (None, tmp_path, tmp_path / "none"):
            Knowledge(folder).read()
    assert lines == []


def test_a_folder_that_can_not_be_written_is_said_once_and_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    knowledge = Knowledge(tmp_path / "file")
    with capture_logs() as lines:
        for _ in range(3):
            kept(knowledge)
    assert [line["event"] for line in lines] == ["quarantine_not_written"]


def test_where_it_can_be_written_again_the_next_trouble_is_said_again(tmp_path: Path) -> None:
    place = tmp_path / "kept"
    knowledge = Knowledge(place)
    with capture_logs() as lines:
        for _ in range(2):
            place.write_bytes(b"")
            kept(knowledge)
            place.unlink()
            kept(knowledge)
            (place / FILE).unlink()
            place.rmdir()
    assert [line["event"] for line in lines] == ["quarantine_not_written"] * 2


async def test_what_is_learned_while_the_disk_takes_its_time_is_written_after_it(tmp_path: Path) -> None:
    """A pipe in place of the draft, which nobody reads at first."""
    draft = tmp_path / f".{FILE}.{os.getpid()}"
    os.mkfifo(draft)
    knowledge = Knowledge(tmp_path)
    threads = threading.active_count()
    for number in range(5):
        knowledge.learn([[[f"m{number}", 1, "slow", 1, 100.0]], []])
        if number == 0:
            await until(lambda: knowledge._due is None)
    assert threading.active_count() == threads + 1, "one writer: an older state never comes after a newer one"
    reading = os.open(draft, os.O_RDONLY | os.O_NONBLOCK)
    knowledge.settle()
    os.close(reading)
    again = Knowledge(tmp_path)
    again.read()
    assert len(again.held().mutations) == 5


def test_all_that_can_be_held_has_room_in_the_file(tmp_path: Path) -> None:
    knowledge = Knowledge(tmp_path)
    mutations = (
        HeldMutation("m" * 190 + str(number), 10**9, Why.REFUSED, 10**6, 86_400.0) for number in range(MUTATIONS_MAX)
    )
    pages = (
        msgspec.structs.replace(named(f"{'a' * 300}{number}", "d" * 24, Why.KILLED, 10**9), left_s=86_400.0)
        for number in range(PAGES_MAX)
    )
    knowledge.learn(msgspec.to_builtins(Held(tuple(mutations), tuple(pages))))
    knowledge.settle()
    assert (tmp_path / FILE).stat().st_size < FILE_BYTES_MAX
    again = Knowledge(tmp_path)
    again.read()
    assert (len(again.held().mutations), len(again.held().pages)) == (MUTATIONS_MAX, PAGES_MAX)
