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


def as_on_a_fresh_schema(play: Play) -> None:
    """Compare the schema with that of a database that was only just made."""
    stage = play.stage
    stage.sql("CREATE DATABASE fresh", database="postgres")
    run(migrate(stage.url_of("fresh")))
    assert run(described(stage.url_of(DATABASE))) == run(described(stage.url_of("fresh")))
