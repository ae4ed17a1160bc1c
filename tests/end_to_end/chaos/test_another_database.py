"""DATABASE_URL leads somewhere else after a restart: to nothing, to last month, to next year, to somebody else's data.

Counterparts: `play` judges, `older` makes last month's database. Never: a database that is not ours and is written to.
"""

from typing import Any

import pytest

from control_plane.schema import files
from control_plane.schema.runner import migrate
from tests.control_plane.schema.comparer import described
from tests.control_plane.schema.conftest import fill
from tests.end_to_end.chaos.conftest import Begin
from tests.end_to_end.chaos.older import earlier_copy
from tests.end_to_end.chaos.play import Play
from tests.end_to_end.chaos.stage import DATABASE, Stage, run

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

LAST_MONTH = len(files.read()) - 3
NEXT_YEAR = (
    "INSERT INTO layout_mutation.schema_migrations (number, name, checksum, duration_ms) VALUES (999, 'later', 'x', 0)",
    "ALTER TABLE layout_mutation.mutations ADD COLUMN later text",
)


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


def test_last_months_schema_with_its_data(begin: Begin) -> None:
    play = begin(f"DATABASE_URL leads to last month's database, schema {LAST_MONTH:04}")
    stage = play.stage
    with play.going_on() as client:
        earlier_copy(stage, "other", LAST_MONTH)
        play.writes(15)
        stage.restart_plane(client, DATABASE_URL=stage.url_of("other"))
        play.accepted_again()
        play.taken_back()
        play.sees("database_set_back")
        play.ask_doctor()


def test_a_newer_schema_is_left_untouched(begin: Begin) -> None:
    play = begin("DATABASE_URL leads to a newer schema")
    stage = play.stage
    with play.going_on() as client:
        earlier_copy(stage, "other", len(files.read()))
        stage.sql(*NEXT_YEAR, database="other")
        untouched = contents(stage, "other")
        stage.restart_plane(client, DATABASE_URL=stage.url_of("other"))
        play.sees("schema_needs_a_person")
        play.writes(15)
        play.ask_doctor()
        assert contents(stage, "other") == untouched
        back_where_it_was(play)


def test_another_installations_data_is_left_untouched(begin: Begin) -> None:
    play = begin("DATABASE_URL leads to another installation's database")
    stage = play.stage
    with play.going_on() as client:
        stage.sql("CREATE DATABASE other", database="postgres")
        run(migrate(stage.url_of("other")))
        run(fill(stage.url_of("other")))
        untouched = contents(stage, "other")
        stage.restart_plane(client, DATABASE_URL=stage.url_of("other"))
        play.sees("foreign_database")
        play.writes(15)
        play.ask_doctor()
        assert contents(stage, "other") == untouched
        back_where_it_was(play)


def back_where_it_was(play: Play) -> None:
    """The operator does what the alert says: the right database, and a restart."""
    play.stage.restart_plane(play.client, DATABASE_URL=play.stage.url_of(DATABASE))
    play.accepted_again()
    play.taken_back()


def contents(stage: Stage, database: str) -> tuple[list[str], list[Any]]:
    """Its schema, and all rows of all tables, as text."""
    tables = stage.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'layout_mutation'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1",
        database=database,
    )
    rows = [
        stage.rows(f"SELECT t::text FROM layout_mutation.{one['relname']} t ORDER BY 1", database=database)
        for one in tables
    ]
    return run(described(stage.url_of(database))), rows
