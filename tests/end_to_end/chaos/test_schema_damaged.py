"""Somebody lays hands on the schema while the service runs: what is missing comes back with its rows, what was added is told.

That all is as on a fresh schema afterwards is said by `tests.control_plane.schema.comparer`, which knows nothing of the healer.
Counterpart: `play` judges. Never: a wait for the service's own look of each minute; the operator asks for one.
"""

import time

import pytest

from control_plane.schema.runner import migrate
from tests.control_plane.schema.comparer import described
from tests.end_to_end.chaos.conftest import Begin
from tests.end_to_end.chaos.play import Play
from tests.end_to_end.chaos.stage import DATABASE, run

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

TABLE = "layout_mutation.mutations"
REPAIRED = {
    "DROP SCHEMA layout_mutation CASCADE": "DROP SCHEMA layout_mutation CASCADE",
    "a column dropped": f"ALTER TABLE {TABLE} DROP COLUMN deleted CASCADE",
    "an index made invalid": "UPDATE pg_index SET indisvalid = false "
    "WHERE indexrelid = 'layout_mutation.audit_entries_by_subject'::regclass",
    "a constraint removed": "ALTER TABLE layout_mutation.mutation_versions DROP CONSTRAINT mutation_versions_pk",
}
"""What is put right by the service itself."""
VERSIONS = "layout_mutation.mutation_versions"
BY_HAND = (
    "CREATE FUNCTION public.by_hand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$",
    f"CREATE TRIGGER by_hand {{when}} INSERT ON {VERSIONS} FOR EACH ROW EXECUTE FUNCTION public.by_hand()",
)
ADDED = {
    "a trigger added by hand that does no harm": ("AFTER", "PERFORM pg_notify('by_hand', NEW.id); RETURN NEW;"),
    "a trigger added by hand that raises": ("BEFORE", "RAISE EXCEPTION 'not today';"),
    "a trigger added by hand that swallows rows": ("BEFORE", "RETURN NULL;"),
    "a trigger added by hand that rewrites rows": ("BEFORE", "NEW.actor := 'somebody else'; RETURN NEW;"),
}
"""What is left to a person, with the statement that takes it away."""


@pytest.mark.parametrize("damage", REPAIRED)
def test_what_is_gone_comes_back(begin: Begin, damage: str) -> None:
    play = begin(damage)
    with play.going_on():
        began = time.monotonic()
        play.stage.sql(REPAIRED[damage])
        play.accepted_again(began)
        play.ask_doctor()
        play.stage.ask("health/heal", method="POST")
        play.taken_back()
        play.sees("database_restored" if "SCHEMA" in damage else "schema_repaired")
        as_on_a_fresh_schema(play)


@pytest.mark.parametrize("damage", ADDED)
def test_what_was_added_is_told(begin: Begin, damage: str) -> None:
    play = begin(damage)
    stage, (when, body) = play.stage, ADDED[damage]
    with play.going_on():
        stage.sql(*(statement.format(when=when, body=body) for statement in BY_HAND))
        play.passes(5)
        stage.ask("health/heal", method="POST")
        play.ask_doctor()
        play.sees("schema_drift")
        [statement] = [
            one["statement"] for one in stage.health()["databaseSchema"]["items"] if one["kind"] == "trigger_extra"
        ]
        stage.sql(statement)
        play.accepted_again()
        play.taken_back()


def as_on_a_fresh_schema(play: Play) -> None:
    """Compare the schema with that of a database that was only just made."""
    stage = play.stage
    stage.sql("CREATE DATABASE fresh", database="postgres")
    run(migrate(stage.url_of("fresh")))
    assert run(described(stage.url_of(DATABASE))) == run(described(stage.url_of("fresh")))
