"""Two control planes of one installation, with a lease in Valkey, and no database: one writes, the other one reads.

The client goes to the other instance where one refuses or is gone, and learns anew what there is where its version is refused.
Counterpart: `play` judges. Never: a change that both sides acknowledged and one of them forgets.
"""

import pytest

from tests.end_to_end.chaos.conftest import Begin
from tests.end_to_end.chaos.play import DEADLINE_S, Play
from tests.end_to_end.stack import ControlPlane, until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]


def two(play: Play) -> ControlPlane:
    """Start the second instance."""
    stage = play.stage
    second = stage.another("second")
    stage.start_plane(second)
    stage.planes.append(second)
    play.alone = False
    return second


def test_one_writes_while_the_database_is_away(begin: Begin) -> None:
    play = begin("two instances, PostgreSQL killed -9: the lease decides who writes")
    stage = play.stage
    second = two(play)
    with play.going_on() as client:
        stage.kill_postgres()
        play.writes(30)
        holders = {plane.port: stage.health(plane)["mirror"]["outbox"] for plane in stage.planes}
        assert sorted(map(bool, holders.values())) == [False, True], holders
        stage.restart_postgres()
        play.accepted_again()
        for plane in (stage.plane, second):
            stage.answers("primary", within_s=DEADLINE_S, plane=plane)
        play.ask_doctor()
        assert client.refused == []
        same_everywhere(play)


def test_the_holder_is_killed(begin: Begin) -> None:
    play = begin("two instances, PostgreSQL killed -9, then the holder of the lease")
    stage = play.stage
    play.unread_max = 1_000_000  # what only the holder has can't be read until it is there again
    second = two(play)
    with play.going_on():
        stage.kill_postgres()
        play.writes(30)
        [holder] = [plane for plane in stage.planes if stage.health(plane)["mirror"]["outbox"]]
        [other] = [plane for plane in stage.planes if plane is not holder]
        holder.kill()
        stage.planes.remove(holder)
        play.writes(20)
        play.remark("what only the holder had was not found until it was there again (reads failed)")
        play.remark(f"the other one took changes {play.gap_so_far():.0f} s after the last one of the holder")
        stage.restart_postgres()
        play.accepted_again()
        stage.answers("primary", within_s=DEADLINE_S, plane=other)
        play.writes(10)
        stage.start_plane(holder)
        stage.planes.append(holder)
        for plane in (stage.plane, second):
            stage.answers("primary", within_s=DEADLINE_S, plane=plane)
        play.ask_doctor()
        same_everywhere(play)


def same_everywhere(play: Play) -> None:
    """Wait until both instances have the same mutations in the same versions."""

    def seen(plane: ControlPlane) -> dict[str, int]:
        found: dict[str, int] = {}
        cursor = ""
        while True:
            page = play.stage.ask(f"mutations?limit=200{cursor}", plane=plane)
            found |= {one["id"]: one["version"] for one in page["items"]}
            if not page.get("nextCursor"):
                return found
            cursor = f"&cursor={page['nextCursor']}"

    first, second = play.stage.planes
    until(lambda: seen(first) == seen(second), DEADLINE_S, what="the same in both instances")
