"""Starts that go wrong: twenty instances at once on an empty database, and kill -9 in the middle of each migration.

A migration is stopped in its middle by an event trigger of the database, which sleeps after its second statement; the program
that is killed is the control plane as it runs. Counterparts: `play` judges, `older` makes databases of earlier schemas.
Never: a change of the migrations for the sake of the test.
"""

import time
from functools import partial

import pytest

from control_plane.schema import files
from control_plane.schema.runner import migrate
from tests.control_plane.plane import headline
from tests.control_plane.schema.comparer import described
from tests.end_to_end.chaos.conftest import Begin
from tests.end_to_end.chaos.older import CHAINED_SINCE, earlier_copy
from tests.end_to_end.chaos.play import Play
from tests.end_to_end.chaos.stage import DATABASE, Stage, run
from tests.end_to_end.stack import ControlPlane, until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]

INSTANCES = 20
BOOT_S_MAX = 300.0
"""Twenty programs at once, on few processors."""
MIDDLE_S_MAX = 60.0
HOLD = """
CREATE FUNCTION public.hold() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    done integer;
    seen integer;
BEGIN
    IF to_regclass('layout_mutation.schema_migrations') IS NULL OR to_regclass('layout_mutation.{there}') IS NULL THEN
        RETURN;
    END IF;
    SELECT coalesce(max(number), 0) INTO done FROM layout_mutation.schema_migrations;
    IF done = {before} THEN
        seen := coalesce(nullif(current_setting('chaos.seen', true), ''), '0')::integer + 1;
        PERFORM set_config('chaos.seen', seen::text, true);
        IF seen = 2 THEN
            PERFORM pg_sleep(600);
        END IF;
    END IF;
END
$$
"""
IN_THE_MIDDLE = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep' "
    "AND pid <> pg_backend_pid()"
)


def test_killed_in_the_middle_of_each_migration(begin: Begin) -> None:
    """Each time the database is an earlier one: empty up to the migration that began the chain, with rows since then."""
    migrations = files.read()
    play = begin(f"control plane killed -9 in the middle of each of {len(migrations)} migrations")
    stage, source = play.stage, DATABASE
    with play.going_on():
        for migration in migrations:
            name = f"at_{migration.number:04}"
            earlier_copy(stage, name, migration.number - 1, source)
            killed_in_the_middle(play, name, migration.number)
            play.accepted_again()
            play.taken_back()
            source = name
        play.sees("database_set_back")
        play.ask_doctor()
        as_new(stage, source)
        play.remark(f"empty databases up to {CHAINED_SINCE:04}, then with rows")


def killed_in_the_middle(play: Play, database: str, number: int) -> None:
    """Start the control plane on the database, kill it when it is in that migration, and start it again."""
    stage = play.stage
    there = "ledger" if number == 1 else "schema_migrations"
    stage.sql(
        HOLD.format(before=number - 1, there=there),
        "CREATE EVENT TRIGGER hold ON ddl_command_end EXECUTE FUNCTION public.hold()",
        database=database,
    )
    stage.restart_plane(play.client, DATABASE_URL=stage.url_of(database))
    until(lambda: bool(stage.rows(IN_THE_MIDDLE, database=database)), MIDDLE_S_MAX, what=f"migration {number}")
    with play.client.nobody_there():
        stage.plane.kill()
        # The server notices a client that is gone when it next writes; nobody waits ten minutes for that here.
        stage.rows(IN_THE_MIDDLE.replace("pid FROM", "pg_terminate_backend(pid) FROM", 1), database=database)
        stage.sql("DROP EVENT TRIGGER hold", "DROP FUNCTION public.hold()", database=database)
        assert applied(stage, database) == number - 1
        stage.start_plane()


def applied(stage: Stage, database: str) -> int:
    """Number of the newest migration of a database."""
    there = "SELECT to_regclass('layout_mutation.schema_migrations') IS NOT NULL AS there"
    if not stage.rows(there, database=database)[0]["there"]:
        return 0
    return int(stage.rows("SELECT max(number) AS n FROM layout_mutation.schema_migrations", database=database)[0]["n"])


def as_new(stage: Stage, database: str) -> None:
    """Compare the schema with that of a database that was only just made."""
    stage.sql("CREATE DATABASE fresh", database="postgres")
    run(migrate(stage.url_of("fresh")))
    assert run(described(stage.url_of(database))) == run(described(stage.url_of("fresh")))


def test_twenty_instances_at_once_on_an_empty_database(begin: Begin) -> None:
    """Of another installation on the same servers; the client of the first one goes on meanwhile."""
    play = begin(f"{INSTANCES} instances start at once on an empty database")
    stage = play.stage
    with play.going_on():
        stage.sql("CREATE DATABASE crowded", database="postgres")
        planes = [
            stage.another(
                f"instance-{number:02}",
                DATABASE_URL=stage.url_of("crowded"),
                LAYOUT_MUTATION_ENVIRONMENT="crowded",
                CONTROL_PLANE_DATABASE_CONNECTIONS="2",
            )
            for number in range(INSTANCES)
        ]
        began = time.monotonic()
        for plane in planes:
            plane.spawn()
        until(lambda: all(plane.events("ready") for plane in planes), BOOT_S_MAX, what="all of them")
        took = time.monotonic() - began
        for number, plane in enumerate(planes):
            plane.wait_until_ready()
            made = stage.ask("mutations", method="POST", document=headline(id=f"m{number}"), plane=plane)
            assert made["version"] == 1
        everyone = {f"m{number}" for number in range(INSTANCES)}
        for plane in planes:
            until(partial(knows, stage, plane, everyone), what="the same in all of them")
        assert len(stage.rows("SELECT FROM layout_mutation.installation", database="crowded")) == 1
        applied_once = stage.rows("SELECT number FROM layout_mutation.schema_migrations", database="crowded")
        assert len(applied_once) == len(files.read())
        assert stage.ask("audit/verify", plane=planes[0])["sound"]
        for plane in planes:
            plane.stop()
        play.remark(
            f"all {INSTANCES} up after {took:.0f} s, one installation, each migration once, {INSTANCES} of {INSTANCES} writes everywhere"
        )


def knows(stage: Stage, plane: ControlPlane, mutations: set[str]) -> bool:
    """Whether an instance has these mutations and no others."""
    return {one["id"] for one in stage.ask("mutations?limit=100", plane=plane)["items"]} == mutations
