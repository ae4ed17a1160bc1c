"""PostgreSQL goes, and comes back: killed, standing still, without room on its disk; the mirror answers meanwhile.

Counterparts: `play` judges, `surroundings` has the disk. The first one runs in every suite; the others are for `make chaos`.
"""

import secrets
import time
from pathlib import Path

import pytest

from layout_mutation.embedded.ports import free_port
from layout_mutation.embedded.postgres import EmbeddedPostgres
from tests.end_to_end.chaos.conftest import Begin
from tests.end_to_end.chaos.surroundings import frozen, small_disk

pytestmark = pytest.mark.timeout(400)

FROZEN_S = 10.0


def test_killed_and_back_at_once(begin: Begin) -> None:
    play = begin("PostgreSQL killed -9, back at once")
    with play.going_on():
        play.stage.kill_postgres()
        play.stage.answers("mirror", within_s=30)
        play.writes(10)
        play.stage.restart_postgres()
        play.accepted_again()
        play.taken_back()


@pytest.mark.soak
def test_killed_and_back_after_a_while(begin: Begin) -> None:
    play = begin("PostgreSQL killed -9, back after a while")
    with play.going_on():
        play.stage.kill_postgres()
        gone = time.monotonic()
        play.sees("database_away")
        play.ask_doctor()
        play.passes(play.seconds - (time.monotonic() - gone))
        play.stage.restart_postgres()
        play.accepted_again()
        play.taken_back()
        play.remark(f"away for {play.seconds:.0f} s")


@pytest.mark.soak
def test_standing_still(begin: Begin) -> None:
    play = begin(f"PostgreSQL answers nothing for {FROZEN_S:.0f} s (SIGSTOP)")
    with play.going_on():
        with frozen(play.stage.postgres):
            play.passes(FROZEN_S)
        play.accepted_again()
        play.taken_back()


@pytest.mark.soak
def test_disk_full(begin: Begin, server_folder: Path) -> None:
    with small_disk(server_folder / "disk") as disk:
        if disk is None:
            pytest.skip("nothing may be mounted here: this needs root")
        server = EmbeddedPostgres(disk.folder / "postgres", free_port(), password=secrets.token_hex(16), durable=False)
        play = begin("the disk under PostgreSQL is full", postgres=server)
        try:
            with play.going_on():
                disk.fill()
                play.sees("database_away")
                play.writes(50)
                play.ask_doctor()
                disk.make_room()
                if server.child.exit_code() is not None:
                    play.remark("PostgreSQL ended by itself, and was started again")
                    play.stage.restart_postgres()
                play.accepted_again()
                play.taken_back()
        finally:
            play.stage.stop()
