"""DATABASE_URL leads somewhere else after a restart: to nothing, to last month, to next year, to somebody else's data.

Counterpart: `play` judges. Never: a database that is not ours and is written to.
"""

import pytest

from tests.end_to_end.chaos.conftest import Begin

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]


def test_empty(begin: Begin) -> None:
    play = begin("DATABASE_URL leads to an empty database")
    stage = play.stage
    with play.going_on() as client:
        stage.sql("CREATE DATABASE other", database="postgres")
        stage.restart_plane(client, DATABASE_URL=stage.url_of("other"))
        play.accepted_again()
        play.taken_back()
        play.sees("database_restored")
        play.ask_doctor()
