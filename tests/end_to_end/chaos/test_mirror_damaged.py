"""The mirror's file is damaged: before a start, while the service runs, in an outage; and mirror and database both gone.

Counterpart: `play` judges. Never: more damage than the row says.
"""

import os
from pathlib import Path

import pytest

from control_plane.store.mirror.keeping import FILE_NAME
from tests.end_to_end.chaos.conftest import Begin
from tests.end_to_end.chaos.stage import DATABASE

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

PAGE_BYTES = 4096
ANY = 1_000_000
"""Reads that may fail where both the database and the mirror are gone."""


def test_before_a_start(begin: Begin) -> None:
    play = begin("the mirror's file damaged before a start")
    stage = play.stage
    with play.going_on() as client:
        with client.nobody_there():
            stage.plane.stop()
            damage(stage.data / FILE_NAME)
            stage.start_plane()
        play.accepted_again()
        play.taken_back()
        play.sees("mirror_damaged")
        play.ask_doctor()


def test_while_it_is_in_use(begin: Begin) -> None:
    """What was damaged shows when it is read: at the latest in the outage that follows, when there is nothing else to read."""
    play = begin("the mirror's file damaged while in use, then PostgreSQL killed -9")
    stage = play.stage
    play.unread_max = ANY
    with play.going_on():
        damage(stage.data / FILE_NAME)
        play.accepted_again()
        play.writes(30)
        stage.kill_postgres()
        play.passes(5)
        stage.restart_postgres()
        play.accepted_again()
        play.taken_back()
        play.sees("mirror_damaged")
        play.ask_doctor()


def test_in_an_outage(begin: Begin) -> None:
    play = begin("the mirror's file damaged in an outage, with changes in its outbox")
    stage = play.stage
    play.unread_max = ANY
    with play.going_on():
        stage.kill_postgres()
        stage.answers("mirror", within_s=30)
        play.writes(20)
        damage(stage.data / FILE_NAME)
        play.passes(5)
        stage.restart_postgres()
        play.accepted_again()
        play.taken_back()
        play.sees("mirror_damaged")
        play.ask_doctor()


def test_in_an_outage_and_killed(begin: Begin) -> None:
    play = begin("the mirror's file damaged in an outage, and the control plane killed -9")
    stage = play.stage
    with play.going_on() as client:
        stage.kill_postgres()
        stage.answers("mirror", within_s=30)
        play.writes(20)
        with client.nobody_there():
            stage.plane.kill()
            damage(stage.data / FILE_NAME)
            stage.restart_postgres()
            stage.start_plane()
        play.accepted_again()
        play.taken_back()
        play.sees("mirror_lost_changes")
        play.ask_doctor()


def test_both_gone_but_for_a_backup(begin: Begin) -> None:
    play = begin("mirror and database both gone, but for a backup")
    stage = play.stage
    play.unread_max = ANY  # of what came after the backup
    with play.going_on() as client:
        kept = client.count()
        stage.ask("backups", method="POST")
        play.writes(15)
        with client.nobody_there():
            stage.plane.stop()
            after = client.count() - kept
            for file in stage.data.glob(f"{FILE_NAME}*"):
                file.unlink()
            stage.sql(f"DROP DATABASE {DATABASE} WITH (FORCE)", database="postgres")
            play.lost_max = after + 1
            play.alone = False
            stage.start_plane()
        play.accepted_again()
        play.taken_back()
        play.sees("restored_from_backup")
        play.ask_doctor()
        play.remark(f"{after} writes were acknowledged after the backup had begun")


def damage(file: Path) -> None:
    """Write nonsense over every other page of the file and its log, in place, but for the first: as a disk that loses blocks."""
    for one in (file, file.with_name(f"{file.name}-wal")):
        if not one.exists():
            continue
        with one.open("r+b", buffering=0) as found:
            for at in range(PAGE_BYTES, os.fstat(found.fileno()).st_size, 2 * PAGE_BYTES):
                found.seek(at)
                found.write(os.urandom(PAGE_BYTES))
