"""A service that starts on another store than the one it ran on, on real databases."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from control_plane.alerts import Alerts
from control_plane.moving.census import census_of
from control_plane.moving.moves import NO_HOOKS, Hooks, MoveError
from control_plane.moving.places import Place, StoreKind, place_of
from control_plane.moving.settling import Settling, Source
from control_plane.moving.standing import is_empty
from control_plane.moving.whereabouts import Known, Whereabouts
from control_plane.settings import ControlPlaneSettings, StoreName
from control_plane.store import Kind, Store, StoreError
from control_plane.store.chroma import ChromaStore
from control_plane.store.postgres import PostgresStore
from tests.control_plane.moving.stores import SOMEBODY, fill, note, postgres
from tests.control_plane.plane import CHAIN, Plane, headline, running, until

HERE, THERE = Place(StoreKind.POSTGRES, "old:5432/shop"), Place(StoreKind.POSTGRES, "new:5432/shop")


def source_of(store: Store, place: Place = HERE) -> Source:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Store]:
        yield store

    return Source(place, opened)


def away() -> AbstractAsyncContextManager[Store]:
    raise StoreError("the server is gone")


def settling(folder: Path, target: Store, *sources: Source, hooks: Hooks = NO_HOOKS) -> Settling:
    return Settling(Whereabouts(folder), source_of(target, THERE), sources, hooks, Alerts(), CHAIN)


def told(start: Settling) -> list[str]:
    """The alerts that are open."""
    return [alert.id for alert in start._alerts.open()]


async def test_data_comes_along_once(source: PostgresStore, target: PostgresStore, tmp_path: Path) -> None:
    start = settling(tmp_path, target, source_of(source))
    assert await start.settle() is not None
    assert told(start) == ["data_moved"]
    await start.remember(target)
    await note(source)
    again = settling(tmp_path, target, source_of(source))
    assert await again.settle() is None
    assert told(again) == []


async def test_a_second_instance_finds_it_there(source: PostgresStore, target: PostgresStore, tmp_path: Path) -> None:
    await settling(tmp_path / "one", target, source_of(source)).settle()
    await note(target)
    assert await settling(tmp_path / "two", target, source_of(source)).settle() is None


async def test_twenty_instances_at_once_move_it_once(
    source: PostgresStore, target: PostgresStore, tmp_path: Path
) -> None:
    starts = [settling(tmp_path / str(number), target, source_of(source)) for number in range(20)]
    await asyncio.gather(*(start.settle() for start in starts))
    assert await census_of(source.records()) == await census_of(target.records())
    installation = (await target.position()).installation
    assert installation is not None
    assert installation.epoch == 2


async def test_a_source_that_is_away_holds_up_only_who_has_nothing(
    source: PostgresStore, target: PostgresStore, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="gone"):
        await settling(tmp_path, target, Source(HERE, away)).settle()
    assert await settling(tmp_path, source, Source(HERE, away)).settle() is None


async def test_what_was_written_to_the_old_store_afterwards_stops_only_who_wrote_it(
    source: PostgresStore, target: PostgresStore, tmp_path: Path
) -> None:
    await settling(tmp_path / "first", target, source_of(source)).settle()
    await note(source)
    await note(target)
    new = settling(tmp_path / "new", target, source_of(source))
    assert await new.settle() is None
    assert told(new) == ["old_store_written"]
    wrote = Whereabouts(tmp_path / "wrote")
    wrote.write(Known(HERE, await source.position()))
    with pytest.raises(MoveError, match="changed apart since"):
        await settling(tmp_path / "wrote", target, source_of(source)).settle()


async def test_a_command_that_fails_afterwards_is_an_alert(
    source: PostgresStore, target: PostgresStore, tmp_path: Path
) -> None:
    start = settling(tmp_path, target, source_of(source), hooks=Hooks(after="false"))
    assert await start.settle() is not None
    assert told(start) == ["move_hook_failed", "data_moved"]


async def test_somebody_elses_data_needs_a_person(source: PostgresStore, target: PostgresStore, tmp_path: Path) -> None:
    await fill(target, SOMEBODY)
    with pytest.raises(MoveError, match="another installation"):
        await settling(tmp_path, target, source_of(source)).settle()


# -- the whole service


async def names(plane: Plane) -> list[str]:
    return [one["name"] for one in (await plane.ask("GET", "mutations")).json()["items"]]


async def test_a_start_with_another_address_serves_what_there_was(
    settings: ControlPlaneSettings, other_url: str, tmp_path: Path
) -> None:
    async with running(settings) as plane:
        made = await plane.create(headline("One", name="One"))
        await plane.ask("PUT", f"mutations/{made['id']}", headline("Two", name="Two", isActive=True))
        exported = (await plane.ask("GET", "export")).body
        audit = (await plane.ask("GET", "audit")).json()["items"]
    there = msgspec.structs.replace(
        settings, database_url=other_url, move_from=settings.database_url, move_after=f"cp /dev/stdin {tmp_path}/after"
    )
    async with running(there) as plane:
        assert (await plane.ask("GET", "export")).body == exported
        assert (await plane.ask("GET", "audit")).json()["items"][-len(audit) :] == audit
        assert len((await plane.ask("GET", f"mutations/{made['id']}/versions")).json()["items"]) == 2
        await plane.create(headline("Three", name="Three"))
    async with running(there) as plane:
        assert await names(plane) == ["Three", "Two"]
    known = Whereabouts(Path(settings.data_dir)).read()
    assert known is not None
    assert known.place == place_of(other_url)
    assert json.loads((tmp_path / "after").read_bytes())["event"] == "after"


KINDS_IN_TURN = [
    (StoreName.CHROMA, StoreName.LOCAL, StoreName.POSTGRES),
    pytest.param((StoreName.LOCAL, StoreName.CHROMA, StoreName.POSTGRES), marks=pytest.mark.soak),
]
"""From PostgreSQL on; both together have each change from one of three to another."""


@pytest.mark.parametrize("in_turn", KINDS_IN_TURN)
async def test_changing_the_kind_of_store_and_back_moves_everything(
    settings: ControlPlaneSettings, in_turn: tuple[StoreName, ...]
) -> None:
    """Nothing names the old store: it is the one that the service ran on."""
    made = ["postgres"]
    async with running(settings) as plane:
        await plane.create(headline("postgres", name="postgres"))
        exported = (await plane.ask("GET", "export")).body
    for before, kind in zip((StoreName.POSTGRES, *in_turn), in_turn, strict=False):
        async with running(msgspec.structs.replace(settings, store=kind)) as plane:
            assert await names(plane) == made
            assert (await plane.ask("GET", "export")).body == exported
            moved = "data_moved" in {alert.id for alert in plane.services.alerts.open()}
            assert moved is (StoreName.POSTGRES in (before, kind)), kind  # the other two share a file
            made = [f"{kind} after {before}", *made]
            await plane.create(headline(made[0], name=made[0]))
            exported = (await plane.ask("GET", "export")).body
            store = plane.services.store
            if isinstance(store, ChromaStore):
                assert {near.id for near in await store.index.near(Kind.MUTATION, "postgres", 9)} == set(
                    await store.ids(Kind.MUTATION)
                )
            if kind is StoreName.POSTGRES:
                report = (await plane.ask("GET", "health/migration")).json()
                assert (report["fine"], report["source"]["place"]) == (True, f"local {settings.local_file}")


async def test_a_small_installation_needs_no_database(settings: ControlPlaneSettings) -> None:
    small = msgspec.structs.replace(settings, store=StoreName.LOCAL, database_url="")
    for name in ("One", "Two"):
        async with running(small) as plane:
            await plane.create(headline(name, name=name))
    async with running(small) as plane:
        assert await names(plane) == ["Two", "One"]


async def test_a_start_that_may_not_mix_serves_nothing_and_says_what_to_do(
    settings: ControlPlaneSettings, other_url: str, tmp_path: Path
) -> None:
    """On a new disk; with a mirror the database is known to be another's before anything is moved."""
    async with running(settings):
        pass
    async with postgres(other_url) as store:
        await fill(store, SOMEBODY)
        before = await census_of(store.records())
    elsewhere = {"database_url": other_url, "move_from": settings.database_url, "data_dir": str(tmp_path / "new disk")}
    async with running(msgspec.structs.replace(settings, **elsewhere), wait=False) as plane:

        async def is_told() -> bool:
            detail = (await plane.ask("GET", "health")).json()["database"]["detail"]
            return "another installation's data, which is never mixed" in detail

        await until(is_told)
        assert "move_needs_a_person" in {alert.id for alert in plane.services.alerts.open()}
    async with postgres(other_url) as store:
        assert await census_of(store.records()) == before


async def test_killed_in_the_middle_it_begins_anew(
    source: PostgresStore, target: PostgresStore, database_url: str, other_url: str, tmp_path: Path
) -> None:
    move = [sys.executable, "-m", "tests.control_plane.moving.moving_slowly", database_url, other_url]
    process = await asyncio.create_subprocess_exec(*move, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"in the middle\n"
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert is_empty(await target.position())
    assert not [record async for record in target.records() if type(record).__name__ != "CounterRecord"]
    assert await settling(tmp_path, target, source_of(source)).settle() is not None
    assert await census_of(source.records()) == await census_of(target.records())
