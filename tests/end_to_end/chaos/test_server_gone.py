"""PostgreSQL goes, and comes back: killed, standing still, without room on its disk; the mirror answers meanwhile.

Counterpart: `play` judges. The first one runs in every suite; the others are for `make chaos`.
"""

import time

import pytest

from tests.end_to_end.chaos.conftest import Begin

pytestmark = pytest.mark.timeout(400)


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
