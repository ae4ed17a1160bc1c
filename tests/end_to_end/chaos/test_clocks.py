"""A clock goes back by an hour while everybody works: the control plane's, or PostgreSQL's.

Counterparts: `play` judges, `tests.end_to_end.faults.surroundings` moves clocks. Never: the machine's own clock.
"""

import secrets
from pathlib import Path

import pytest

from layout_mutation.embedded.ports import free_port
from tests.end_to_end.chaos.conftest import Begin
from tests.end_to_end.chaos.surroundings import ClockedPostgres
from tests.end_to_end.faults.surroundings import Clock

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
BACK = "-3600"
AFTER_S = 10.0


@pytest.fixture
def clock(server_folder: Path) -> Clock:
    """A clock that the servers' user can read."""
    if not FAKETIME.exists():
        pytest.skip("libfaketime is not installed (Debian package: faketime)")
    moved = Clock(str(FAKETIME), server_folder / "clock")
    # The library makes a program several times slower than the clock ever could: it is told to do no more than it must.
    del moved.settings["FAKETIME_NO_CACHE"]
    moved.settings |= {"FAKETIME_CACHE_DURATION": "1", "NO_FAKE_STAT": "1", "FAKETIME_DISABLE_SHM": "1"}
    return moved


def test_of_the_control_plane(begin: Begin, clock: Clock) -> None:
    play = begin("the control plane's clock goes back by an hour", **clock.settings)
    with play.going_on() as client:
        clock.jump(BACK)
        play.accepted_again()
        play.passes(AFTER_S)
        play.stage.kill_postgres()
        play.writes(15)
        play.stage.restart_postgres()
        play.accepted_again()
        play.taken_back()
        clock.jump("+0")
        play.accepted_again()
        play.writes(15)
        play.stage.restart_plane(client)
        play.accepted_again()
        play.ask_doctor()
        play.remark("PostgreSQL was killed meanwhile; libfaketime makes the program slow")


def test_of_postgresql(begin: Begin, clock: Clock, server_folder: Path) -> None:
    server = ClockedPostgres(
        server_folder / "postgres", free_port(), password=secrets.token_hex(16), durable=False, variables=clock.settings
    )
    play = begin("PostgreSQL's clock goes back by an hour", postgres=server)
    try:
        with play.going_on():
            clock.jump(BACK)
            play.accepted_again()
            play.passes(AFTER_S)
            play.stage.kill_postgres()
            play.writes(15)
            play.stage.restart_postgres()
            play.accepted_again()
            play.taken_back()
            clock.jump("+0")
            play.accepted_again()
            play.ask_doctor()
            play.remark("PostgreSQL was killed meanwhile")
    finally:
        play.stage.stop()
